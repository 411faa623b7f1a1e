"""What the driver says of a GPU."""

from __future__ import annotations

import ctypes
from typing import Any, Dict, Optional

from ..errors import AgentError
from .driver import CudaError, Driver

# CUdevice_attribute of cuda.h.
CLOCK_KHZ, MULTIPROCESSORS, INTEGRATED = 13, 16, 18
MEMORY_CLOCK_KHZ, BUS_BITS, L2_BYTES = 36, 37, 38
MAJOR, MINOR = 75, 76
MB = 1 << 20


def device(driver: Driver, index: int) -> int:
    """The driver's handle of a GPU.

    Raises:
        AgentError: there are not so many.
    """
    count = driver.integer("cuDeviceGetCount")
    if not 0 <= index < count:
        raise AgentError("usage", f"there is no GPU number {index}: the driver shows {count}, from 0 on")
    return driver.integer("cuDeviceGet", index)


def facts(driver: Driver, index: int) -> Dict[str, Any]:
    """Read every fact there is; one that cannot be read is absent.

    Returns:
        `gpu_name`, `compute_capability` ("8.7"), `cuda_driver` (the newest CUDA that it runs, "12.6"),
        `gpu_memory_mb` (units of 2**20 bytes), `multiprocessors`, `gpu_clock_max_mhz`,
        `gpu_memory_clock_max_mhz`, `gpu_bus_bits`, `gpu_l2_bytes`, `integrated` (bool: shares the host's
        memory), `gpu_pci`.
    """
    number = device(driver, index)
    version = driver.integer("cuDriverGetVersion")
    total = ctypes.c_size_t()
    driver.call("cuDeviceTotalMem_v2", ctypes.byref(total), number)
    khz, memory_khz = _attribute(driver, CLOCK_KHZ, number), _attribute(driver, MEMORY_CLOCK_KHZ, number)
    integrated = _attribute(driver, INTEGRATED, number)
    found = {
        "gpu_name": driver.text("cuDeviceGetName", number),
        "compute_capability": f"{_attribute(driver, MAJOR, number)}.{_attribute(driver, MINOR, number)}",
        "cuda_driver": f"{version // 1000}.{version % 1000 // 10}",
        "gpu_memory_mb": total.value // MB,
        "multiprocessors": _attribute(driver, MULTIPROCESSORS, number),
        "gpu_clock_max_mhz": khz / 1000 if khz else None,
        "gpu_memory_clock_max_mhz": memory_khz / 1000 if memory_khz else None,
        "gpu_bus_bits": _attribute(driver, BUS_BITS, number) or None,
        "gpu_l2_bytes": _attribute(driver, L2_BYTES, number) or None,
        "integrated": None if integrated is None else bool(integrated),
        "gpu_pci": _pci(driver, number),
    }
    return {name: value for name, value in found.items() if value is not None}


def _attribute(driver: Driver, attribute: int, number: int) -> Optional[int]:
    """An attribute of a GPU; None where this driver does not know it."""
    try:
        return driver.integer("cuDeviceGetAttribute", attribute, number)
    except CudaError:
        return None


def _pci(driver: Driver, number: int) -> Optional[str]:
    try:
        return driver.text("cuDeviceGetPCIBusId", number) or None
    except CudaError:
        return None
