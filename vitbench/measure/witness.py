"""External witnesses: what the machine said before and after a block, and whether that voids the block.

Nothing here sees a sample: a block is never dropped for being slow, only for what happened around it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from vitbench.measure.session import Readings
from vitbench.records.schema import Probe

CLOCK_SHARE = 0.9
# A clock that is locked stays, but for rounding.
LOCKED_SHARE = 0.99
CPU_TOLERANCE = 0.25
# CPU times advance in ticks of 10 ms: over less than this they say nothing.
MIN_INTERVAL_S = 0.2
# Readings that only a phone gives.
PHONE = (
    *("thermal_status", "skin_c", "battery_c", "battery_percent", "plugged", "screen_on"),
    *("battery_saver", "fixed_performance"),
)
# Readings that only an agent gives which looks at a GPU; rails are named by their boards.
GPU = (
    *("power_mode", "clocks_locked", "held_by_heat", "over_current_count", "over_current_alarm"),
    *("gpu_clock_mhz", "gpu_clock_min_mhz", "gpu_clock_max_mhz", "gpu_governor"),
    *("gpu_clock_timed_min_mhz", "gpu_clock_timed_max_mhz", "gpu_application_clock_mhz"),
    *("gpu_memory_clock_mhz", "gpu_memory_clock_max_mhz", "cpu_clock_mhz", "cpu_clock_max_mhz"),
    "cpu_throttle_count",
    *("gpu_temp_c", "tj_temp_c", "cpu_temp_c", "soc_temp_c"),
    *("power_w", "power_of", "power_limit_w", "gpu_power_cap_ns", "gpu_thermal_ns"),
    *("gpu_throttle_reasons", "gpu_throttle_seen", "gpu_foreign", "gpu_foreign_names"),
    *("gpu_memory_used_mb", "gpu_ecc", "gpu_ecc_corrected", "gpu_ecc_uncorrected"),
    *("pcie_gen", "pcie_gen_max", "pcie_width", "pcie_width_max", "gpu_persistence"),
)
RAIL = re.compile(r"rail_\w+_w")


@dataclass(frozen=True)
class Judgement:
    """Both probes of a block, and why it is invalid (None where nothing speaks against it)."""

    before: Probe
    after: Probe
    invalid: str | None


def judge(before: Readings, after: Readings, *, threads: int, clock_max_mhz: float | None) -> Judgement:
    """Turn the readings round a block into its probes and a verdict.

    Invalid when the device throttled, when a phone's thermal status rose, when a board counted an
    over-current event, when the clock after the block (of a GPU: during it) is under 90 % of the highest seen
    in this session, or moved though it is locked, when another process computes on the GPU, when other
    processes used more CPUs than this block's threads left idle, by a quarter of a CPU (of all CPUs, or of
    those that the block keeps to), or when a hypervisor withheld more than a quarter of one. A GPU that is
    held at its power cap is not throttled: large ones work there. A reading that is missing is listed as
    unknown and decides nothing.

    Args:
        before: readings before the warm-up.
        after: readings after the last timed iteration.
        threads: threads of the block's runtime.
        clock_max_mhz: highest clock seen in this session before the block; None where unknown.
    """
    during = {
        "throttled": _throttled(before, after),
        "foreign_cpu": _foreign_cpu(before, after),
        "stolen_cpu": _stolen_cpu(before, after),
    }
    never_known = tuple(name for name, value in during.items() if value is None)
    first = _probe(before, {"throttled": _flag(before, "throttled")}, never_known)
    last = _probe(after, during, never_known)
    highest = highest_clock_mhz(clock_max_mhz, first.clock_mhz, last.clock_mhz)
    verdict = _verdict(first, last, threads, _number(after, "cpu_count"), highest)
    return Judgement(first, last, verdict or _crowded(before, after, threads))


def beside(readings: Readings, other: Readings) -> Readings:
    """Readings of a process whose own CPU time is that of another as well: both are ours.

    Unknown where that of either is.
    """
    own, others = _number(readings, "own_cpu_ns"), _number(other, "own_cpu_ns")
    rest = {name: value for name, value in readings.items() if name != "own_cpu_ns"}
    return rest if own is None or others is None else {**rest, "own_cpu_ns": own + others}


def highest_clock_mhz(*clocks_mhz: float | None) -> float | None:
    """The highest of those that are known; None where none is."""
    return max((clock for clock in clocks_mhz if clock is not None), default=None)


def temperature_c(readings: Readings) -> float | None:
    """Temperature in degrees C, None where the machine does not tell."""
    return _number(readings, "temp_c")


def _verdict(
    before: Probe, after: Probe, threads: int, cpus: float | None, clock_max_mhz: float | None
) -> str | None:
    if after.throttled:
        return "the device throttled"
    if reason := _thermal_rise(before, after) or _of_board(before, after) or _of_gpu(before, after):
        return reason
    clock = after.clock_mhz
    if clock is not None and clock_max_mhz is not None and clock < CLOCK_SHARE * clock_max_mhz:
        return f"the clock fell to {clock:.0f} MHz, {clock / clock_max_mhz:.0%} of {clock_max_mhz:.0f} MHz"
    if after.foreign_cpu is not None and cpus is not None:
        idle = max(0.0, cpus - threads)
        if after.foreign_cpu > idle + CPU_TOLERANCE:
            return f"other processes used {after.foreign_cpu:.2f} CPUs, where {idle:.0f} were idle"
    if after.stolen_cpu is not None and after.stolen_cpu > CPU_TOLERANCE:
        return f"the hypervisor withheld {after.stolen_cpu:.2f} CPUs"
    return None


def _crowded(before: Readings, after: Readings, threads: int) -> str | None:
    """Whether others used the CPUs that the block keeps to, where these are not all."""
    cpus, foreign = _number(after, "kept_cpu_count"), _foreign_cpu(before, after, "kept_cpu_busy_ns")
    if cpus is None or foreign is None or foreign <= max(0.0, cpus - threads) + CPU_TOLERANCE:
        return None
    kept = "the CPU" if cpus == 1 else f"the {cpus:.0f} CPUs"
    return f"other processes used {foreign:.2f} of {kept} that the block keeps to"


def _thermal_rise(before: Probe, after: Probe) -> str | None:
    """Whether a phone's thermal status (0 to 6) is higher after the block."""
    levels = [(probe.phone or {}).get("thermal_status") for probe in (before, after)]
    first, last = (float(level) if isinstance(level, (int, float)) else None for level in levels)
    if first is None or last is None or last <= first:
        return None
    return f"the thermal status of the phone rose from {first:.0f} to {last:.0f}"


