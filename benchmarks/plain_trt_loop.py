"""A plain loop over an engine of TensorRT, with nothing of vitbench: the yardstick of the fidelity benchmark.

Needs a Python >= 3.8 with `tensorrt`, and the driver; nothing else.

    python benchmarks/plain_trt_loop.py ENGINE INPUT.bin DEVICE [block]

Each request copies the input to the GPU, runs the engine, copies the outputs back and waits for the stream,
spinning; with `block` it sleeps. Reads an iteration count a line on stdin, runs that many, prints the
nanoseconds of each. Fails with a RuntimeError where the driver or TensorRT refuses something.
"""

from __future__ import annotations

import ctypes
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

BYTES = {"FLOAT": 4, "HALF": 2, "INT8": 1, "INT32": 4, "INT64": 8, "UINT8": 1, "BOOL": 1}
SPIN, BLOCK = 1, 4
NON_BLOCKING = 1


class Gpu:
    """The driver, with the primary context of one GPU current and a stream of its own."""

    def __init__(self, number: int, wait: int) -> None:
        self._cuda = ctypes.CDLL("libcuda.so.1")
        self.call("cuInit", ctypes.c_uint(0))
        device, context, self.stream = ctypes.c_int(), ctypes.c_void_p(), ctypes.c_void_p()
        self.call("cuDeviceGet", ctypes.byref(device), ctypes.c_int(number))
        self.call("cuDevicePrimaryCtxSetFlags_v2", device, ctypes.c_uint(wait))
        self.call("cuDevicePrimaryCtxRetain", ctypes.byref(context), device)
        self.call("cuCtxSetCurrent", context)
        self.call("cuStreamCreate", ctypes.byref(self.stream), ctypes.c_uint(NON_BLOCKING))

    def call(self, name: str, *arguments: Any) -> None:
        """Call a function of the driver."""
        status = getattr(self._cuda, name)(*arguments)
        if status:
            raise RuntimeError(f"{name}: error {status} of the driver")

    def buffers(self, size: int) -> tuple[ctypes.c_void_p, ctypes.c_uint64, ctypes.c_size_t]:
        """So many bytes of pinned memory on the host, and as many on the GPU."""
        host, device, count = ctypes.c_void_p(), ctypes.c_uint64(), ctypes.c_size_t(size)
        self.call("cuMemHostAlloc", ctypes.byref(host), count, ctypes.c_uint(0))
        self.call("cuMemAlloc_v2", ctypes.byref(device), count)
        return host, device, count


def make_request(trt: Any, gpu: Gpu, path: str, data: bytes) -> tuple[Any, Callable[[], None]]:
    """TensorRT's runtime, which must outlive the engine, and one request: in, compute, out, wait."""
    runtime, engine = load(trt, path)
    context = engine.create_execution_context()
    ins: list[tuple[Any, ...]] = []
    outs: list[tuple[Any, ...]] = []
    for index in range(engine.num_io_tensors):
        name = engine.get_tensor_name(index)
        host, device, size = gpu.buffers(bytes_of(engine, name))
        context.set_tensor_address(name, device.value)
        if engine.get_tensor_mode(name) == trt.TensorIOMode.INPUT:
            if len(data) != size.value:
                raise RuntimeError(f"the input holds {len(data)} bytes, and the engine takes {size.value}")
            ctypes.memmove(host.value or 0, data, len(data))
            ins.append(("cuMemcpyHtoDAsync_v2", device, host, size, gpu.stream))
        else:
            outs.append(("cuMemcpyDtoHAsync_v2", host, device, size, gpu.stream))
    call, stream = gpu.call, gpu.stream
    enqueue, number = context.execute_async_v3, stream.value

    def request() -> None:
        for copy in ins:
            call(*copy)
        if not enqueue(number):
            raise RuntimeError("TensorRT cannot queue the engine: an error")
        for copy in outs:
            call(*copy)
        call("cuStreamSynchronize", stream)

    return runtime, request


def load(trt: Any, path: str) -> tuple[Any, Any]:
    """A runtime and its engine."""

    class Errors(trt.ILogger):  # type: ignore[misc]
        """Lets errors be read."""

        def __init__(self) -> None:
            trt.ILogger.__init__(self)

        def log(self, severity: Any, message: str) -> None:
            """Take one message."""
            if severity in (trt.ILogger.ERROR, trt.ILogger.INTERNAL_ERROR):
                print(f"TensorRT error: {message}", file=sys.stderr, flush=True)

    runtime = trt.Runtime(Errors())
    engine = runtime.deserialize_cuda_engine(Path(path).read_bytes())
    if engine is None:
        raise RuntimeError(f"TensorRT error: it cannot load {path}")
    return runtime, engine


def bytes_of(engine: Any, name: str) -> int:
    """Size of a tensor of fixed shape."""
    size = BYTES[engine.get_tensor_dtype(name).name]
    for side in engine.get_tensor_shape(name):
        size *= int(side)
    return size


def main() -> None:
    """Answer each count on stdin with the times of that many requests."""
    path, data, number = sys.argv[1:4]
    # Before TensorRT: it needs a GPU that is there.
    gpu = Gpu(int(number), BLOCK if sys.argv[4:] == ["block"] else SPIN)
    import tensorrt

    _runtime, request = make_request(tensorrt, gpu, path, Path(data).read_bytes())
    for line in sys.stdin:
        times = []
        for _ in range(int(line)):
            start = time.perf_counter_ns()
            request()
            times.append(time.perf_counter_ns() - start)
        print(*times, flush=True)


if __name__ == "__main__":
    main()
