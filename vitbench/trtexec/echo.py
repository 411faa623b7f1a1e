"""The options that trtexec says it runs with: whether they are the ones that were asked for.

Versions differ in what they do where nothing is said, and pass over flags they do not have any more with a
warning. So what was asked for counts for nothing, and what is echoed decides.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from vitbench.trtexec.refusals import NoResult, Reason
from vitbench.trtexec.timing import Timing

_PREFIX = re.compile(r"^\s*(?:\[[^\]]*\]\s*)*")
_SECTION = re.compile(r"^=== (?P<name>.+?) ===$")
_OPTION = re.compile(r"^(?P<name>[A-Za-z][^:]*?)\s*:\s*(?P<value>.*?)\s*$")
_NUMBER = r"\d+(?:\.\d*)?(?:e[+-]?\d+)?"
_DURATION = re.compile(
    rf"^(?P<seconds>{_NUMBER})\s*s\s*\(\+\s*(?P<ms>{_NUMBER})\s*ms warm ?up\)$", re.IGNORECASE
)
_INFERENCE = "Inference Options"
STATES = {True: "Enabled", False: "Disabled"}
# What each flag that 11 flipped is called where it is echoed.
_FLIPPED = {"Data transfers": "transfers", "CUDA Graph": "cuda_graph", "Spin-wait": "spin_wait"}
_STREAMS, _DURATIONS, _OVERLAP = ("Inference Streams", "Streams"), ("Duration",), "ExposeDMA"
# A log that does not tell one of these cannot be trusted.
_DECIDING = (*_FLIPPED, _OVERLAP)


@dataclass(frozen=True)
class Echo:
    """Echoed options by section and name, as they are written: `Enabled`, `3s (+ 200ms warm up)`."""

    sections: Mapping[str, Mapping[str, str]]

    def inference(self, name: str) -> str | None:
        """An option of the inference; None where it is not echoed."""
        return self.sections.get(_INFERENCE, {}).get(name)


def read_echo(lines: Iterable[str]) -> Echo:
    """Read the sections that end in `Options`; of a name that comes twice in one, the first counts."""
    sections: dict[str, dict[str, str]] = {}
    present: dict[str, str] | None = None
    for line in lines:
        words = line[_end(line) :].rstrip()
        if section := _SECTION.match(words):
            name = section["name"]
            present = sections.setdefault(name, {}) if name.endswith("Options") else None
        elif present is not None and (option := _OPTION.match(words)):
            present.setdefault(option["name"], option["value"])
    return Echo(sections)


def check_echo(echo: Echo, timing: Timing, *, tail: str = "") -> None:
    """Check that trtexec timed what it was asked to time.

    Args:
        tail: last lines of the log, for the error.

    Raises:
        NoResult: an echoed option is another one, or one that decides what is timed is not echoed.
    """
    for name, wanted in _wanted(timing).items():
        told = echo.inference(name)
        if told is None and name in _DECIDING:
            raise _silent(name, tail)
        if told is not None and told.lower() != wanted.lower():
            raise _other(name, told, wanted, tail)
    streams = _told(echo, _STREAMS, tail)
    if streams != str(timing.streams):
        raise _other("Streams", streams, str(timing.streams), tail)
    _check_duration(_told(echo, _DURATIONS, tail), timing, tail)


def _told(echo: Echo, names: tuple[str, ...], tail: str) -> str:
    """An option that is told under one of these names."""
    found = next((value for name in names if (value := echo.inference(name)) is not None), None)
    if found is None:
        raise _silent(names[-1], tail)
    return found


def _wanted(timing: Timing) -> dict[str, str]:
    """Echoes that are words, by name."""
    return {
        **{name: STATES[getattr(timing, field)] for name, field in _FLIPPED.items()},
        _OVERLAP: STATES[not timing.overlap],
        "Iterations": str(timing.iterations),
        "Sleep time": "0ms",
        "Idle time": "0ms",
        "Multithreading": STATES[False],
    }


def _check_duration(told: str, timing: Timing, tail: str) -> None:
    match = _DURATION.match(told)
    if match is None or float(match["seconds"]) != 0 or float(match["ms"]) != timing.warmup_ms:
        raise _other("Duration", told, f"0s (+ {timing.warmup_ms}ms warm up)", tail)


def _silent(name: str, tail: str) -> NoResult:
    return NoResult(
        Reason.OTHER_OPTIONS,
        f"trtexec does not say which `{name}` it ran with, so what it timed is not known",
        "use a trtexec that echoes its options, or report this version",
        tail=tail,
    )


def _other(name: str, told: str, wanted: str, tail: str) -> NoResult:
    return NoResult(
        Reason.OTHER_OPTIONS,
        f"trtexec ran with `{name}: {told}`, where `{wanted}` was asked for",
        "this version takes its flags in another way: its figures mean something else and are not used",
        tail=tail,
    )


def _end(line: str) -> int:
    """Where the time and the severity before a line end."""
    match = _PREFIX.match(line)
    return match.end() if match else 0
