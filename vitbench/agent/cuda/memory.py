"""Buffers of the host and of the GPU. They belong to the context that made them."""

from __future__ import annotations

import ctypes


class DeviceBuffer:
    """`size` bytes of the GPU's memory at `address`."""

    def __init__(self, address: int, size: int) -> None:
        self.address = address
        self.size = size


class PinnedBuffer:
    """`size` bytes of the host's memory at `address`, which stay where they are."""

    def __init__(self, address: int, size: int) -> None:
        self.address = address
        self.size = size

    def write(self, data: bytes) -> None:
        """Fill it.

        Raises:
            ValueError: the data is of another size.
        """
        if len(data) != self.size:
            raise ValueError(f"{len(data)} bytes for a buffer of {self.size}")
        ctypes.memmove(self.address, data, self.size)

    def read(self) -> bytes:
        """A copy of all of it."""
        return ctypes.string_at(self.address, self.size)

    def view(self) -> memoryview:
        """The bytes themselves, for `numpy.frombuffer` and the like."""
        return memoryview((ctypes.c_ubyte * self.size).from_address(self.address)).cast("B")
