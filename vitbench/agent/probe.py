"""Witnesses: what the machine says about itself beside a measurement.

Every function takes the root of the file system, so that tests can lay out a machine of their own.
"""

from __future__ import annotations

import os
import resource
from typing import Any, Dict, List, Optional, Tuple

from . import files

NS_PER_S = 1000000000
CPU = "sys/devices/system/cpu"
# A sensor without a chip behind it reports absurd temperatures.
PLAUSIBLE_C = (-40.0, 150.0)
CPU_SENSORS = ("coretemp", "k10temp", "zenpower", "cpu_thermal")


def read(root: str = "/") -> Dict[str, Any]:
    """Read every witness there is; one that cannot be read is absent.

    Returns:
        `clock_mhz` (present, highest of the CPUs this process may use), `clock_max_mhz`, `governor`, `turbo`
        (bool), `temp_c` (hottest zone), `throttle_count` (events of all cores since boot), `load1`,
        `memory_free_mb` (available), `memory_total_mb`, `swap_used_mb`, `cpu_count`, `cpu_busy_ns`,
        `cpu_idle_ns`, `cpu_steal_ns` (all CPUs since boot), `kept_cpu_count` and `kept_cpu_busy_ns` (of the
        CPUs that this process is kept to, where these are not all), `own_cpu_ns` and `peak_rss_bytes` (this
        process), `uptime_s`, `pressure_cpu` (per cent of the last 10 s in which somebody waited for a CPU).
        MB are 2**20 bytes.
    """
    cpus = allowed_cpus(root)
    found: Dict[str, Any] = {
        "clock_mhz": clock_mhz(root, cpus),
        "clock_max_mhz": clock_max_mhz(root, cpus),
        "governor": governor(root, cpus),
        "turbo": turbo(root),
        "temp_c": temp_c(root),
        "throttle_count": throttle_count(root),
        "load1": _first_number(files.text(root, "proc/loadavg")),
        "uptime_s": _first_number(files.text(root, "proc/uptime")),
        "own_cpu_ns": process_cpu_ns(root, "self"),
        "peak_rss_bytes": peak_rss_bytes(root),
        "pressure_cpu": pressure_cpu(root),
        "swap_used_mb": swap_used_mb(root),
    }
    found.update(memory_mb(root))
    found.update(cpu_times_ns(root))
    found.update(kept_cpu_times_ns(root, cpus))
    return {name: value for name, value in found.items() if value is not None}


def allowed_cpus(root: str) -> List[int]:
    """CPUs that this process may run on."""
    status = dict(files.fields(files.text(root, "proc/self/status")))
    return files.cpu_list(status.get("Cpus_allowed_list"))


def clock_mhz(root: str, cpus: List[int]) -> Optional[float]:
    """Highest present clock of the given CPUs: idle ones say nothing. From cpufreq, else from cpuinfo."""
    khz = _cpufreq(root, cpus, "scaling_cur_freq")
    if khz:
        return max(khz) / 1000
    pairs = files.fields(files.text(root, "proc/cpuinfo"))
    values = [_first_number(value) for name, value in pairs if name == "cpu MHz"]
    numbers = [value for index, value in enumerate(values) if value and index in cpus]
    return max(numbers, default=None)


def clock_max_mhz(root: str, cpus: List[int]) -> Optional[float]:
    """Highest clock that any of the given CPUs may reach."""
    khz = _cpufreq(root, cpus, "cpuinfo_max_freq")
    return max(khz) / 1000 if khz else None


def governor(root: str, cpus: List[int]) -> Optional[str]:
    """Frequency governor of the given CPUs; several, if they differ, joined with commas."""
    names = {files.text(root, f"{CPU}/cpu{cpu}/cpufreq/scaling_governor") for cpu in cpus}
    return ",".join(sorted(name for name in names if name)) or None


def turbo(root: str) -> Optional[bool]:
    """Whether clocks above the nominal one are allowed."""
    no_turbo = files.number(root, CPU + "/intel_pstate/no_turbo")
    if no_turbo is not None:
        return no_turbo == 0
    boost = files.number(root, CPU + "/cpufreq/boost")
    return None if boost is None else boost != 0


def temp_c(root: str) -> Optional[float]:
    """Hottest thermal zone or CPU sensor, degrees C."""
    paths = files.matches(root, "sys/class/thermal/thermal_zone*/temp")
    for sensor in files.matches(root, "sys/class/hwmon/hwmon*"):
        if files.text(root, sensor + "/name") in CPU_SENSORS:
            paths += files.matches(root, sensor + "/temp*_input")
    degrees = [value / 1000 for value in (files.number(root, path) for path in paths) if value is not None]
    plausible = [value for value in degrees if PLAUSIBLE_C[0] < value < PLAUSIBLE_C[1]]
    return max(plausible) if plausible else None


def throttle_count(root: str) -> Optional[int]:
    """Thermal throttling events of all cores since boot."""
    paths = files.matches(root, CPU + "/cpu*/thermal_throttle/core_throttle_count")
    counts = [count for count in (files.number(root, path) for path in paths) if count is not None]
    return int(sum(counts)) if counts else None


