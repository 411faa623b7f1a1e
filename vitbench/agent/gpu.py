"""The GPU beside a measurement: a Jetson's own, or one that NVML tells of."""

from __future__ import annotations

import contextlib
import os
import re
import statistics
from typing import Any, Dict, List, Optional, Set, Union

from . import files, nvml
from .jetson import Jetson, is_jetson
from .nvml_state import SLOWED, Gpu

# Runtimes that compute on a GPU. Of those whose device is an option, `cpu` means none.
RUNTIMES = ("tensorrt", "tensorrt-rtx", "trtexec", "cuda-torch")
# Readings of a machine that mean what computes: of one that computes on its GPU they are its CPUs' alone.
OF_CPU = ("clock_mhz", "clock_max_mhz", "temp_c", "throttle_count")
# Programs that draw on a screen, and take the GPU's time for it.
DESKTOPS = (
    *("Xorg", "Xwayland", "gnome-shell", "kwin_x11", "kwin_wayland", "weston", "lxpanel"),
    *("xfce4-session", "plasmashell"),
)


def used_by(runtime: str, options: Dict[str, Any]) -> bool:
    """Whether a runtime with these options computes on a GPU."""
    return runtime in RUNTIMES and not str(options.get("device", "")).startswith("cpu")


def number_of(options: Dict[str, Any]) -> int:
    """Which of the GPUs that a program sees a runtime with these options uses: `device`, 2 or "cuda:2"."""
    found = re.search(r"(\d+)$", str(options.get("device", 0)))
    return int(found.group(1)) if found else 0


def count_as_nvml() -> None:
    """Have the numbers of CUDA_VISIBLE_DEVICES count GPUs as NVML does, unless somebody chose otherwise.

    To be called before CUDA begins.
    """
    os.environ.setdefault("CUDA_DEVICE_ORDER", "PCI_BUS_ID")


