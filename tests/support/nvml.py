"""NVIDIA's management library as ctypes would call it, with a GPU that is a dictionary of answers."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

SUCCESS, NOT_FOUND, NOT_SUPPORTED, INSUFFICIENT_SIZE = 0, 6, 3, 7
SINCE_BOOT = 0

# Numbers that a function of this name writes; with an argument, by that argument.
A100: dict[str, Any] = {
    "nvmlDeviceGetClockInfo": {1: 1095, 2: 1215},
    "nvmlDeviceGetMaxClockInfo": {1: 1410, 2: 1215},
    "nvmlDeviceGetApplicationsClock": {1: 1095},
    "nvmlDeviceGetTemperature": {0: 41},
    "nvmlDeviceGetPowerUsage": 251_500,
    "nvmlDeviceGetEnforcedPowerLimit": 400_000,
    "nvmlDeviceGetPowerManagementDefaultLimit": 400_000,
    "nvmlDeviceGetTotalEnergyConsumption": 1_000_000,
    "nvmlDeviceGetCurrentClocksThrottleReasons": 0x2,
    "nvmlDeviceGetViolationStatus": {0: 5_000_000, 1: 0},
    "nvmlDeviceGetEccMode": (1, 1),
    "nvmlDeviceGetTotalEccErrors": {0: 2, 1: 0},
    "nvmlDeviceGetCurrPcieLinkGeneration": 4,
    "nvmlDeviceGetMaxPcieLinkGeneration": 4,
    "nvmlDeviceGetCurrPcieLinkWidth": 16,
    "nvmlDeviceGetMaxPcieLinkWidth": 16,
    "nvmlDeviceGetPersistenceMode": 1,
    "nvmlDeviceGetMigMode": (0, 0),
    "nvmlDeviceGetName": "NVIDIA A100-SXM4-80GB",
    "nvmlDeviceGetMemoryInfo": (80 << 30, 78 << 30, 2 << 30),
    "nvmlDeviceGetPciInfo_v3": "00000000:17:00.0",
    "nvmlDeviceGetComputeRunningProcesses_v3": (),
}
DRIVER: dict[str, Any] = {
    "nvmlSystemGetDriverVersion": "550.54.15",
    "nvmlSystemGetCudaDriverVersion_v2": 12040,
}

# Functions that do more than write an answer.
SPECIAL = {
    "nvmlInit_v2": "_initialise",
    "nvmlDeviceGetCount_v2": "_count_gpus",
    "nvmlDeviceGetHandleByIndex_v2": "_by_index",
    "nvmlDeviceGetHandleByUUID": "_by_uuid",
    "nvmlDeviceGetHandleByPciBusId_v2": "_by_bus_id",
    "nvmlDeviceGetDeviceHandleFromMigDeviceHandle": "_whole_of_slice",
    "nvmlDeviceGetComputeRunningProcesses_v3": "_list_processes",
    "nvmlDeviceGetComputeRunningProcesses": "_list_processes_as_of_old",
}


@dataclass
class FakeNvml:
    """The library. `gpus` are answers by name of a function; a name that is missing is not supported.

    Attributes:
        absent: functions that the library does not export.
        slices: UUIDs of slices, and the GPU that each is of.
        asked: every call, as its name.
    """

    gpus: list[dict[str, Any]]
    absent: tuple[str, ...] = ()
    slices: dict[str, int] = field(default_factory=dict)
    uuids: dict[str, int] = field(default_factory=dict)
    init: int = SUCCESS
    asked: list[str] = field(default_factory=list)

    def __getattr__(self, name: str) -> Callable[..., int]:
        if not name.startswith("nvml") or name in self.absent:
            raise AttributeError(name)

        def function(*arguments: Any) -> int:
            self.asked.append(name)
            if name in SPECIAL:
                code: int = getattr(self, SPECIAL[name])(*arguments)
                return code
            return self._answer(name, *arguments)

        return function

    def _initialise(self) -> int:
        return self.init

    def _count_gpus(self, count: Any) -> int:
        count._obj.value = len(self.gpus)
        return SUCCESS

    def _by_index(self, index: Any, handle: Any) -> int:
        return self._hand_out(handle, index.value + 1 if index.value < len(self.gpus) else None)

    def _by_uuid(self, uuid: Any, handle: Any) -> int:
        name = uuid.value.decode()
        if name in self.slices:
            return self._hand_out(handle, 100 + self.slices[name] + 1)
        return self._hand_out(handle, self.uuids[name] + 1 if name in self.uuids else None)

    def _by_bus_id(self, bus_id: Any, handle: Any) -> int:
        places = [gpu.get("nvmlDeviceGetPciInfo_v3") for gpu in self.gpus]
        place = bus_id.value.decode()
        return self._hand_out(handle, places.index(place) + 1 if place in places else None)

    def _whole_of_slice(self, device: Any, parent: Any) -> int:
        return self._hand_out(parent, device.value - 100) if device.value > 100 else NOT_SUPPORTED

    def _list_processes(self, device: Any, count: Any, listed: Any) -> int:
        pids = self._of(device).get("nvmlDeviceGetComputeRunningProcesses_v3")
        return self._list(pids, count, listed)

    def _list_processes_as_of_old(self, device: Any, count: Any, listed: Any) -> int:
        return self._list(self._of(device).get("nvmlDeviceGetComputeRunningProcesses"), count, listed)

    @staticmethod
    def _list(pids: Any, count: Any, listed: Any) -> int:
        if pids is None:
            return NOT_SUPPORTED
        if len(pids) > count._obj.value:
            return INSUFFICIENT_SIZE
        for index, pid in enumerate(pids):
            listed[index].pid = pid
        count._obj.value = len(pids)
        return SUCCESS

    @staticmethod
    def _hand_out(handle: Any, number: int | None) -> int:
        if number is None:
            return NOT_FOUND
        handle._obj.value = number
        return SUCCESS

    def _of(self, device: Any) -> dict[str, Any]:
        return self.gpus[device.value % 100 - 1]

    def _answer(self, name: str, *arguments: Any) -> int:
        """Write the answer of a GPU, or of the driver, to where the arguments point."""
        of_driver = name.startswith("nvmlSystem")
        answers = DRIVER if of_driver else self._of(arguments[0])
        found = answers.get(name)
        rest = arguments if of_driver else arguments[1:]
        if isinstance(found, dict):
            found, rest = found.get(rest[0].value), rest[1:]
            if name == "nvmlDeviceGetTotalEccErrors":
                assert rest[0].value == SINCE_BOOT
                rest = rest[1:]
        return NOT_SUPPORTED if found is None else _write(found, rest)


def _write(found: Any, places: tuple[Any, ...]) -> int:
    first = places[0]
    if isinstance(first, ctypes.Array):
        assert len(found) < places[1].value
        first.value = found.encode()
    elif isinstance(first._obj, ctypes.Structure):
        _fill(first._obj, found)
    else:
        values = found if isinstance(found, tuple) else (found,)
        # A function that writes more or fewer numbers than it was given places for is called wrongly.
        for place, value in zip(places, values, strict=True):
            place._obj.value = value
    return SUCCESS


def _fill(structure: Any, found: Any) -> None:
    if isinstance(found, tuple):
        structure.total, structure.free, structure.used = found
    elif isinstance(found, str):
        structure.bus_id = found.encode()
    else:
        structure.violation = found
