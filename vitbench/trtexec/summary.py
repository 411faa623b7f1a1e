"""The performance summary that trtexec prints last: throughput, and statistics of each part of a request."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from vitbench.benchmark_model.refusals import last_lines
from vitbench.trtexec.refusals import NoResult, Reason

# Figures are printed with six digits, and a mean of such.
PRINTED = 1e-3

_NUMBER = r"[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:e[+-]?\d+)?|[+-]?nan|[+-]?inf"
# Only a line with figures: the explanations that --verbose adds begin alike.
_STATISTICS = re.compile(
    r"(?<![\w-])(?P<name>End-to-End Host Latency|(?:[HD]2[HD] )?Latency|Enqueue Time|GPU Compute Time)"
    r"\s*:\s*(?P<pairs>min\s*=.*)"
)
_PAIR = re.compile(
    rf"(?P<name>min|max|mean|median|percentile\(\s*(?P<percent>[\d.]+)\s*%?\s*\))\s*=\s*"
    rf"(?P<value>{_NUMBER})\s*ms(?![\w.])",
    re.IGNORECASE,
)
_SINGLE = {
    "throughput_qps": re.compile(rf"(?<![\w-])Throughput\s*:\s*({_NUMBER})\s*qps", re.IGNORECASE),
    "host_s": re.compile(rf"(?<![\w-])Total Host Walltime\s*:\s*({_NUMBER})\s*s\b", re.IGNORECASE),
    "gpu_s": re.compile(rf"(?<![\w-])Total GPU Compute Time\s*:\s*({_NUMBER})\s*s\b", re.IGNORECASE),
}


@dataclass(frozen=True)
class Statistics:
    """Statistics of one part over all requests, in ms. `percentiles` is by percent, without interpolation."""

    min_ms: float
    max_ms: float
    mean_ms: float
    median_ms: float
    percentiles: Mapping[float, float]


@dataclass(frozen=True)
class Summary:
    """The summary: `latency` is the sum of the three parts of a request, without gaps between them.

    `throughput_qps` counts requests a second, `host_s` and `gpu_s` are the whole time and that of computing;
    None where a version does not tell.
    """

    latency: Statistics
    compute: Statistics
    h2d: Statistics
    d2h: Statistics
    enqueue: Statistics | None
    throughput_qps: float | None
    host_s: float | None
    gpu_s: float | None


def read_summary(lines: Iterable[str]) -> Summary | None:
    """Find the summary in a log; None where it has none.

    Raises:
        NoResult: there are several, one is not whole, or its figures contradict each other.
    """
    kept = list(lines)
    found: dict[str, Statistics] = {}
    for line in kept:
        if match := _STATISTICS.search(line):
            if match["name"] in found:
                hint = "give the log of one run alone"
                raise NoResult(Reason.AMBIGUOUS, "the log holds several summaries of trtexec", hint)
            found[match["name"]] = _statistics(match["name"], match["pairs"], kept)
    if not found:
        return None
    missing = [
        name for name in ("Latency", "GPU Compute Time", "H2D Latency", "D2H Latency") if name not in found
    ]
    if missing:
        message = f"the summary of trtexec lacks its line `{missing[0]}`"
        raise NoResult(Reason.TRUNCATED, message, "give the whole log", tail=last_lines(kept))
    summary = Summary(
        latency=found["Latency"],
        compute=found["GPU Compute Time"],
        h2d=found["H2D Latency"],
        d2h=found["D2H Latency"],
        enqueue=found.get("Enqueue Time"),
        **{name: _single(pattern, kept) for name, pattern in _SINGLE.items()},
    )
    _check_sum(summary, kept)
    return summary


def _statistics(name: str, text: str, lines: list[str]) -> Statistics:
    """The figures of one line."""
    told: dict[str, float] = {}
    percentiles: dict[float, float] = {}
    for pair in _PAIR.finditer(text):
        if pair["percent"]:
            percentiles[float(pair["percent"])] = float(pair["value"])
        else:
            told[pair["name"].lower()] = float(pair["value"])
    if told.keys() != {"min", "max", "mean", "median"}:
        message = f"the line `{name}` of trtexec's summary is not whole"
        raise NoResult(Reason.TRUNCATED, message, "give the whole log", tail=last_lines(lines))
    figures = [*told.values(), *percentiles.values()]
    ordered = [told["min"], told["median"], told["max"]]
    rising = [value for _, value in sorted(percentiles.items())]
    inside = [told["mean"], *rising]
    sensible = (
        all(math.isfinite(value) and value >= 0 for value in figures)
        and ordered == sorted(ordered)
        and rising == sorted(rising)
        and all(told["min"] * (1 - PRINTED) <= value <= told["max"] * (1 + PRINTED) for value in inside)
    )
    if not sensible:
        raise _contradiction(f"the figures of `{name}`", lines)
    return Statistics(told["min"], told["max"], told["mean"], told["median"], percentiles)


def _check_sum(summary: Summary, lines: list[str]) -> None:
    """Refuse a latency whose mean is not the sum of those of its parts, and computing that took no time."""
    parts = summary.h2d.mean_ms + summary.compute.mean_ms + summary.d2h.mean_ms
    if not math.isclose(summary.latency.mean_ms, parts, rel_tol=PRINTED):
        raise _contradiction("the latency and its parts", lines)
    if summary.compute.median_ms <= 0:
        raise _contradiction("requests, and computing that takes no time,", lines)


def _contradiction(what: str, lines: list[str]) -> NoResult:
    message = f"{what} in trtexec's summary contradict each other"
    hint = "the log is damaged, or mixes several runs: run trtexec again"
    return NoResult(Reason.CONTRADICTORY, message, hint, tail=last_lines(lines))


def _single(pattern: re.Pattern[str], lines: list[str]) -> float | None:
    """A figure that stands alone in its line; None where it is not told, or is no number."""
    for line in lines:
        if match := pattern.search(line):
            value = float(match[1])
            return value if math.isfinite(value) else None
    return None