class Watch:
    """Looks at one GPU from before it is used until the end of the process.

    Nothing runs beside what is timed: the clock is read between timed requests, right after one, while the
    GPU is still at the speed it worked at; everything else when somebody asks.

    Args:
        root: of the file system.
        library: stands for NVML's library; the driver's own when None.
        number: which of the GPUs that a program sees.
    """

    def __init__(self, root: str = "/", library: Any = None, number: int = 0) -> None:
        self._root = root
        self._number = number
        self._nvml: Optional[nvml.Nvml] = None
        self._gpu: Union[Jetson, Gpu, None] = None
        if is_jetson(root):
            self._gpu = Jetson(root)
        elif library is not None or root == "/":
            self._open(library)
        self._ours: Set[int] = {os.getpid()}
        self._others = self._on_any()
        self._heat_ns = self._gpu.thermal_ns() if self._gpu else None
        self._clocks_mhz: List[float] = []
        self._seen: Set[str] = set()

    def loaded(self, bus_id: Optional[str] = None) -> None:
        """Take note that this process has begun to use the GPU.

        In a container the driver lists this process under a number that it does not know itself by: the one
        that was not there before is taken for it.

        Args:
            bus_id: place of the GPU on the PCI bus, where the runtime knows; otherwise the first visible one
                stays the one that is looked at.
        """
        if bus_id is not None and self._nvml is not None:
            self._choose(bus_id)
            self._heat_ns = self._gpu.thermal_ns() if self._gpu else None
        new = set((self._gpu.processes() if self._gpu else None) or ()) - self._others
        if os.getpid() not in new and len(new) == 1:
            self._ours |= new

    def timed(self) -> None:
        """Look at the clock, and at what holds it down; to be called right after iterations were timed."""
        if self._gpu is None:
            return
        clock = self._gpu.clock_mhz()
        if clock is not None:
            self._clocks_mhz.append(clock)
        self._seen |= set(self._gpu.reasons() or ())

    def facts(self) -> Dict[str, Any]:
        """Static facts: those of `Jetson` or `Gpu`, and `desktop` (a program that draws on a screen)."""
        found = self._gpu.facts() if self._gpu else {}
        drawing = desktop(self._root) if found else None
        return {**found, "desktop": drawing} if drawing else found

    def readings(self, machine: Dict[str, Any]) -> Dict[str, Any]:
        """The witnesses of a machine, with the GPU as what computes.

        Args:
            machine: what `probe.read` gave.

        Returns:
            The same where there is no GPU to look at. Otherwise also the readings of `Jetson` or `Gpu`; what
            was read of the CPUs as `cpu_clock_mhz`, `cpu_clock_max_mhz`, `cpu_temp_c` and
            `cpu_throttle_count`; `clock_mhz`, the mean of the GPU's clock after each timed request (absent
            before the first), `clock_max_mhz` and `temp_c` of the GPU or its chip; `gpu_clock_timed_min_mhz`
            and `gpu_clock_timed_max_mhz`, between which the mean lies; `gpu_throttle_seen`, what held the
            clock down then, named as `gpu_throttle_reasons`; `throttled` (bool: the device protects itself,
            or did since it was looked at first); `gpu_foreign`, how many other processes compute on it, and
            `gpu_foreign_names`.
        """
        if self._gpu is None:
            return machine
        found = self._gpu.readings()
        readings = {f"cpu_{name}" if name in OF_CPU else name: value for name, value in machine.items()}
        readings.update(found)
        readings.update(self._of_timed())
        readings.update(self._foreign())
        throttled = self._throttled(found)
        hottest = found.get("tj_temp_c", found.get("gpu_temp_c"))
        of_gpu = {"clock_max_mhz": found.get("gpu_clock_max_mhz"), "temp_c": hottest, "throttled": throttled}
        readings.update({name: value for name, value in of_gpu.items() if value is not None})
        return readings

    def energy_j(self) -> Optional[float]:
        """What the GPU has used since some moment; None where nothing counts it."""
        return self._gpu.energy_j() if self._gpu else None

    def power(self) -> Dict[str, float]:
        """`power_w`, and `rail_NAME_w` for each rail, as they are now; empty where nothing measures them."""
        return self._gpu.power() if self._gpu else {}

    def _open(self, library: Any) -> None:
        try:
            self._nvml = nvml.Nvml(library)
            self._choose(None)
        except nvml.NvmlError:
            self._gpu = None

    def _choose(self, bus_id: Optional[str]) -> None:
        assert self._nvml is not None
        try:
            self._gpu = Gpu(self._nvml, nvml.choose(self._nvml, bus_id, self._number))
        except nvml.NvmlError:
            self._gpu = None

    def _on_any(self) -> Set[int]:
        """Processes on any GPU: which of them will be used is not always known yet."""
        found: Set[int] = set()
        library = self._nvml
        if library is None:
            return found
        for index in range(library.count()):
            with contextlib.suppress(nvml.NvmlError):
                found |= set(Gpu(library, library.by_index(index)).processes() or ())
        return found

    def _of_timed(self) -> Dict[str, Any]:
        found: Dict[str, Any] = {}
        if self._seen:
            found["gpu_throttle_seen"] = ",".join(sorted(self._seen))
        if self._clocks_mhz:
            found["clock_mhz"] = statistics.mean(self._clocks_mhz)
            found["gpu_clock_timed_min_mhz"] = min(self._clocks_mhz)
            found["gpu_clock_timed_max_mhz"] = max(self._clocks_mhz)
        return found

    def _foreign(self) -> Dict[str, Any]:
        listed = self._gpu.processes() if self._gpu else None
        if listed is None:
            return {}
        foreign = sorted(set(listed) - self._ours)
        names = ", ".join(process_name(self._root, pid) for pid in foreign)
        return {"gpu_foreign": len(foreign), **({"gpu_foreign_names": names} if foreign else {})}

    def _throttled(self, found: Dict[str, Any]) -> Optional[bool]:
        """Whether the device protects itself; None where nothing tells."""
        told = [found[name] for name in ("over_current_alarm", "held_by_heat") if name in found]
        if "gpu_throttle_reasons" in found:
            now = set(found["gpu_throttle_reasons"].split(","))
            told.append(bool((now | self._seen) & set(SLOWED)))
        if self._heat_ns is not None and "gpu_thermal_ns" in found:
            told.append(found["gpu_thermal_ns"] > self._heat_ns)
        return any(told) if told else None


def process_name(root: str, pid: int) -> str:
    """Name of a process with its number; the number alone where it is of another container."""
    name = files.text(root, f"proc/{pid}/comm")
    return f"{name} ({pid})" if name else str(pid)


def desktop(root: str) -> Optional[str]:
    """A running program that draws on a screen; None where none is to be seen."""
    for path in files.matches(root, "proc/[0-9]*/comm"):
        name = files.text(root, path)
        if name in DESKTOPS:
            return name
    return None
