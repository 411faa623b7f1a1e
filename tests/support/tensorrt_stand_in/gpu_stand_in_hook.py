"""Imported at the start of a Python: from then on it has the stand-in for a driver."""

from __future__ import annotations

import ctypes
from typing import Any

import gpu_stand_in


class Loader(ctypes.CDLL):
    """`ctypes.CDLL`, but for the driver."""

    def __new__(cls, name: Any = None, *more: Any, **named: Any) -> Any:
        if name == "libcuda.so.1":
            return gpu_stand_in.Library(gpu_stand_in.GPU)
        return super().__new__(cls)


ctypes.CDLL = Loader  # type: ignore[misc]
