"""The file of times: parts, the wait between them, and what six digits leave of it."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from vitbench.trtexec.refusals import NoResult, Reason
from vitbench.trtexec.times import read_times


def six(value: float) -> float:
    """A number as it is printed."""
    return float(f"{value:.6g}")


def row(start: float, h2d: float, compute: float, d2h: float, wait: float) -> dict[str, float]:
    begin, end = start + h2d + wait, start + h2d + wait + compute
    times = {
        "startEnqMs": start,
        "endEnqMs": start,
        "startH2dMs": start,
        "endH2dMs": start + h2d,
        "startComputeMs": begin,
        "endComputeMs": end,
        "startD2hMs": end,
        "endD2hMs": end + d2h,
        "h2dMs": h2d,
        "computeMs": compute,
        "d2hMs": d2h,
        "latencyMs": h2d + compute + d2h,
    }
    return {name: six(value) for name, value in times.items()}


def file(rows: list[Any]) -> str:
    return json.dumps(rows)


def test_parts_and_the_wait_between_them() -> None:
    found = read_times(file([row(200, 0.5, 3, 0.25, 0.125), row(205, 0.5, 3.5, 0.25, 0)]))
    assert found.h2d_ns == (500_000, 500_000)
    assert found.compute_ns == (3_000_000, 3_500_000)
    assert found.d2h_ns == (250_000, 250_000)
    assert found.total_ns == pytest.approx((3_875_000, 4_250_000), abs=2000)
    assert not found.even_gaps


@pytest.mark.parametrize("start_ms", [2000.0, 30_000.0])
def test_points_of_time_that_are_too_coarse_give_the_mean_of_the_waits(start_ms: float) -> None:
    """At 30 s the last digit is worth 0.1 ms, which is half of such a request."""
    random = np.random.default_rng(3)
    starts = start_ms + np.cumsum(random.uniform(0.25, 0.35, 2000))
    found = read_times(file([row(start, 0.02, 0.15, 0.01, 0.04) for start in starts]))
    assert found.even_gaps
    assert len(set(found.total_ns)) == 1
    assert found.total_ns[0] == pytest.approx(220_000, rel=0.02)
    assert min(found.total_ns) >= 180_000


def test_rounding_never_makes_a_wait_negative() -> None:
    found = read_times(file([row(123.4567, 0.1, 2.00049, 0.1, 0)]))
    assert found.total_ns[0] >= found.h2d_ns[0] + found.compute_ns[0] + found.d2h_ns[0]


def test_the_names_of_version_7() -> None:
    old = {
        "startEnqMs": 0.2,
        "endEnqMs": 0.3,
        "startInMs": 0.7,
        "endInMs": 5.0,
        "startComputeMs": 0.3,
        "endComputeMs": 4.8,
        "startOutMs": 4.8,
        "endOutMs": 4.9,
        "inMs": 0.1,
        "computeMs": 4.5,
        "outMs": 0.1,
        "latencyMs": 4.7,
        "endToEndMs": 4.75,
    }
    found = read_times(file([old]))
    assert (found.h2d_ns, found.d2h_ns, found.total_ns) == ((100_000,), (100_000,), (4_750_000,))


def test_rows_of_the_warm_up_are_dropped_and_missing_ones_refused() -> None:
    rows = [row(10.0 * number, 0.1, 1 + number / 10, 0.1, 0) for number in range(5)]
    assert read_times(file(rows), last=2).compute_ns == (1_300_000, 1_400_000)
    with pytest.raises(NoResult) as caught:
        read_times(file(rows), last=6)
    assert caught.value.reason is Reason.CONTRADICTORY


def test_copies_that_take_no_time() -> None:
    assert read_times(file([row(1, 0, 2, 0, 0)])).h2d_ns == (0,)


@pytest.mark.parametrize(
    "text",
    [
        *("", "[", "{}", "[]", "[1]", file([row(1, 0, 0, 0, 0)]), file([row(1, -1, 2, 0, 0)])),
        file([{**row(1, 0, 2, 0, 0), "computeMs": "2"}]),
        file([{**row(1, 0, 2, 0, 0), "computeMs": True}]),
        file([{**row(1, 0, 2, 0, 0), "endD2hMs": float("nan")}]),
        file([{**row(1, 0, 2, 0, 0), "endD2hMs": 0.5}]),
        file([{name: value for name, value in row(1, 0, 2, 0, 0).items() if name != "startH2dMs"}]),
        file([row(1, 0, 2, 0, 0)])[:-20],
    ],
)
def test_files_that_are_none(text: str) -> None:
    with pytest.raises(NoResult) as caught:
        read_times(text)
    assert caught.value.reason is Reason.MALFORMED
