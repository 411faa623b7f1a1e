"""What `trtexec` prints, from TensorRT 8 on: its options, figures and warnings, or why there are none."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from vitbench.benchmark_model.lines import Lines, split
from vitbench.benchmark_model.refusals import last_lines
from vitbench.trtexec.echo import Echo, read_echo
from vitbench.trtexec.flags import OLDEST
from vitbench.trtexec.refusals import NoResult, Reason, diagnose
from vitbench.trtexec.summary import Summary, read_summary
from vitbench.trtexec.version import BannerLine, Version, find_version, read_banner


class Warned(StrEnum):
    """What trtexec warns of."""

    ENQUEUE = "enqueue-bound"
    H2D = "h2d-bound"
    D2H = "d2h-bound"
    UNSTABLE = "unstable"
    NO_GRAPH = "no-graph"
    ERRORS = "errors"


@dataclass(frozen=True)
class Caution:
    """A warning. `percent` is the coefficient of variation of the GPU's time, None for other kinds."""

    kind: Warned
    percent: float | None = None


@dataclass(frozen=True)
class ToolLog:
    """What one run of the tool told.

    Attributes:
        version: of TensorRT; None where the log has neither banner nor line of it.
        echo: the options it says it ran with.
        summary: None where it timed nothing.
        warnings: each kind once, in the order of the log.
        queries: requests in its trace, without those of the warm-up.
        gpu, compute_capability: of the device it chose, as it names them.
        built_s, loaded_s: how long the engine took to build, and to load; None where it was not.
    """

    version: Version | None
    echo: Echo
    summary: Summary | None
    warnings: tuple[Caution, ...]
    queries: int | None
    gpu: str | None
    compute_capability: str | None
    built_s: float | None
    loaded_s: float | None


_NUMBER = r"\d+(?:\.\d*)?(?:e[+-]?\d+)?"
_WARNINGS = (
    (Warned.ENQUEUE, re.compile(r"Throughput may be bound by Enqueue Time", re.IGNORECASE)),
    (Warned.H2D, re.compile(r"Throughput may be bound by host-to-device", re.IGNORECASE)),
    (Warned.D2H, re.compile(r"Throughput may be bound by device-to-host", re.IGNORECASE)),
    (
        Warned.UNSTABLE,
        re.compile(
            rf"GPU compute time is unstable(?:.*?coefficient of varia\w+ = (?P<percent>{_NUMBER})\s*%)?",
            re.IGNORECASE,
        ),
    ),
    (
        Warned.NO_GRAPH,
        re.compile(r"useCudaGraph flag has been ignored|CUDA graph capture .*fail", re.IGNORECASE),
    ),
    # A build that goes well tells so of tactics that it leaves out.
    (Warned.ERRORS, re.compile(r"\[[EF]\]")),
)
# What is no result after the last line of a run: the GPU tells its errors late, and a crash may be one.
_AFTERWARDS = re.compile(
    r"\[[EF]\]|\b(?:segmentation fault|core dumped|aborted|bus error|terminate called)\b", re.IGNORECASE
)
_QUERIES = re.compile(r"Timing trace has (?P<found>\d{1,9}) queries")
_GPU = re.compile(r"Selected Device:\s*(?P<found>\S.*)")
_CAPABILITY = re.compile(r"Compute Capability:\s*(?P<found>\d+\.\d+)")
_BUILT = re.compile(rf"Engine built in (?P<found>{_NUMBER})\s*s", re.IGNORECASE)
_LOADED = re.compile(rf"Engine deserialized in (?P<found>{_NUMBER})\s*s", re.IGNORECASE)
# The block that TensorRT 7 and older print: a name alone, and its figures below.
_OLD = re.compile(r"(?:^|\]\s*)(?:Host Latency|min:\s*\S+ ms \(end to end)")


def parse(text: str, *, returncode: int | None = None) -> ToolLog:
    """Read the output of one run.

    Args:
        text: what the tool printed, both streams: see `vitbench.benchmark_model.lines.together`.
        returncode: exit status of the tool, None where unknown.

    Raises:
        NoResult: the run failed or did not come to its end, the text is cut or holds several runs, its
            layout is that of TensorRT 7, or it contradicts itself.
    """
    lines = split(text)
    banners = [banner for banner in map(read_banner, lines.all) if banner is not None]
    _refuse_old(lines, banners)
    _refuse_several(lines, banners)
    passed = any(banner.what == "PASSED" for banner in banners)
    if returncode not in (None, 0) or not passed:
        raise _why(lines, banners, returncode)
    _refuse_failed_afterwards(lines.all)
    return _read(lines.all)


