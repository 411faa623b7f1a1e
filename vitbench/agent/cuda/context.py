"""A GPU in use: its primary context, with streams, events and buffers that are freed with it."""

from __future__ import annotations

import ctypes
import sys
from types import TracebackType
from typing import Any, Callable, List, Optional, Tuple, Type

from . import facts
from .driver import Driver
from .memory import DeviceBuffer, PinnedBuffer

# CUctx_flags: how the host waits for the GPU.
SCHEDULE_SPIN, SCHEDULE_BLOCKING = 0x01, 0x04
STREAM_NON_BLOCKING = 0x01
EVENT_BLOCKING = 0x01
NS_PER_MS = 1e6


class Stream:
    """A queue of work on the GPU, which runs in order."""

    def __init__(self, driver: Driver, handle: ctypes.c_void_p) -> None:
        self._driver = driver
        self.handle = handle

    @property
    def number(self) -> int:
        """The handle as other libraries take it."""
        return int(self.handle.value or 0)

    def synchronize(self) -> None:
        """Wait until all of it has run."""
        self._driver.call("cuStreamSynchronize", self.handle)


class Event:
    """A point in a stream's work, with the GPU's own time once that point is reached."""

    def __init__(self, driver: Driver, handle: ctypes.c_void_p) -> None:
        self._driver = driver
        self.handle = handle

    def recorder(self, stream: Stream) -> Callable[[], None]:
        """What marks the point: called in a loop that is timed."""
        return self._driver.bound("cuEventRecord", self.handle, stream.handle)

    def waiter(self) -> Callable[[], None]:
        """What waits for the point: called in a loop that is timed."""
        return self._driver.bound("cuEventSynchronize", self.handle)

    def ns_until(self, later: Event) -> int:
        """Nanoseconds of the GPU's clock from this point to a later one; both were waited for."""
        elapsed_ms = ctypes.c_float()
        self._driver.call("cuEventElapsedTime", ctypes.byref(elapsed_ms), self.handle, later.handle)
        return round(elapsed_ms.value * NS_PER_MS)


class Context:
    """The primary context of a GPU, the one that TensorRT and PyTorch use, current in this thread.

    Args:
        driver: of `load`.
        index: number of the GPU among those that the driver shows.
        spin_wait: whether the host spins while it waits for the GPU; otherwise it sleeps, and wakes up late.

    Raises:
        AgentError: there is no such GPU, or it cannot be used.
    """

    def __init__(self, driver: Driver, index: int, *, spin_wait: bool) -> None:
        self.driver = driver
        self.index = index
        self._blocking = not spin_wait
        self._owned: List[Tuple[str, Any]] = []
        device = facts.device(driver, index)
        driver.call(
            "cuDevicePrimaryCtxSetFlags_v2", device, SCHEDULE_SPIN if spin_wait else SCHEDULE_BLOCKING
        )
        handle = driver.handle("cuDevicePrimaryCtxRetain", device)
        self._owned.append(("cuDevicePrimaryCtxRelease_v2", device))
        driver.call("cuCtxSetCurrent", handle)

    def __enter__(self) -> Context:
        return self

    def __exit__(
        self,
        kind: Optional[Type[BaseException]],
        error: Optional[BaseException],
        trace: Optional[TracebackType],
    ) -> None:
        self.close()

    def stream(self) -> Stream:
        """A new stream, which waits for no other."""
        handle = self.driver.handle("cuStreamCreate", STREAM_NON_BLOCKING)
        self.own("cuStreamDestroy_v2", handle)
        return Stream(self.driver, handle)

    def event(self) -> Event:
        """A new event with a time."""
        handle = self.driver.handle("cuEventCreate", EVENT_BLOCKING if self._blocking else 0)
        self.own("cuEventDestroy_v2", handle)
        return Event(self.driver, handle)

    def pinned(self, size: int) -> PinnedBuffer:
        """So many bytes of the host's memory that the GPU copies from and to directly."""
        handle = self.driver.handle("cuMemHostAlloc", max(size, 1), 0)
        self.own("cuMemFreeHost", handle)
        return PinnedBuffer(int(handle.value or 0), size)

    def device_memory(self, size: int) -> DeviceBuffer:
        """So many bytes of the GPU's memory."""
        address = ctypes.c_uint64()
        self.driver.call("cuMemAlloc_v2", ctypes.byref(address), max(size, 1))
        self.own("cuMemFree_v2", address)
        return DeviceBuffer(address.value, size)

    def to_device(self, target: DeviceBuffer, source: PinnedBuffer, stream: Stream) -> Callable[[], None]:
        """What queues a copy of a whole buffer to the GPU."""
        return self.driver.bound(
            "cuMemcpyHtoDAsync_v2",
            ctypes.c_uint64(target.address),
            ctypes.c_void_p(source.address),
            ctypes.c_size_t(source.size),
            stream.handle,
        )

    def to_host(self, target: PinnedBuffer, source: DeviceBuffer, stream: Stream) -> Callable[[], None]:
        """What queues a copy of a whole buffer from the GPU."""
        return self.driver.bound(
            "cuMemcpyDtoHAsync_v2",
            ctypes.c_void_p(target.address),
            ctypes.c_uint64(source.address),
            ctypes.c_size_t(source.size),
            stream.handle,
        )

    def own(self, destroy: str, handle: Any) -> None:
        """Have something freed with the context, before what was made earlier."""
        self._owned.append((destroy, handle))

    def close(self) -> None:
        """Free all of it, the last first. Safe to call twice; never raises: the GPU may be gone."""
        while self._owned:
            name, handle = self._owned.pop()
            try:
                self.driver.call(name, handle)
            except Exception as error:
                print(f"cuda: {error}", file=sys.stderr, flush=True)
