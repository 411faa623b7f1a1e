"""The CUDA driver API by ctypes: the library that comes with the driver, and nothing to install."""

from __future__ import annotations

from .context import Context, Event, Stream
from .driver import CudaError, Driver, NoDriver, load
from .memory import DeviceBuffer, PinnedBuffer

__all__ = [
    "Context",
    "CudaError",
    "DeviceBuffer",
    "Driver",
    "Event",
    "NoDriver",
    "PinnedBuffer",
    "Stream",
    "load",
]
