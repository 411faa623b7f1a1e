"""The steady-state detector on scripted curves."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from vitbench.measure.plan import Pace
from vitbench.measure.warmup import is_steady, warmup_ended

WINDOW = 20
PACE = Pace(window=WINDOW, min_iterations=30, min_s=0.5, max_iterations=2**31, cap_s=30.0)


def first_steady(curve: Callable[[int], float], *, window: int = WINDOW, most: int = 4000) -> int | None:
    """Iterations after which the detector is content, None if it never is."""
    series: list[int] = []
    for end in range(window, most, window):
        series += [round(curve(i) * 1e6) for i in range(len(series), end)]
        if is_steady(series, window):
            return end
    return None


def test_constant_iterations_are_steady_after_four_windows() -> None:
    assert first_steady(lambda i: 5.0) == 4 * WINDOW
    assert first_steady(lambda i: 5.0, window=3) == 12


def test_a_step_must_leave_the_last_four_windows() -> None:
    # It falls within the fourth window, which is gone from the last four when 160 iterations have run.
    assert first_steady(lambda i: 8.0 if i < 70 else 5.0) == 160


def test_an_exponential_warm_up_ends_when_it_is_flat() -> None:
    steady = first_steady(lambda i: 5.0 * (1 + 0.8 * np.exp(-i / 60)))
    assert steady is not None
    left_at_the_start_of_the_three_windows = 0.8 * np.exp(-(steady - 3 * WINDOW) / 60)
    assert left_at_the_start_of_the_three_windows < 0.02
    assert steady < 600


@pytest.mark.parametrize(("per_sixty", "steady"), [(0.03, False), (0.015, False), (0.005, True)])
def test_a_slow_drift_is_caught_by_the_slope(per_sixty: float, steady: bool) -> None:
    """Each window is within 1 % of the one before it; the drift over three windows decides."""
    assert per_sixty / 3 <= 0.01
    found = first_steady(lambda i: 5.0 * (1 + per_sixty * i / 60), most=300)
    assert (found is not None) == steady


def test_an_oscillation_between_windows_is_never_steady() -> None:
    assert first_steady(lambda i: 5.0 if (i // WINDOW) % 2 else 5.2) is None


def test_an_oscillation_within_a_window_is_the_steady_state() -> None:
    assert first_steady(lambda i: 5.0 if i % 2 else 6.0) == 4 * WINDOW


def test_a_growing_upper_quartile_is_not_steady() -> None:
    """The median stays; ever slower iterations above it do not."""
    assert first_steady(lambda i: 5.0 if i % 20 < 14 else 6.0 * 1.06 ** (i // 20), most=800) is None


def test_a_spike_does_not_matter() -> None:
    assert first_steady(lambda i: 500.0 if i in (25, 65) else 5.0) == 4 * WINDOW


def test_noise_of_one_per_cent_becomes_steady_soon() -> None:
    rng = np.random.default_rng(0)
    ends = [first_steady(lambda i, r=rng: 5.0 * (1 + 0.01 * r.standard_normal())) for _ in range(100)]
    assert all(end is not None for end in ends)
    assert np.median([end or 0 for end in ends]) <= 160


def test_the_unit_does_not_matter() -> None:
    curve = [round(5e6 * (1 + 0.5 * np.exp(-i / 40))) for i in range(400)]
    for end in range(WINDOW, 400, WINDOW):
        assert is_steady(curve[:end], WINDOW) == is_steady([1000 * ns for ns in curve[:end]], WINDOW)


def test_the_minima_hold_steady_iterations_back() -> None:
    steady = [5_000_000] * 100
    assert warmup_ended(steady, 0.6, PACE) is True
    assert warmup_ended(steady, 0.4, PACE) is None
    assert warmup_ended(steady, 0.6, Pace(WINDOW, 101, 0.5, 2**31, 30.0)) is None


def test_the_cap_wins_over_the_minima() -> None:
    assert warmup_ended([9_000_000, 5_000_000], 30.0, PACE) is False
    assert warmup_ended([9_000_000, 5_000_000], 29.9, PACE) is None
    assert warmup_ended([5_000_000] * 100, 30.0, PACE) is True
