"""Presets and their overrides."""

from __future__ import annotations

from typing import Any

import pytest

from vitbench.errors import UsageError
from vitbench.measure.plan import fitting_iterations, is_slow, make_plan, timed_pace, warmup_pace
from vitbench.measure.warmup import warmup_ended

MS = 1e6


def test_the_presets_are_those_of_the_method() -> None:
    full, pairs, quick = make_plan("full"), make_plan("pairs"), make_plan("quick")
    assert (full.blocks, pairs.blocks, quick.blocks) == (5, 20, 2)
    assert [plan.ci_width for plan in (full, pairs, quick)] == [0.01] * 3
    assert [plan.timed_max_iterations for plan in (full, pairs, quick)] == [2000] * 3
    warmups = [warmup_pace(plan, MS) for plan in (full, pairs, quick)]
    assert [(p.min_iterations, p.min_s, p.cap_s) for p in warmups] == [(30, 0.5, 30), (0, 0, 2), (3, 0, 1)]
    timed = [timed_pace(plan, MS) for plan in (full, pairs, quick)]
    assert [(p.min_iterations, p.min_s, p.cap_s) for p in timed] == [(200, 2, 30), (100, 0.5, 2), (5, 0, 1)]
    assert {p.window for p in (*warmups, *timed)} == {20}


@pytest.mark.parametrize(("preset", "cap_s"), [("full", 120), ("pairs", 20)])
def test_slow_iterations_have_small_windows_and_a_long_cap(preset: Any, cap_s: float) -> None:
    plan = make_plan(preset)
    warmup, timed = warmup_pace(plan, 1000 * MS), timed_pace(plan, 1000 * MS)
    assert (warmup.window, warmup.min_iterations, warmup.cap_s) == (3, 9, cap_s)
    assert (timed.window, timed.min_iterations, timed.cap_s) == (3, 30, cap_s)
    assert not is_slow(plan, 150_000_000)
    assert is_slow(plan, 150_000_001)


@pytest.mark.parametrize("preset", ["full", "pairs"])
@pytest.mark.parametrize("iteration_ms", [0.001, 1, 5, 12, 30, 67, 90, 150])
def test_a_steady_state_can_be_seen_before_the_cap(preset: Any, iteration_ms: float) -> None:
    plan, iteration_ns = make_plan(preset), iteration_ms * MS
    pace = warmup_pace(plan, iteration_ns)
    steady: list[float] = []
    while warmup_ended(steady, len(steady) * iteration_ns / 1e9, pace) is None:
        steady += [iteration_ns] * pace.window
    assert warmup_ended(steady, len(steady) * iteration_ns / 1e9, pace) is True
    assert 3 <= pace.window <= 20


def test_windows_shrink_only_where_the_cap_is_near() -> None:
    full, pairs = make_plan("full"), make_plan("pairs")
    assert [warmup_pace(full, ms * MS).window for ms in (1, 50, 150)] == [20, 20, 20]
    assert [warmup_pace(pairs, ms * MS).window for ms in (1, 20, 40, 100, 150)] == [20, 20, 10, 4, 3]
    assert [warmup_pace(pairs, ms * MS).cap_s for ms in (1, 100, 140)] == [2, 2, 2.1]
    assert [timed_pace(full, ms * MS).window for ms in (1, 150)] == [20, 20]
    assert [timed_pace(pairs, ms * MS).window for ms in (1, 10, 20, 150)] == [20, 20, 10, 3]


def test_quick_stays_quick_when_iterations_are_slow() -> None:
    plan = make_plan("quick")
    assert warmup_pace(plan, 1000 * MS).cap_s == 1
    assert timed_pace(plan, 1000 * MS).cap_s == 1


def test_overrides() -> None:
    plan = make_plan("full", blocks=7, ci_width=0.005, seed=3)
    assert (plan.blocks, plan.ci_width, plan.seed) == (7, 0.005, 3)
    assert plan.timed_cap_s == make_plan("full").timed_cap_s


@pytest.mark.parametrize(
    ("override", "names"),
    [
        ({"blocks": 0}, "blocks"),
        ({"blocks": -3}, "blocks"),
        ({"blocks": 1001}, "blocks"),
        ({"ci_width": 0.0}, "width"),
        ({"ci_width": -0.01}, "width"),
        ({"ci_width": 1.0}, "width"),
        ({"ci_width": float("nan")}, "width"),
        ({"ci_width": float("inf")}, "width"),
        ({"seed": -1}, "seed"),
    ],
)
def test_a_bad_override_is_a_usage_error(override: dict[str, Any], names: str) -> None:
    with pytest.raises(UsageError, match=names) as caught:
        make_plan("full", **override)
    assert caught.value.hint


def test_an_unknown_preset_is_a_usage_error() -> None:
    with pytest.raises(UsageError, match="unknown preset 'fast'") as caught:
        make_plan("fast")  # type: ignore[arg-type]
    assert caught.value.hint is not None
    assert "quick" in caught.value.hint


def test_requests_fit_the_time_that_is_left() -> None:
    pace = timed_pace(make_plan("full"), MS)
    assert fitting_iterations(pace, 100, 0.0, 0.01) == 100
    assert fitting_iterations(pace, 100, 29.5, 0.01) == 50
    assert fitting_iterations(pace, 100, 29.999, 0.01) == 1
    assert fitting_iterations(pace, 100, 31.0, 0.01) == 1
    assert fitting_iterations(pace, 100, 0.0, 0.0) == 100
