"""How busy a phone is, by its kernel: load, memory, time."""

from __future__ import annotations

from dataclasses import dataclass

from vitbench.android.shell import fields, number

COMMANDS = (
    'echo "load=$(cat /proc/loadavg)"; echo "uptime=$(cat /proc/uptime)"; '
    "grep -E '^(MemTotal|MemAvailable|SwapTotal|SwapFree):' /proc/meminfo; grep '^cpu' /proc/stat"
)
# Ticks of /proc/stat: 100 a second on every kernel for Arm and x86.
NS_PER_TICK = 10_000_000
_TIMES = 8


@dataclass(frozen=True)
class Kernel:
    """None where the phone does not tell. Memory in units of 2**20 bytes, times of all CPUs since boot."""

    load1: float | None = None
    uptime_s: float | None = None
    memory_free_mb: float | None = None
    memory_total_mb: float | None = None
    swap_used_mb: float | None = None
    cpu_count: int | None = None
    cpu_busy_ns: int | None = None
    cpu_idle_ns: int | None = None
    cpu_steal_ns: int | None = None


def parse_kernel(text: str) -> Kernel:
    """Read the answer to `COMMANDS`. `cpu_count` is that of CPUs online."""
    told, memory = fields(text), fields(text, ":")
    swap_total, swap_free = _mb(memory.get("SwapTotal")), _mb(memory.get("SwapFree"))
    rows = [line.split() for line in text.splitlines() if line.startswith("cpu")]
    times = _ticks(next((row for row in rows if row[0] == "cpu"), []))
    return Kernel(
        load1=number(told.get("load")),
        uptime_s=number(told.get("uptime")),
        memory_free_mb=_mb(memory.get("MemAvailable")),
        memory_total_mb=_mb(memory.get("MemTotal")),
        swap_used_mb=None if swap_total is None or swap_free is None else swap_total - swap_free,
        cpu_count=sum(row[0] != "cpu" for row in rows) or None,
        cpu_busy_ns=None if times is None else (sum(times[0:3]) + times[5] + times[6]) * NS_PER_TICK,
        cpu_idle_ns=None if times is None else (times[3] + times[4]) * NS_PER_TICK,
        cpu_steal_ns=None if times is None else times[7] * NS_PER_TICK,
    )


def _ticks(row: list[str]) -> list[int] | None:
    """user, nice, system, idle, iowait, irq, softirq, steal."""
    times = row[1 : _TIMES + 1]
    return (
        [int(value) for value in times] if len(times) == _TIMES and all(map(str.isdecimal, times)) else None
    )


def _mb(kilobytes: str | None) -> float | None:
    value = number(kilobytes)
    return None if value is None else value / 1024
