"""What NVML tells of a GPU: facts, and witnesses of its state. What it does not tell is absent."""

from __future__ import annotations

import ctypes
from typing import Any, Dict, List, Optional

from .nvml import MAX_PROCESSES, PROCESSES, Handle, MemoryInfo, Nvml, PciInfo, Violation

SM, MEMORY = 1, 2
POWER_POLICY, THERMAL_POLICY = 0, 1
CORRECTED, UNCORRECTED, SINCE_BOOT = 0, 1, 0
GPU_SENSOR = 0
# What holds a GPU's clock down now, by bit.
REASONS = (
    (0x001, "gpu_idle"),
    (0x002, "applications_clocks"),
    (0x004, "sw_power_cap"),
    (0x008, "hw_slowdown"),
    (0x010, "sync_boost"),
    (0x020, "sw_thermal"),
    (0x040, "hw_thermal"),
    (0x080, "hw_power_brake"),
    (0x100, "display_clocks"),
)
# Those that mean that the GPU protects itself. At its power cap a large GPU is all the time.
SLOWED = ("hw_slowdown", "sw_thermal", "hw_thermal", "hw_power_brake")


class Gpu:
    """One GPU, or one slice of a GPU that is cut into several.

    Args:
        nvml: the library.
        device: what `nvml.choose` gave.
    """

    def __init__(self, nvml: Nvml, device: Handle) -> None:
        self._nvml = nvml
        self._device = device
        self._whole, self._is_slice = nvml.whole(device)

    def facts(self) -> Dict[str, Any]:
        """Static facts; what it does not tell is absent.

        Returns:
            `gpu_name`, `gpu_bus_id`, `gpu_count` (that the driver has), `gpu_driver`, `cuda_driver` (highest
            CUDA that the driver knows: "12.6"), `gpu_memory_total_mb` (units of 2**20 bytes), `gpu_mig`
            (bool: it is cut into slices, and only one of them is used).
        """
        cuda = self._nvml.integer("nvmlSystemGetCudaDriverVersion_v2", kind=ctypes.c_int)
        mode, _ = self._nvml.integers("nvmlDeviceGetMigMode", self._whole)
        place = PciInfo()
        placed = self._nvml.ask("nvmlDeviceGetPciInfo_v3", self._whole, ctypes.byref(place))
        return _known(
            {
                "gpu_name": self._nvml.text("nvmlDeviceGetName", self._whole),
                "gpu_bus_id": place.bus_id.decode("ascii", "replace") if placed else None,
                "gpu_count": self._nvml.count() or None,
                "gpu_driver": self._nvml.text("nvmlSystemGetDriverVersion"),
                "cuda_driver": None if cuda is None else f"{cuda // 1000}.{cuda % 1000 // 10}",
                "gpu_memory_total_mb": self._memory_mb().get("gpu_memory_total_mb"),
                "gpu_mig": True if self._is_slice else None if mode is None else bool(mode),
            }
        )

    def readings(self) -> Dict[str, Any]:
        """Read every witness there is; one that cannot be read is absent.

        Returns:
            `gpu_clock_mhz`, `gpu_clock_max_mhz`, `gpu_memory_clock_mhz`, `gpu_memory_clock_max_mhz`,
            `gpu_application_clock_mhz` (that it is asked to keep to), `gpu_temp_c`, `power_w`,
            `power_limit_w`, `power_limit_default_w`, `gpu_memory_used_mb`, `gpu_memory_total_mb`,
            `gpu_throttle_reasons` (names with commas, "none"), `gpu_thermal_ns` and `gpu_power_cap_ns` (time
            slowed down by heat, by the power cap), `gpu_ecc` (bool), `gpu_ecc_corrected` and
            `gpu_ecc_uncorrected` (errors since the driver began), `pcie_gen`, `pcie_gen_max`, `pcie_width`,
            `pcie_width_max`, `gpu_persistence` (bool).
        """
        ecc, _ = self._nvml.integers("nvmlDeviceGetEccMode", self._whole)
        persistence = self._number("PersistenceMode")
        why = self.reasons()
        found = {
            "gpu_clock_mhz": self.clock_mhz(),
            "gpu_clock_max_mhz": self._number("MaxClockInfo", SM),
            "gpu_memory_clock_mhz": self._number("ClockInfo", MEMORY),
            "gpu_memory_clock_max_mhz": self._number("MaxClockInfo", MEMORY),
            "gpu_application_clock_mhz": self._number("ApplicationsClock", SM),
            "gpu_temp_c": self._number("Temperature", GPU_SENSOR),
            "power_limit_w": _watts(self._number("EnforcedPowerLimit")),
            "power_limit_default_w": _watts(self._number("PowerManagementDefaultLimit")),
            "gpu_throttle_reasons": None if why is None else ",".join(why) or "none",
            "gpu_thermal_ns": self.thermal_ns(),
            "gpu_power_cap_ns": self._violation_ns(POWER_POLICY),
            "gpu_ecc": None if ecc is None else bool(ecc),
            "gpu_ecc_corrected": self._errors(CORRECTED),
            "gpu_ecc_uncorrected": self._errors(UNCORRECTED),
            "pcie_gen": self._number("CurrPcieLinkGeneration"),
            "pcie_gen_max": self._number("MaxPcieLinkGeneration"),
            "pcie_width": self._number("CurrPcieLinkWidth"),
            "pcie_width_max": self._number("MaxPcieLinkWidth"),
            "gpu_persistence": None if persistence is None else bool(persistence),
        }
        return {**_known(found), **self.power(), **self._memory_mb()}

    def clock_mhz(self) -> Optional[float]:
        """Present clock of the multiprocessors."""
        return self._number("ClockInfo", SM)

    def reasons(self) -> Optional[List[str]]:
        """What holds the clock down now, by name; None where the GPU does not tell."""
        name = "nvmlDeviceGetCurrentClocksThrottleReasons"
        bits = self._nvml.integer(name, self._whole, kind=ctypes.c_ulonglong)
        return None if bits is None else [reason for bit, reason in REASONS if bits & bit]

    def thermal_ns(self) -> Optional[int]:
        """Time for which heat has slowed it down since its driver began."""
        return self._violation_ns(THERMAL_POLICY)

    def energy_j(self) -> Optional[float]:
        """What it has used since its driver began."""
        millijoules = self._number("TotalEnergyConsumption", kind=ctypes.c_ulonglong)
        return None if millijoules is None else millijoules / 1e3

    def power(self) -> Dict[str, float]:
        """`power_w`, what it draws now; empty where it does not tell."""
        watts = _watts(self._number("PowerUsage"))
        return {} if watts is None else {"power_w": watts}

    def processes(self) -> Optional[List[int]]:
        """Ids of the processes that compute on it, as the driver's own machine counts them."""
        for name, form in PROCESSES:
            listed = (form * MAX_PROCESSES)()
            count = ctypes.c_uint(MAX_PROCESSES)
            if self._nvml.ask(name, self._device, ctypes.byref(count), listed):
                return sorted({int(listed[index].pid) for index in range(count.value)})
        return None

    def _number(self, name: str, *arguments: int, kind: Any = ctypes.c_uint) -> Optional[int]:
        given = [ctypes.c_int(argument) for argument in arguments]
        return self._nvml.integer(f"nvmlDeviceGet{name}", self._whole, *given, kind=kind)

    def _errors(self, kind: int) -> Optional[int]:
        return self._number("TotalEccErrors", kind, SINCE_BOOT, kind=ctypes.c_ulonglong)

    def _violation_ns(self, policy: int) -> Optional[int]:
        found = Violation()
        known = self._nvml.ask(
            "nvmlDeviceGetViolationStatus", self._whole, ctypes.c_int(policy), ctypes.byref(found)
        )
        return int(found.violation) if known else None

    def _memory_mb(self) -> Dict[str, float]:
        memory = MemoryInfo()
        if not self._nvml.ask("nvmlDeviceGetMemoryInfo", self._device, ctypes.byref(memory)):
            return {}
        return {"gpu_memory_used_mb": memory.used / 2**20, "gpu_memory_total_mb": memory.total / 2**20}


def _watts(milliwatts: Optional[int]) -> Optional[float]:
    return None if milliwatts is None else milliwatts / 1e3


def _known(found: Dict[str, Any]) -> Dict[str, Any]:
    return {name: value for name, value in found.items() if value is not None}
