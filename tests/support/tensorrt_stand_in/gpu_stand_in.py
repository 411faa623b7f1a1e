"""A driver of one simulated GPU: work is queued, and done only when somebody waits for it.

Memory is real memory of this process, and its clock a number that work advances. Functions are called through
the C ABI, with the types of cuda.h, so that a wrong prototype shows.
"""

from __future__ import annotations

import ctypes
import os
from ctypes import POINTER, c_char_p, c_float, c_int, c_size_t, c_uint, c_uint64, c_ulonglong, c_void_p
from typing import Any, Callable, Dict, List, Optional, Tuple

NAME = b"Stand-in GPU"
BYTES_PER_NS = 8
NO_DEVICE, INVALID_VALUE, INVALID_HANDLE, NOT_READY = 100, 1, 400, 600
CAPTURE_UNSUPPORTED, CAPTURE_INVALIDATED, OUT_OF_MEMORY = 900, 901, 2
ERRORS = {
    1: (b"CUDA_ERROR_INVALID_VALUE", b"invalid argument"),
    2: (b"CUDA_ERROR_OUT_OF_MEMORY", b"out of memory"),
    100: (b"CUDA_ERROR_NO_DEVICE", b"no CUDA-capable device is detected"),
    400: (b"CUDA_ERROR_INVALID_HANDLE", b"invalid resource handle"),
    600: (b"CUDA_ERROR_NOT_READY", b"device not ready"),
    900: (b"CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED", b"operation not permitted when stream is capturing"),
    901: (
        b"CUDA_ERROR_STREAM_CAPTURE_INVALIDATED",
        b"operation failed due to a previous error during capture",
    ),
}
ATTRIBUTES = {13: 1300000, 16: 16, 18: 1, 36: 3200000, 37: 256, 38: 4 << 20, 75: 8, 76: 7}
MEMORY_BYTES = 32 << 30

Work = Callable[[], int]  # does its work, and returns how many nanoseconds it took


def fails(how: str) -> bool:
    """Whether this is to go wrong."""
    return os.environ.get("VITBENCH_STAND_IN_FAILS") == how


class StreamState:
    """Work that waits, or, while a graph is recorded, that graph."""

    def __init__(self) -> None:
        self.queue: List[Work] = []
        self.capture: Optional[List[Work]] = None
        self.broken = False


class Gpu:
    """The simulated GPU, with everything that was made on it.

    Attributes:
        calls: names of the functions that were called, in their order, with what tells calls apart.
        now_ns: its clock.
    """

    def __init__(self, memory_bytes: int = MEMORY_BYTES) -> None:
        self.calls: List[str] = []
        self.now_ns = 1000000
        self.memory_bytes = memory_bytes
        self.streams: Dict[int, StreamState] = {}
        self.events: Dict[int, Optional[int]] = {}
        self.graphs: Dict[int, List[Work]] = {}
        self.launchable: Dict[int, List[Work]] = {}
        self.pinned: Dict[int, Any] = {}
        self.device: Dict[int, Any] = {}
        self.retained = 0
        self.flags: Optional[int] = None
        self._handles = 0x1000

    def handle(self) -> int:
        """A new handle, wider than 32 bits as real ones are."""
        self._handles += 0x10
        return 0x7F0000000000 + self._handles

    def live(self) -> int:
        """How many things were made and not freed."""
        kinds = (self.streams, self.events, self.graphs, self.launchable, self.pinned, self.device)
        return sum(map(len, kinds)) + self.retained

    def enqueue(self, stream: int, work: Work) -> int:
        """Queue work; a status."""
        state = self.streams.get(stream)
        if state is None:
            return INVALID_HANDLE
        (state.queue if state.capture is None else state.capture).append(work)
        return 0

    def drain(self, stream: int) -> int:
        """Do all that waits on a stream; a status."""
        state = self.streams.get(stream)
        if state is None:
            return INVALID_HANDLE
        if state.capture is not None:
            state.broken = True
            return CAPTURE_UNSUPPORTED
        while state.queue:
            self.now_ns += state.queue.pop(0)()
        return 0

    def holds(self, where: Dict[int, Any], address: int, size: int) -> bool:
        """Whether memory of one kind holds so many bytes there."""
        return any(base <= address and address + size <= base + len(buffer) for base, buffer in where.items())


class Library:
    """What `ctypes.CDLL("libcuda.so.1")` gives."""

    def __init__(self, gpu: Gpu) -> None:
        for name, (types, function) in _functions(gpu).items():
            prototype = ctypes.CFUNCTYPE(c_int, *types)
            setattr(self, name, prototype(_told(gpu, name, function)))


