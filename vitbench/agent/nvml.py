"""What NVIDIA's management library says of a GPU, asked through ctypes: nothing is to be installed.

Names of functions and numbers are those of nvml.h. What a GPU or a driver does not support is absent.
"""

from __future__ import annotations

import ctypes
import os
from typing import Any, Optional, Tuple, Type

LIBRARIES = ("libnvidia-ml.so.1", "libnvidia-ml.so")
SUCCESS, INSUFFICIENT_SIZE = 0, 7
TEXT_BYTES = 96
MAX_PROCESSES = 1024

Handle = ctypes.c_void_p


class NvmlError(Exception):
    """A call that failed, or a function that this driver does not have; `code` is None for the latter."""

    def __init__(self, name: str, code: Optional[int]) -> None:
        super().__init__(f"{name}: {'not there' if code is None else f'error {code}'}")
        self.code = code


class PciInfo(ctypes.Structure):
    """nvmlPciInfo_t, version 3."""

    _fields_ = (
        ("bus_id_legacy", ctypes.c_char * 16),
        ("domain", ctypes.c_uint),
        ("bus", ctypes.c_uint),
        ("device", ctypes.c_uint),
        ("pci_device_id", ctypes.c_uint),
        ("pci_subsystem_id", ctypes.c_uint),
        ("bus_id", ctypes.c_char * 32),
    )


class MemoryInfo(ctypes.Structure):
    """nvmlMemory_t, bytes."""

    _fields_ = (
        ("total", ctypes.c_ulonglong),
        ("free", ctypes.c_ulonglong),
        ("used", ctypes.c_ulonglong),
    )


class Violation(ctypes.Structure):
    """nvmlViolationTime_t: microseconds since the driver began, and nanoseconds of them in violation."""

    _fields_ = (("reference", ctypes.c_ulonglong), ("violation", ctypes.c_ulonglong))


class OldProcess(ctypes.Structure):
    """nvmlProcessInfo_v1_t."""

    _fields_ = (("pid", ctypes.c_uint), ("used_memory", ctypes.c_ulonglong))


class Process(ctypes.Structure):
    """nvmlProcessInfo_v2_t, which version 3 of the call uses as well."""

    _fields_ = (
        ("pid", ctypes.c_uint),
        ("used_memory", ctypes.c_ulonglong),
        ("gpu_instance", ctypes.c_uint),
        ("compute_instance", ctypes.c_uint),
    )


PROCESSES: Tuple[Tuple[str, Type[ctypes.Structure]], ...] = (
    ("nvmlDeviceGetComputeRunningProcesses_v3", Process),
    ("nvmlDeviceGetComputeRunningProcesses_v2", Process),
    ("nvmlDeviceGetComputeRunningProcesses", OldProcess),
)


class Nvml:
    """The library, initialised.

    Args:
        library: stands for the library; the driver's own when None.

    Raises:
        NvmlError: it is not there, or there is no driver.
    """

    def __init__(self, library: Any = None) -> None:
        self._library = library or _load()
        self.call("nvmlInit_v2")

    def call(self, name: str, *arguments: Any) -> None:
        """Call a function.

        Raises:
            NvmlError: it is not there, or did not succeed.
        """
        function = getattr(self._library, name, None)
        code = None if function is None else function(*arguments)
        if code != SUCCESS:
            raise NvmlError(name, code)

    def integer(self, name: str, *arguments: Any, kind: Any = ctypes.c_uint) -> Optional[int]:
        """The integer that a function writes behind its last argument; None where it fails."""
        value = kind()
        return int(value.value) if self.ask(name, *arguments, ctypes.byref(value)) else None

    def integers(self, name: str, *arguments: Any) -> Tuple[Optional[int], Optional[int]]:
        """The two integers that a function writes behind its last two arguments."""
        first, second = ctypes.c_uint(), ctypes.c_uint()
        known = self.ask(name, *arguments, ctypes.byref(first), ctypes.byref(second))
        return (int(first.value), int(second.value)) if known else (None, None)

    def text(self, name: str, *arguments: Any) -> Optional[str]:
        """The text that a function writes into a buffer, its last two arguments."""
        buffer = ctypes.create_string_buffer(TEXT_BYTES)
        known = self.ask(name, *arguments, buffer, ctypes.c_uint(TEXT_BYTES))
        return buffer.value.decode("utf-8", "replace") if known else None

    def ask(self, name: str, *arguments: Any) -> bool:
        """Call a function; whether it succeeded."""
        try:
            self.call(name, *arguments)
        except NvmlError:
            return False
        return True

    def count(self) -> int:
        """GPUs that the driver has."""
        return self.integer("nvmlDeviceGetCount_v2") or 0

    def by_index(self, index: int) -> Handle:
        """The GPU of this number in the order of the PCI bus."""
        return self._handle("nvmlDeviceGetHandleByIndex_v2", ctypes.c_uint(index))

    def by_uuid(self, uuid: str) -> Handle:
        """The GPU, or slice of one, of a UUID as CUDA_VISIBLE_DEVICES has it."""
        return self._handle("nvmlDeviceGetHandleByUUID", ctypes.c_char_p(uuid.encode()))

    def by_bus_id(self, bus_id: str) -> Handle:
        """The GPU at a place on the PCI bus: "0000:17:00.0"."""
        return self._handle("nvmlDeviceGetHandleByPciBusId_v2", ctypes.c_char_p(bus_id.encode()))

    def whole(self, device: Handle) -> Tuple[Handle, bool]:
        """The GPU itself, where the device is a slice of it; and whether it is one."""
        parent = Handle()
        sliced = self.ask("nvmlDeviceGetDeviceHandleFromMigDeviceHandle", device, ctypes.byref(parent))
        return (parent, True) if sliced else (device, False)

    def _handle(self, name: str, key: Any) -> Handle:
        handle = Handle()
        self.call(name, key, ctypes.byref(handle))
        return handle


def choose(nvml: Nvml, bus_id: Optional[str] = None, number: int = 0) -> Handle:
    """The GPU that a program uses.

    Args:
        bus_id: where it is on the PCI bus, from whoever knows; else CUDA_VISIBLE_DEVICES decides, its
            numbers in the order of the PCI bus.
        number: which of those that the program sees.

    Raises:
        NvmlError: there is no such GPU.
    """
    if bus_id is not None:
        return nvml.by_bus_id(bus_id)
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is None:
        return nvml.by_index(number)
    seen = [entry.strip() for entry in visible.split(",")]
    chosen = seen[number] if number < len(seen) else ""
    if chosen.startswith(("GPU-", "MIG-")):
        return nvml.by_uuid(chosen)
    if not chosen.isdigit():
        raise NvmlError(f"device {number} of CUDA_VISIBLE_DEVICES={visible}", None)
    return nvml.by_index(int(chosen))


def _load() -> Any:
    for name in LIBRARIES:
        try:
            return ctypes.CDLL(name)
        except OSError:
            continue
    raise NvmlError(LIBRARIES[0], None)