def memory_mb(root: str) -> Dict[str, Optional[float]]:
    """Memory that is there, and that a new program could have, in units of 2**20 bytes."""
    info = dict(files.fields(files.text(root, "proc/meminfo")))
    free_kb, total_kb = (_first_number(info.get(name)) for name in ("MemAvailable", "MemTotal"))
    return {
        "memory_free_mb": None if free_kb is None else free_kb / 1024,
        "memory_total_mb": None if total_kb is None else total_kb / 1024,
    }


def swap_used_mb(root: str) -> Optional[float]:
    """Memory that was moved to disk, in units of 2**20 bytes."""
    info = dict(files.fields(files.text(root, "proc/meminfo")))
    total_kb, free_kb = (_first_number(info.get(name)) for name in ("SwapTotal", "SwapFree"))
    return None if total_kb is None or free_kb is None else (total_kb - free_kb) / 1024


def cpu_times_ns(root: str) -> Dict[str, int]:
    """What all CPUs did since boot: busy (without what was stolen by a hypervisor), idle, stolen."""
    lines = (files.text(root, "proc/stat") or "").splitlines()
    rows = [line.split() for line in lines if line.startswith("cpu")]
    if not rows or len(rows[0]) < 9:
        return {}
    idle, iowait, steal = (int(rows[0][column]) for column in (4, 5, 8))
    return {
        "cpu_count": len(rows) - 1,
        "cpu_busy_ns": _busy_ns(rows[0][1:]),
        "cpu_idle_ns": _ticks_ns(idle + iowait),
        "cpu_steal_ns": _ticks_ns(steal),
    }


def _busy_ns(columns: List[str]) -> int:
    """Busy time of a line of proc/stat, its name left out; not what a hypervisor stole."""
    user, nice, system, _, _, irq, softirq = (int(value) for value in columns[:7])
    return _ticks_ns(user + nice + system + irq + softirq)


def kept_cpu_times_ns(root: str, cpus: List[int]) -> Dict[str, int]:
    """How many of the CPUs these are, and what they did since boot; nothing where they are all there is."""
    rows = dict(files.fields(files.text(root, "proc/stat"), " "))
    kept = [rows[f"cpu{cpu}"] for cpu in cpus if f"cpu{cpu}" in rows]
    every = [name for name in rows if name.startswith("cpu") and name != "cpu"]
    if not kept or len(kept) == len(every):
        return {}
    return {"kept_cpu_count": len(kept), "kept_cpu_busy_ns": sum(_busy_ns(row.split()) for row in kept)}


def process_cpu_ns(root: str, pid: str) -> Optional[int]:
    """CPU time, user and system, that a process has used since it started."""
    parsed = _process(root, pid)
    return None if parsed is None else parsed[1]


def peak_rss_bytes(root: str) -> Optional[int]:
    """Largest resident size this process ever had.

    From the kernel's VmHWM, which starts anew with the program; the peak that getrusage gives is inherited
    from the process that started this one, and only used where there is nothing better.
    """
    status = dict(files.fields(files.text(root, "proc/self/status")))
    peak_kb = _first_number(status.get("VmHWM"))
    if peak_kb is not None:
        return int(peak_kb) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 if root == "/" else None


def pressure_cpu(root: str) -> Optional[float]:
    """Per cent of the last 10 s in which some process waited for a CPU."""
    for line in (files.text(root, "proc/pressure/cpu") or "").splitlines():
        words = dict(word.split("=", 1) for word in line.split()[1:] if "=" in word)
        if line.startswith("some"):
            return _first_number(words.get("avg10"))
    return None


def processes(root: str = "/") -> List[Dict[str, Any]]:
    """Every process but this one that has used CPU time: `pid`, `name`, `cpu_ns` since it started."""
    own = str(os.getpid()) if root == "/" else "self"
    listed = []
    for path in files.matches(root, "proc/[0-9]*"):
        pid = path.rpartition("/")[2]
        parsed = _process(root, pid) if pid != own else None
        if parsed is not None and parsed[1] > 0:
            listed.append({"pid": int(pid), "name": parsed[0], "cpu_ns": parsed[1]})
    return listed


def _process(root: str, pid: str) -> Optional[Tuple[str, int]]:
    """Name and CPU time of a process. The name is in parentheses and may hold any character."""
    content = files.text(root, f"proc/{pid}/stat") or ""
    head, found, rest = content.rpartition(")")
    words = rest.split()
    if not found or len(words) < 13:
        return None
    return head.partition("(")[2], _ticks_ns(int(words[11]) + int(words[12]))


def _cpufreq(root: str, cpus: List[int], name: str) -> List[float]:
    values = (files.number(root, f"{CPU}/cpu{cpu}/cpufreq/{name}") for cpu in cpus)
    return [value for value in values if value is not None]


def _ticks_ns(ticks: int) -> int:
    return ticks * NS_PER_S // os.sysconf("SC_CLK_TCK")


def _first_number(content: Optional[str]) -> Optional[float]:
    try:
        return float((content or "").split()[0])
    except (IndexError, ValueError):
        return None