def _told(gpu: Gpu, name: str, function: Callable[..., Any]) -> Callable[..., int]:
    def call(*arguments: Any) -> int:
        gpu.calls.append(name)
        try:
            return int(function(*arguments) or 0)
        except Exception as error:  # it would be lost in the C code that called
            gpu.calls.append(f"{name} raised {error!r}")
            return INVALID_VALUE

    return call


def _functions(gpu: Gpu) -> Dict[str, Tuple[Tuple[Any, ...], Callable[..., Any]]]:
    return {**_device(gpu), **_streams(gpu), **_memory(gpu)}


def _device(gpu: Gpu) -> Dict[str, Tuple[Tuple[Any, ...], Callable[..., Any]]]:
    def set_int(pointer: Any, value: int) -> int:
        pointer[0] = value
        return 0

    def error(index: int) -> Callable[..., int]:
        def tell(status: int, pointer: Any) -> int:
            if status not in ERRORS:
                return INVALID_VALUE
            pointer[0] = ERRORS[status][index]
            return 0

        return tell

    def text(value: bytes) -> Callable[..., int]:
        def tell(buffer: int, size: int, device: int) -> int:
            ctypes.memmove(buffer, value[: size - 1] + b"\0", min(len(value) + 1, size))
            return 0

        return tell

    def attribute(pointer: Any, number: int, device: int) -> int:
        return set_int(pointer, ATTRIBUTES[number]) if number in ATTRIBUTES else INVALID_VALUE

    def flags(device: int, value: int) -> None:
        gpu.flags = value

    def retain(pointer: Any, device: int) -> int:
        gpu.retained += 1
        return set_int(pointer, gpu.handle())

    def release(device: int) -> None:
        gpu.retained -= 1

    return {
        "cuInit": ((c_uint,), lambda flags: NO_DEVICE if fails("no-gpu") else 0),
        "cuDriverGetVersion": ((POINTER(c_int),), lambda pointer: set_int(pointer, 12060)),
        "cuGetErrorName": ((c_int, POINTER(c_char_p)), error(0)),
        "cuGetErrorString": ((c_int, POINTER(c_char_p)), error(1)),
        "cuDeviceGetCount": ((POINTER(c_int),), lambda pointer: set_int(pointer, 1)),
        "cuDeviceGet": ((POINTER(c_int), c_int), lambda pointer, index: set_int(pointer, index)),
        "cuDeviceGetName": ((c_void_p, c_int, c_int), text(NAME)),
        "cuDeviceGetPCIBusId": ((c_void_p, c_int, c_int), text(b"0000:01:00.0")),
        "cuDeviceTotalMem_v2": (
            (POINTER(c_size_t), c_int),
            lambda pointer, device: set_int(pointer, gpu.memory_bytes),
        ),
        "cuDeviceGetAttribute": ((POINTER(c_int), c_int, c_int), attribute),
        "cuDevicePrimaryCtxSetFlags_v2": ((c_int, c_uint), flags),
        "cuDevicePrimaryCtxRetain": ((POINTER(c_void_p), c_int), retain),
        "cuDevicePrimaryCtxRelease_v2": ((c_int,), release),
        "cuCtxSetCurrent": ((c_void_p,), lambda context: 0 if context else INVALID_HANDLE),
    }


