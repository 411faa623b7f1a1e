"""Selection: what is asked for is shown, and nothing else is lost in silence."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from benchmarks.example_records import example_record
from vitbench.errors import UsageError
from vitbench.report.rows import Row, from_records
from vitbench.report.select import Filters, filters, parse_since, select

NOW = datetime(2026, 11, 28, 12, 0, tzinfo=UTC)


def rows_of(*changes: dict[str, Any]) -> list[Row]:
    return from_records([example_record(number, iterations=5, **one) for number, one in enumerate(changes)])


def names(rows: list[Row]) -> list[str]:
    return [f"{row.model}:{row.resolution}" for row in rows]


CELLS: tuple[dict[str, Any], ...] = (
    {"model": "effvit-b10"},
    {"model": "effvit-b2", "resolution": (512, 512)},
    {"model": "effvit-b2"},
    {"model": "effvit-b2+softmax"},
    {"model": "other-b1", "target": "orin"},
)


def test_rows_come_in_natural_order() -> None:
    assert names(select(rows_of(*CELLS), Filters()).rows) == [
        "effvit-b2:224x224",
        "effvit-b2:512x512",
        "effvit-b2+softmax:224x224",
        "effvit-b10:224x224",
        "other-b1:224x224",
    ]


@pytest.mark.parametrize(
    ("pattern", "count"),
    [
        ("effvit-b2", 2),
        ("effvit-b2:512", 1),
        ("effvit-b2:512x512", 1),
        ("effvit-b2*", 3),
        ("*:224", 4),
        ("effvit", 0),
        ("EFFVIT-B2", 0),
    ],
)
def test_models_by_name_or_pattern(pattern: str, count: int) -> None:
    assert len(select(rows_of(*CELLS), Filters(models=[pattern])).rows) == count


@pytest.mark.parametrize(
    ("pattern", "count"),
    [
        ("onnx:net", 2),
        ("onnx:net:224", 1),
        ("onnx:net:512x512", 1),
        ("py:net.py:build", 1),
        ("py:net.py:build:224x224", 1),
        ("py:net.py", 0),
        ("onnx:*", 2),
        ("onnx", 0),
    ],
)
def test_models_from_elsewhere_by_name(pattern: str, count: int) -> None:
    rows = rows_of(
        {"model": "onnx:net"},
        {"model": "onnx:net", "resolution": (512, 512)},
        {"model": "py:net.py:build"},
        {"model": "effvit-b2"},
    )
    assert len(select(rows, Filters(models=[pattern])).rows) == count


def test_what_is_no_resolution_matches_nothing() -> None:
    assert select(rows_of(*CELLS), Filters(models=["effvit-b2:big"])).rows == []
    with pytest.raises(UsageError, match="'0' is not positive"):
        select(rows_of(*CELLS), Filters(models=["effvit-b2:0"]))


def test_several_filters_must_all_hold() -> None:
    asked = Filters(models=["other-*", "effvit-b2"], targets=["orin"])
    assert names(select(rows_of(*CELLS), asked).rows) == ["other-b1:224x224"]


def test_only_the_newest_of_a_cell_is_shown_and_the_others_are_counted() -> None:
    rows = rows_of({"latency_ms": 1.0}, {"latency_ms": 2.0}, {"model": "effvit-b1"}, {"latency_ms": 3.0})
    found = select(reversed(rows), Filters(models=["effvit-b2"]))
    assert ([row.latency_ms for row in found.rows], found.older) == ([3.0], 2)
    everything = select(rows, Filters(models=["effvit-b2"], every=True))
    assert ([row.latency_ms for row in everything.rows], everything.older) == ([1.0, 2.0, 3.0], 0)


@pytest.mark.parametrize(
    "other",
    [
        {"protocol": {"threads": 2}},
        {"protocol": {"spin_wait": True}},
        {"protocol": {"affinity": (0,)}},
        {"plan": {"preset": "quick"}, "status": "inconclusive"},
        {"workload": {"weights": "sha256:0"}},
        {"environment": {"machine_key": "another"}},
        {"workload": {"batch": 8}, "protocol": {"batch": 8}},
        {"simulated": True},
    ],
)
def test_what_was_measured_otherwise_does_not_hide_a_record(other: dict[str, Any]) -> None:
    assert len(select(rows_of({}, other), Filters(simulated=True)).rows) == 2


def test_an_invalid_newer_record_is_shown_not_dropped() -> None:
    found = select(rows_of({}, {"status": "unsteady"}), Filters())
    assert [row.status for row in found.rows] == ["unsteady"]


def test_simulated_records_are_left_out_unless_asked_for() -> None:
    rows = rows_of({}, {"target": "sim", "simulated": True})
    refused, shown = select(rows, Filters()), select(rows, Filters(simulated=True))
    assert ([row.target for row in refused.rows], refused.simulated) == (["cpu"], 1)
    assert ([row.target for row in shown.rows], shown.simulated) == (["cpu", "sim"], 0)


def test_status_and_time() -> None:
    rows = rows_of({}, {"status": "unsteady", "model": "effvit-b1"})
    assert names(select(rows, Filters(statuses=["unsteady"])).rows) == ["effvit-b1:224x224"]
    later = Filters(since=datetime(2026, 11, 21, 8, 16, tzinfo=UTC))
    assert names(select(rows, later).rows) == ["effvit-b1:224x224"]


def test_a_record_whose_time_cannot_be_read_is_shown() -> None:
    rows = rows_of({"created_utc": "yesterday"})
    assert len(select(rows, Filters(since=NOW)).rows) == 1


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("7d", datetime(2026, 11, 21, 12, 0, tzinfo=UTC)),
        ("12h", datetime(2026, 11, 28, 0, 0, tzinfo=UTC)),
        ("2026-11-21", datetime(2026, 11, 21, tzinfo=UTC)),
        ("2026-11-21T08:15", datetime(2026, 11, 21, 8, 15, tzinfo=UTC)),
        ("2026-11-21T09:15:00+01:00", datetime(2026, 11, 21, 8, 15, tzinfo=UTC)),
    ],
)
def test_times(text: str, moment: datetime) -> None:
    assert parse_since(text, NOW) == moment


@pytest.mark.parametrize("text", ["soon", "7w", "-1d", "2026-13-01", "99999999999d"])
def test_times_that_are_none(text: str) -> None:
    with pytest.raises(UsageError, match=text) as caught:
        parse_since(text, NOW)
    assert caught.value.hint is not None


def test_an_unknown_status_names_the_known_ones() -> None:
    with pytest.raises(UsageError, match="splendid") as caught:
        filters([], [], ["splendid"], None, simulated=False, every=False)
    assert caught.value.hint is not None
    assert "parity-failed" in caught.value.hint
