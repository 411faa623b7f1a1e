"""What a doctor looks at: everything that was read of a machine, and what a knob answers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    from vitbench.catalog import TargetSpec


class Verdict(StrEnum):
    """What a knob does to a measurement. A reading that cannot be had is unknown, never ok."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class Finding:
    """What one knob says: what was seen, and how to mend it where something is to be mended."""

    knob: str
    verdict: Verdict
    seen: str
    fix: str | None = None


@dataclass(frozen=True)
class Busy:
    """A process that is not ours, and how many CPUs it kept busy while it was watched."""

    pid: int
    name: str
    cpus: float


@dataclass(frozen=True)
class Place:
    """Where vitbench writes: what for, which directory, and what is free there in units of 2**20 bytes."""

    use: str
    path: Path
    free_mb: float | None


@dataclass(frozen=True)
class Library:
    """A library that the figures depend on; None where it is not installed, or no version was tested."""

    name: str
    installed: str | None
    tested: str | None


@dataclass(frozen=True)
class Machine:
    """Readings of one target, taken twice with nothing of ours running in between.

    Args:
        facts: as `vitbench.agent.machine.describe` names them.
        before, after: as `vitbench.agent.probe.read` names them.
        busy: other processes, the busiest first; None where the target does not list them.
        threads: what a measurement on this target would use.
        runtime: name of the target's runtime.
        runtime_version: None when the target does not have it.
        places: on the machine that vitbench runs on, as are `libraries`.
        target: which device is meant, where it computes on a GPU.
    """

    facts: Mapping[str, Any]
    before: Mapping[str, Any]
    after: Mapping[str, Any]
    busy: tuple[Busy, ...] | None = None
    threads: int = 1
    runtime: str = ""
    runtime_version: str | None = None
    places: tuple[Place, ...] = ()
    libraries: tuple[Library, ...] = ()
    target: TargetSpec | None = None

    def number(self, name: str) -> float | None:
        """A number among the later readings."""
        return _number(self.after, name)

    def fact(self, name: str) -> float | None:
        """A number among the facts."""
        return _number(self.facts, name)

    def change(self, name: str) -> float | None:
        """How far a number went between the readings."""
        first, last = _number(self.before, name), _number(self.after, name)
        return None if first is None or last is None else last - first

    def cpus_over_time(self, name: str) -> float | None:
        """CPUs' worth of a CPU time in nanoseconds: its change over the time between the readings."""
        spent_ns, seconds = self.change(name), self.change("uptime_s")
        return None if spent_ns is None or not seconds or seconds <= 0 else spent_ns / 1e9 / seconds

    @property
    def allowed_cpus(self) -> int | None:
        """CPUs that a measurement may run on."""
        allowed = self.facts.get("allowed_cpus")
        return len(allowed) if isinstance(allowed, list | tuple) and allowed else None


class Voice:
    """How a knob says what it found."""

    name: ClassVar[str]

    def ok(self, seen: str) -> Finding:
        """All is well."""
        return Finding(self.name, Verdict.OK, seen)

    def warn(self, seen: str, fix: str) -> Finding:
        """Measurements get noisier, or less comparable."""
        return Finding(self.name, Verdict.WARN, seen, fix)

    def fail(self, seen: str, fix: str) -> Finding:
        """Measurements fail, or are void."""
        return Finding(self.name, Verdict.FAIL, seen, fix)

    def unknown(self, seen: str, fix: str | None = None) -> Finding:
        """Nobody can tell."""
        return Finding(self.name, Verdict.UNKNOWN, seen, fix)


class Knob(Voice, ABC):
    """Something about a machine that spoils measurements, and what can be done about it."""

    @abstractmethod
    def judge(self, machine: Machine) -> Finding:
        """Judge the readings."""


def _number(readings: Mapping[str, Any], name: str) -> float | None:
    value = readings.get(name)
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None