def _streams(gpu: Gpu) -> Dict[str, Tuple[Tuple[Any, ...], Callable[..., Any]]]:
    def make(where: Dict[int, Any], value: Callable[[], Any]) -> Callable[..., int]:
        def create(pointer: Any, flags: int) -> int:
            handle = gpu.handle()
            where[handle] = value()
            pointer[0] = handle
            return 0

        return create

    def destroy(where: Dict[int, Any]) -> Callable[..., int]:
        return lambda handle: 0 if where.pop(handle, where) is not where else INVALID_HANDLE

    def record(event: int, stream: int) -> int:
        if event not in gpu.events:
            return INVALID_HANDLE

        def work() -> int:
            gpu.events[event] = gpu.now_ns
            return 0

        gpu.events[event] = None
        return gpu.enqueue(stream, work)

    def wait(event: int) -> int:
        for stream in list(gpu.streams):
            status = gpu.drain(stream)
            if status:
                return status
        return 0 if gpu.events.get(event) is not None else NOT_READY

    def elapsed(pointer: Any, first: int, second: int) -> int:
        begin, end = gpu.events.get(first), gpu.events.get(second)
        if begin is None or end is None:
            return NOT_READY
        pointer[0] = (end - begin) / 1e6
        return 0

    def begin_capture(stream: int, mode: int) -> int:
        state = gpu.streams[stream]
        if state.queue or state.capture is not None:
            return CAPTURE_UNSUPPORTED
        state.capture, state.broken = [], fails("capture")
        return 0

    def end_capture(stream: int, pointer: Any) -> int:
        state = gpu.streams[stream]
        work, broken = state.capture, state.broken
        state.capture, state.broken = None, False
        if work is None or broken:
            return CAPTURE_INVALIDATED
        pointer[0] = handle = gpu.handle()
        gpu.graphs[handle] = work
        return 0

    def instantiate(pointer: Any, graph: int, flags: int) -> int:
        pointer[0] = handle = gpu.handle()
        gpu.launchable[handle] = list(gpu.graphs[graph])
        return 0

    def launch(graph: int, stream: int) -> int:
        return max(gpu.enqueue(stream, work) for work in gpu.launchable[graph])

    return {
        "cuStreamCreate": ((POINTER(c_void_p), c_uint), make(gpu.streams, StreamState)),
        "cuStreamSynchronize": ((c_void_p,), gpu.drain),
        "cuStreamWaitEvent": ((c_void_p, c_void_p, c_uint), lambda stream, event, flags: 0),
        "cuStreamDestroy_v2": ((c_void_p,), destroy(gpu.streams)),
        "cuStreamBeginCapture_v2": ((c_void_p, c_int), begin_capture),
        "cuStreamEndCapture": ((c_void_p, POINTER(c_void_p)), end_capture),
        "cuGraphInstantiateWithFlags": ((POINTER(c_void_p), c_void_p, c_ulonglong), instantiate),
        "cuGraphLaunch": ((c_void_p, c_void_p), launch),
        "cuGraphExecDestroy": ((c_void_p,), destroy(gpu.launchable)),
        "cuGraphDestroy": ((c_void_p,), destroy(gpu.graphs)),
        "cuEventCreate": ((POINTER(c_void_p), c_uint), make(gpu.events, lambda: None)),
        "cuEventRecord": ((c_void_p, c_void_p), record),
        "cuEventSynchronize": ((c_void_p,), wait),
        "cuEventElapsedTime": ((POINTER(c_float), c_void_p, c_void_p), elapsed),
        "cuEventDestroy_v2": ((c_void_p,), destroy(gpu.events)),
    }


def _memory(gpu: Gpu) -> Dict[str, Tuple[Tuple[Any, ...], Callable[..., Any]]]:
    def allocate(where: Dict[int, Any], pointer: Any, size: int) -> int:
        if size > gpu.memory_bytes:
            return OUT_OF_MEMORY
        buffer = ctypes.create_string_buffer(size)
        address = ctypes.addressof(buffer)
        where[address] = buffer
        pointer[0] = address
        return 0

    def copy(target: int, source: int, size: int, stream: int, fits: bool) -> int:
        if not fits:
            return INVALID_VALUE

        def work() -> int:
            ctypes.memmove(target, source, size)
            return size // BYTES_PER_NS + 1000

        return gpu.enqueue(stream, work)

    def to_device(target: int, source: int, size: int, stream: int) -> int:
        fits = gpu.holds(gpu.device, target, size) and gpu.holds(gpu.pinned, source, size)
        return copy(target, source, size, stream, fits)

    def to_host(target: int, source: int, size: int, stream: int) -> int:
        fits = gpu.holds(gpu.pinned, target, size) and gpu.holds(gpu.device, source, size)
        return copy(target, source, size, stream, fits)

    def free(where: Dict[int, Any]) -> Callable[..., int]:
        return lambda address: 0 if where.pop(address, None) is not None else INVALID_VALUE

    return {
        "cuMemAlloc_v2": (
            (POINTER(c_uint64), c_size_t),
            lambda pointer, size: allocate(gpu.device, pointer, size),
        ),
        "cuMemFree_v2": ((c_uint64,), free(gpu.device)),
        "cuMemHostAlloc": (
            (POINTER(c_void_p), c_size_t, c_uint),
            lambda pointer, size, flags: allocate(gpu.pinned, pointer, size),
        ),
        "cuMemFreeHost": ((c_void_p,), free(gpu.pinned)),
        "cuMemcpyHtoDAsync_v2": ((c_uint64, c_void_p, c_size_t, c_void_p), to_device),
        "cuMemcpyDtoHAsync_v2": ((c_void_p, c_uint64, c_size_t, c_void_p), to_host),
    }


# The one of this process: what the driver and TensorRT have in common.
GPU = Gpu()