def _of_board(before: Probe, after: Probe) -> str | None:
    """Whether a board protected its supply during the block."""
    counts = [_number(probe.gpu or {}, "over_current_count") for probe in (before, after)]
    if counts[0] is None or counts[1] is None or counts[1] <= counts[0]:
        return None
    return f"the board counted {counts[1] - counts[0]:.0f} over-current events"


def _of_gpu(before: Probe, after: Probe) -> str | None:
    """Whether somebody else used the GPU, or its clock did not stay where it is locked."""
    for probe in (before, after):
        seen = probe.gpu or {}
        if _number(seen, "gpu_foreign"):
            return f"another process computes on the GPU: {seen.get('gpu_foreign_names', 'unnamed')}"
    low, high = (_number(after.gpu or {}, f"gpu_clock_timed_{end}_mhz") for end in ("min", "max"))
    locked = (after.gpu or {}).get("clocks_locked") is True
    if locked and low is not None and high is not None and low < LOCKED_SHARE * high:
        return f"the GPU's clock moved between {low:.0f} and {high:.0f} MHz, though it is locked"
    return None


def _probe(
    readings: Readings, during: Mapping[str, bool | float | None], never_known: tuple[str, ...]
) -> Probe:
    """One probe from its own readings and what both together tell of the block."""
    governor = readings.get("governor")
    own = {
        "load1": _number(readings, "load1"),
        "clock_mhz": _number(readings, "clock_mhz"),
        "temp_c": _number(readings, "temp_c"),
        "governor": None if governor is None else str(governor),
        "memory_free_mb": _number(readings, "memory_free_mb"),
    }
    phone = {name: readings[name] for name in PHONE if name in readings}
    gpu = {name: value for name, value in readings.items() if name in GPU or RAIL.fullmatch(name)}
    missing = tuple(name for name, value in own.items() if value is None)
    return Probe.model_validate(
        {**own, **during, "phone": phone or None, "gpu": gpu or None, "unknown": missing + never_known}
    )


def _throttled(before: Readings, after: Readings) -> bool | None:
    """Whether either flag is up or the count of throttling events rose; None where neither can be read."""
    flags = [flag for flag in (_flag(before, "throttled"), _flag(after, "throttled")) if flag is not None]
    rise = _difference(before, after, "throttle_count")
    if any(flags) or (rise is not None and rise > 0):
        return True
    return False if flags or rise is not None else None


def _foreign_cpu(before: Readings, after: Readings, of: str = "cpu_busy_ns") -> float | None:
    """CPUs kept busy by others: (busy time of all CPUs, or of others - that of the agent) / time."""
    seconds = _seconds(before, after)
    busy, own = _difference(before, after, of), _difference(before, after, "own_cpu_ns")
    if seconds is None or busy is None or own is None:
        return None
    return max(0.0, (busy - own) / 1e9 / seconds)


def _stolen_cpu(before: Readings, after: Readings) -> float | None:
    """CPUs withheld by a hypervisor: stolen time / time."""
    seconds, stolen = _seconds(before, after), _difference(before, after, "cpu_steal_ns")
    return None if seconds is None or stolen is None else max(0.0, stolen / 1e9 / seconds)


def _seconds(before: Readings, after: Readings) -> float | None:
    seconds = _difference(before, after, "uptime_s")
    return seconds if seconds is not None and seconds >= MIN_INTERVAL_S else None


def _difference(before: Readings, after: Readings, name: str) -> float | None:
    first, last = _number(before, name), _number(after, name)
    return None if first is None or last is None else last - first


def _number(readings: Readings, name: str) -> float | None:
    value = readings.get(name)
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _flag(readings: Readings, name: str) -> bool | None:
    value = readings.get(name)
    return value if isinstance(value, bool) else None
