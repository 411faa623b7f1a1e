"""The count line: the statistics of one series of inferences, `count=50 first=.. curr=.. min=..`."""

from __future__ import annotations

import re
from dataclasses import dataclass

MOST_DIGITS = 9
_PAIR = re.compile(r"(?P<name>\w+)=(?P<value>[+-]?(?:\d+(?:\.\d*)?(?:e[+-]?\d+)?|nan|inf))", re.IGNORECASE)
_SPACE = re.compile(r"\s*=\s*")
# Between the figures, or behind the one of equal samples.
_FILLING = re.compile(r"\(all same\)|[,;]", re.IGNORECASE)
# What may stand before it: nothing, or what a logger puts there (`INFO: `, `I tflite  : `, `file.h:80] `).
_LOGGER = re.compile(r"(?:^|[:\]|>Z]|\b[VDIWEF]|\b\d\d:\d\d:\d\d(?:[.,]\d+)?)\s*$")
# A profile has lines of the same shape, which count other things: `Timings (microseconds): count=..`.
_LABEL = re.compile(r"\b(?:timings|memory)\s*:$|\([a-z][^)]*\)\s*:$", re.IGNORECASE)


@dataclass(frozen=True)
class CountLine:
    """Statistics of one series, in microseconds; None where the format does not tell.

    Percentiles are those of the tool (of an even number, the median is the upper of the middle two), `std`
    is that of the population, without its decimals.
    """

    count: int | None
    first_us: float | None = None
    curr_us: float | None = None
    min_us: float | None = None
    max_us: float | None = None
    avg_us: float | None = None
    std_us: float | None = None
    p5_us: float | None = None
    median_us: float | None = None
    p95_us: float | None = None


def read_count_line(line: str) -> CountLine | None:
    """Read one line; None where it is no count line."""
    before, pairs = _pairs_at_end(line)
    if not pairs or not _LOGGER.search(before) or _LABEL.search(before):
        return None
    told = dict(pairs)
    count = told.pop("count", "")
    if not count.isdecimal() or len(count) > MOST_DIGITS or len(told) + 1 != len(pairs):
        return None
    figures = {name: float(value) for name, value in told.items()}
    if int(count) == 0:
        # The tool prints zeros for the percentiles of nothing.
        return CountLine(count=0)
    if "avg" not in figures:
        if "curr" not in figures or not figures.keys() <= {"curr", "p5", "median", "p95"}:
            return None  # damaged: a line has an average, or one figure for all
        figures = _all_same(figures["curr"]) | figures
    names = ("first", "curr", "min", "max", "avg", "std", "p5", "median", "p95")
    return CountLine(int(count), **{f"{name}_us": figures.get(name) for name in names})


def _pairs_at_end(line: str) -> tuple[str, list[tuple[str, str]]]:
    """The `name=value` pairs that a line ends with, and what stands before them."""
    words = _FILLING.sub(" ", _SPACE.sub("=", line)).split()
    pairs: list[tuple[str, str]] = []
    while words and (match := _PAIR.fullmatch(words[-1])):
        pairs.append((match["name"].lower(), match["value"]))
        words.pop()
    return " ".join(words), pairs[::-1]


def _all_same(value: float) -> dict[str, float]:
    """Every figure of a series of equal samples, of which the tool prints one."""
    same = dict.fromkeys(("first", "curr", "min", "max", "avg", "p5", "median", "p95"), value)
    return {**same, "std": 0.0}
