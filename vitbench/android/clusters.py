"""The cores of a phone: which belong together, how fast they may run now, and masks to bind programs to them.

A cluster is the set of cores with the same highest clock; where clocks cannot be read, with the same
capacity. From the slowest: `little`, `big`, `prime`. Two clusters are little and big; one alone is big. With
three or more, `big` means every core that is not in the slowest cluster, and `prime` the fastest cluster: on
a Snapdragon 855 (4 + 3 + 1) little is mask f, big f0, prime 80.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from vitbench.android.shell import number
from vitbench.errors import UsageError

Cluster = Literal["little", "big", "prime"]
CLUSTERS: tuple[Cluster, ...] = ("little", "big", "prime")

_CPU = "/sys/devices/system/cpu"
_FILES = (
    "cpu_capacity",
    "cpufreq/cpuinfo_max_freq",
    "cpufreq/scaling_max_freq",
    "cpufreq/scaling_cur_freq",
    "cpufreq/scaling_governor",
)
# `read` is part of the shell: no process is started for any of these files.
COMMANDS = (
    f"for c in {_CPU}/cpu[0-9]*; do for f in {' '.join(_FILES)}; do "
    'v=; { read -r v < $c/$f; } 2>/dev/null; echo "${c##*/} ${f##*/} $v"; done; done; '
    f'echo "online $(cat {_CPU}/online)"'
)
_LINE = re.compile(r"^cpu(?P<cpu>\d+) (?P<file>\w+) (?P<value>\S.*)?$")
_ONLINE = re.compile(r"^online (?P<cpus>[\d,-]+)$", re.MULTILINE)


@dataclass(frozen=True)
class Core:
    """One CPU. Clocks in MHz, None where the phone does not tell; `limit_mhz` is what it may reach now."""

    cpu: int
    online: bool | None = None
    capacity: float | None = None
    max_mhz: float | None = None
    limit_mhz: float | None = None
    clock_mhz: float | None = None
    governor: str | None = None

    @property
    def capped(self) -> bool | None:
        """Whether something, like heat, keeps it below its highest clock."""
        if self.max_mhz is None or self.limit_mhz is None:
            return None
        return self.limit_mhz < self.max_mhz


def parse_cores(text: str) -> tuple[Core, ...]:
    """Read the answer to `COMMANDS`; in the order of the CPUs' numbers."""
    told: dict[int, dict[str, str]] = {}
    for match in filter(None, map(_LINE.match, text.splitlines())):
        told.setdefault(int(match["cpu"]), {})[match["file"]] = (match["value"] or "").strip()
    listed = _ONLINE.search(text)
    online = set(cpu_list(listed["cpus"])) if listed else None
    return tuple(_core(cpu, told[cpu], online) for cpu in sorted(told))


def clusters(cores: Sequence[Core]) -> tuple[tuple[int, ...], ...] | None:
    """The CPUs of each cluster, the slowest first; None where the phone does not tell.

    A core that is offline may not tell its clock; it belongs to no cluster then.
    """
    clocks = {core.cpu: core.max_mhz for core in cores if core.max_mhz is not None}
    capacities = {core.cpu: core.capacity for core in cores if core.capacity is not None}
    running = {core.cpu for core in cores if core.online is not False}
    for speeds in (clocks, capacities):
        if running and running <= speeds.keys():
            return tuple(
                tuple(cpu for cpu, speed in sorted(speeds.items()) if speed == each)
                for each in sorted(set(speeds.values()))
            )
    return None


def cpus_of(cores: Sequence[Core], cluster: Cluster) -> tuple[int, ...]:
    """The CPUs of a cluster that can be used now.

    Raises:
        UsageError: the phone has no such cluster, or does not tell its clusters, or all of it is offline.
    """
    groups = clusters(cores)
    if groups is None:
        raise UsageError(
            f"this phone does not tell which of its cores are {cluster}",
            "it lets nobody read /sys/devices/system/cpu: measure on one that does",
        )
    named = _named(groups)
    if cluster not in named:
        raise UsageError(f"this phone has no {cluster} cores", f"it has {', '.join(named)}")
    offline = {core.cpu for core in cores if core.online is False}
    usable = tuple(cpu for cpu in named[cluster] if cpu not in offline)
    if not usable:
        raise UsageError(
            f"every {cluster} core of this phone is offline", "wake it up, or choose another cluster"
        )
    return usable


def mask_for(cores: Sequence[Core], cluster: Cluster, threads: int) -> int:
    """The affinity mask of a cluster, one bit each CPU; `taskset` takes it in hexadecimal.

    Raises:
        UsageError: as `cpus_of`, or there are more threads than CPUs.
    """
    cpus = cpus_of(cores, cluster)
    if threads > len(cpus):
        raise UsageError(
            f"{threads} threads do not fit on the {len(cpus)} {cluster} cores of this phone that are online",
            "ask for fewer threads, or for another cluster",
        )
    return mask_of(cpus)


def mask_of(cpus: Sequence[int]) -> int:
    """The affinity mask of some CPUs."""
    return sum(1 << cpu for cpu in set(cpus))


def cores_of(cores: Sequence[Core], mask: int | None) -> tuple[Core, ...]:
    """The cores of a mask that are not offline; all of those where it is None."""
    return tuple(
        core for core in cores if core.online is not False and (mask is None or mask >> core.cpu & 1)
    )


def cpu_list(text: str) -> list[int]:
    """CPU numbers of the kernel's list form: "0-2,5" is [0, 1, 2, 5]."""
    cpus: list[int] = []
    for first, last in re.findall(r"(\d+)(?:-(\d+))?", text):
        cpus.extend(range(int(first), int(last or first) + 1))
    return cpus


def _named(groups: Sequence[tuple[int, ...]]) -> dict[Cluster, tuple[int, ...]]:
    if len(groups) == 1:
        return {"big": groups[0]}
    upper = tuple(sorted(cpu for group in groups[1:] for cpu in group))
    named: dict[Cluster, tuple[int, ...]] = {"little": groups[0], "big": upper}
    return named if len(groups) == 2 else {**named, "prime": groups[-1]}


def _core(cpu: int, told: dict[str, str], online: set[int] | None) -> Core:
    return Core(
        cpu=cpu,
        online=None if online is None else cpu in online,
        capacity=number(told.get("cpu_capacity")),
        max_mhz=_mhz(told.get("cpuinfo_max_freq")),
        limit_mhz=_mhz(told.get("scaling_max_freq")),
        clock_mhz=_mhz(told.get("scaling_cur_freq")),
        governor=told.get("scaling_governor") or None,
    )


def _mhz(khz: str | None) -> float | None:
    value = number(khz)
    return value / 1000 if value else None