def gpu_of(text: str) -> tuple[str, str | None] | None:
    """The GPU that a run chose and its compute capability, whether or not the run went on to fail."""
    lines = split(text).all
    name = _first(_GPU, lines)
    return None if name is None else (name, _first(_CAPABILITY, lines))


def _read(lines: Sequence[str]) -> ToolLog:
    queries = _first(_QUERIES, lines)
    return ToolLog(
        version=find_version(lines),
        echo=read_echo(lines),
        summary=read_summary(lines),
        warnings=_warnings(lines),
        queries=None if queries is None else int(queries),
        gpu=_first(_GPU, lines),
        compute_capability=_first(_CAPABILITY, lines),
        built_s=_seconds(_BUILT, lines),
        loaded_s=_seconds(_LOADED, lines),
    )


def _refuse_old(lines: Lines, banners: Sequence[BannerLine]) -> None:
    version = find_version(lines.all)
    if (version is not None and version < OLDEST) or any(map(_OLD.search, lines.all)):
        told = "7 or older" if version is None else str(version)
        raise NoResult(
            Reason.OLD_LAYOUT,
            f"the log is of TensorRT {told}, whose figures mean something else",
            "vitbench reads the logs of TensorRT 8 and newer",
            tail=last_lines(lines.all),
        )


def _refuse_several(lines: Lines, banners: Sequence[BannerLine]) -> None:
    """Refuse several runs, of which some may be there in part: one run begins once, ends once, and is one."""
    whats = [banner.what for banner in banners]
    once = whats == whats[:1] or (len(whats) == 2 and whats[0] == "RUNNING" != whats[1])
    if not once or (len(banners) == 2 and not banners[0].may_be_of_run(banners[1])):
        hint = "give the log of one run alone"
        message = "the log holds several runs of trtexec"
        raise NoResult(Reason.AMBIGUOUS, message, hint, tail=last_lines(lines.all))


def _refuse_failed_afterwards(lines: Sequence[str]) -> None:
    passed = max(number for number, line in enumerate(lines) if read_banner(line))
    for line in lines[passed + 1 :]:
        if _AFTERWARDS.search(line):
            message = f"trtexec failed after it had passed: {line.strip()}"
            hint = "what the GPU computed until then cannot be trusted: run it again"
            raise NoResult(Reason.CRASHED, message, hint, tail=last_lines(lines, line))


def _why(lines: Lines, banners: Sequence[BannerLine], returncode: int | None) -> NoResult:
    """Why a run is none: what it says, or that it stops."""
    told = diagnose(lines.all, returncode)
    if told.reason is not Reason.FAILED or returncode not in (None, 0):
        return told
    if any(banner.what == "FAILED" for banner in banners):
        return told
    tail = last_lines(lines.all)
    if not any(line.strip() for line in lines.all):
        return NoResult(Reason.TRUNCATED, "trtexec printed nothing", "run it again", tail=tail)
    message = "the output of trtexec stops before its line PASSED"
    return NoResult(
        Reason.TRUNCATED, message, "it crashed, was killed, or the link was lost: run it again", tail=tail
    )


def _warnings(lines: Sequence[str]) -> tuple[Caution, ...]:
    found: dict[Warned, Caution] = {}
    for line in lines:
        for kind, pattern in _WARNINGS:
            if match := pattern.search(line):
                percent = match.groupdict().get("percent")
                found.setdefault(kind, Caution(kind, None if percent is None else float(percent)))
    return tuple(found.values())


def _first(pattern: re.Pattern[str], lines: Sequence[str]) -> str | None:
    return next((match["found"].strip() for line in lines if (match := pattern.search(line))), None)


def _seconds(pattern: re.Pattern[str], lines: Sequence[str]) -> float | None:
    found = _first(pattern, lines)
    return None if found is None else float(found)
