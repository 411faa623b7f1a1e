"""The file of `--exportTimes`: every request with its parts, on the clock of the GPU."""

from __future__ import annotations

import json
import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from vitbench.trtexec.refusals import NoResult, Reason

NS_PER_MS = 1e6
# Numbers are written with six digits. A point of time counts from the start of the run, so that its last
# digit grows; an interval is written as itself, and keeps its digits.
DIGITS = 6
# Up to this share of a request, the last digit of a point of time does no harm.
COARSE = 0.002


@dataclass(frozen=True)
class Times:
    """Requests in the order they ran, in nanoseconds.

    `total_ns` is from the start of the copy in to the end of the copy out, with what a request waits between
    its parts. `even_gaps`: points of time were too coarse for single requests, so that each request was given
    the mean of those waits.
    """

    h2d_ns: tuple[int, ...]
    compute_ns: tuple[int, ...]
    d2h_ns: tuple[int, ...]
    total_ns: tuple[int, ...]
    even_gaps: bool = False


@dataclass(frozen=True)
class _Row:
    """One request in ms. `points` are the start of its copy in and the end of its copy out."""

    h2d: float
    compute: float
    d2h: float
    whole: float
    latest: float

    @property
    def parts(self) -> float:
        return self.h2d + self.compute + self.d2h


def read_times(text: str, *, last: int | None = None) -> Times:
    """Read the file.

    Names are those of TensorRT 8 and newer, or of 7, which exchanged those of the points of time: there the
    whole is what it calls `endToEndMs`.

    Args:
        text: content of the file.
        last: how many requests the log counts: of more rows, the first ones are of the warm-up. None to take
            all.

    Raises:
        NoResult: it is no such file, is cut, or holds times that cannot be.
    """
    rows = [_row(item, number) for number, item in enumerate(_items(text))]
    if last is not None:
        if len(rows) < last:
            message = f"trtexec's file of times has {len(rows)} requests, its log {last}"
            raise NoResult(Reason.CONTRADICTORY, message, "the file is of another run: run trtexec again")
        rows = rows[len(rows) - last :]
    if not rows:
        raise NoResult(Reason.MALFORMED, "trtexec's file of times has no request", "run trtexec again")
    gaps, even = _gaps(rows)
    return Times(
        h2d_ns=tuple(_ns(row.h2d) for row in rows),
        compute_ns=tuple(_ns(row.compute) for row in rows),
        d2h_ns=tuple(_ns(row.d2h) for row in rows),
        total_ns=tuple(_ns(row.parts + gap) for row, gap in zip(rows, gaps, strict=True)),
        even_gaps=even,
    )


def _items(text: str) -> list[Any]:
    try:
        items = json.loads(text)
    except ValueError as error:
        raise _malformed(f"it is no JSON: {error}") from None
    if not isinstance(items, list):
        raise _malformed("it is no list")
    return items


def _row(item: Any, number: int) -> _Row:
    if not isinstance(item, dict):
        raise _malformed(f"entry {number} is no request")
    old = "inMs" in item
    h2d, compute, d2h = (
        _number(item, name, number)
        for name in (("inMs", "computeMs", "outMs") if old else ("h2dMs", "computeMs", "d2hMs"))
    )
    end = _number(item, "endOutMs" if old else "endD2hMs", number)
    whole = _number(item, "endToEndMs", number) if old else end - _number(item, "startH2dMs", number)
    if min(h2d, d2h) < 0 or compute <= 0 or whole < 0:
        raise _malformed(f"request {number} takes no time, or a negative one")
    return _Row(h2d, compute, d2h, whole, end)


def _number(item: Mapping[str, Any], name: str, number: int) -> float:
    value = item.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise _malformed(f"request {number} has no `{name}`")
    return float(value)


def _gaps(rows: Sequence[_Row]) -> tuple[list[float], bool]:
    """What each request waits between its parts, in ms, and whether that is a mean.

    A wait is the whole, out of two points of time, without the parts. Where those points are too coarse,
    single waits are noise of rounding; their mean is not, as points of time fall anywhere between two.
    """
    gaps = [row.whole - row.parts for row in rows]
    grain = _grain(max(abs(row.latest) for row in rows))
    if grain <= COARSE * statistics.median(row.parts for row in rows):
        return [max(0.0, gap) for gap in gaps], False
    return [max(0.0, statistics.fmean(gaps))] * len(rows), True


def _grain(value: float) -> float:
    """Worth of the last digit of a number as it is written."""
    return 10.0 ** (math.floor(math.log10(value)) - DIGITS + 1) if value > 0 else 0.0


def _ns(value_ms: float) -> int:
    return round(value_ms * NS_PER_MS)


def _malformed(what: str) -> NoResult:
    return NoResult(Reason.MALFORMED, f"trtexec's file of times cannot be read: {what}", "run trtexec again")
