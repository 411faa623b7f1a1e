"""Hodges-Lehmann and the exact signed-rank interval."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import wilcoxon

from vitbench.stats.pairs import (
    hodges_lehmann,
    log_ratio_of_turns,
    log_ratios,
    signed_rank_cdf,
    signed_rank_interval,
    walsh_averages,
)

times = st.floats(min_value=1e-3, max_value=1e6)
differences = st.lists(st.floats(min_value=-10, max_value=10), min_size=1, max_size=20)


def test_walsh_averages_by_hand() -> None:
    assert walsh_averages([1, 2, 6]).tolist() == [1, 1.5, 2, 3.5, 4, 6]
    assert hodges_lehmann([1, 2, 6]) == 2.75


@pytest.mark.parametrize("n", [1, 2, 5, 10, 16, 40])
def test_the_null_distribution_is_that_of_scipy(n: int) -> None:
    below = signed_rank_cdf(n)
    assert len(below) == n * (n + 1) // 2 + 1
    assert below[-1] == 1
    rng = np.random.default_rng(n)
    for shift in (-0.5, 0.0, 0.5):
        values = rng.normal(shift, 1, n)
        seen = wilcoxon(values, alternative="less", method="exact")
        assert below[int(seen.statistic)] == pytest.approx(seen.pvalue, rel=1e-12)


def test_the_interval_holds_exactly_the_shifts_that_the_test_accepts() -> None:
    values = np.random.default_rng(1).normal(0.3, 1, 10)
    interval = signed_rank_interval(values)
    for shift in np.linspace(-1, 1.5, 251):
        accepted = wilcoxon(values - shift, method="exact").pvalue > 0.05
        assert accepted == (interval.low < shift < interval.high)
    assert interval.confidence == pytest.approx(1 - 2 * 25 / 1024)


def test_ten_pairs_use_the_ninth_walsh_average() -> None:
    values = np.random.default_rng(2).normal(size=10)
    walsh = walsh_averages(values)
    interval = signed_rank_interval(values)
    assert (interval.low, interval.high) == (walsh[8], walsh[-9])


def test_each_end_is_a_one_sided_bound() -> None:
    values = np.random.default_rng(3).normal(size=12)
    upper = signed_rank_interval(values, confidence=0.98).high
    tested = [
        wilcoxon(values - (upper + step), alternative="less", method="exact").pvalue for step in (-1e-9, 1e-9)
    ]
    assert tested[1] <= 0.01 < tested[0]


def test_five_pairs_cannot_bound_at_95_per_cent() -> None:
    interval = signed_rank_interval([1, 2, 3, 4, 5])
    assert (interval.low, interval.estimate, interval.high) == (-np.inf, 3, np.inf)
    assert np.isfinite(signed_rank_interval([1, 2, 3, 4, 5, 6]).low)
    with pytest.raises(ValueError, match="no pairs"):
        signed_rank_interval([])


@given(st.lists(st.tuples(times, times), min_size=1, max_size=20))
def test_swapping_a_and_b_negates_exactly(pairs: list[tuple[float, float]]) -> None:
    a, b = ([pair[side] for pair in pairs] for side in (0, 1))
    forward, back = log_ratios(a, b), log_ratios(b, a)
    assert (forward == -back).all()
    one, other = signed_rank_interval(forward), signed_rank_interval(back)
    assert (one.estimate, one.low, one.high) == (-other.estimate, -other.high, -other.low)


def test_turns_are_compared_with_the_turn_beside_them() -> None:
    # Medians 2, 4 and 6 against 3, 6 and 8: log ratios of 3/2, 3/2 and 4/3.
    a, b = [1, 2, 3, 4, 4, 6], [3, 3, 6, 6, 6, 8]
    found = log_ratio_of_turns(a, [0, 3, 5], b, [0, 2, 5])
    assert found == pytest.approx(hodges_lehmann(np.log([1.5, 1.5, 4 / 3])), abs=1e-15)
    # The fourth turn has none beside it, and so says nothing.
    assert log_ratio_of_turns(a, [0, 3, 5], [*b, 900], [0, 2, 5, 6]) == found


@given(st.lists(st.tuples(times, times), min_size=6, max_size=20), st.integers(1, 5), st.integers(1, 5))
def test_swapping_two_series_negates_exactly(pairs: list[tuple[float, float]], one: int, two: int) -> None:
    a, b = ([pair[side] for pair in pairs] for side in (0, 1))
    forward = log_ratio_of_turns(a, [0, one], b, [0, two])
    assert forward == -log_ratio_of_turns(b, [0, two], a, [0, one])


def test_a_load_that_comes_and_goes_does_not_reach_the_ratio_of_turns() -> None:
    draws = np.random.default_rng(3)
    turns = range(0, 800, 20)
    by_turns, by_medians = [], []
    for _ in range(200):
        # The machine's speed changes every ten turns; the series have every other of them, and noise.
        load = np.repeat(draws.uniform(1.0, 2.0, 8), 200).reshape(80, 20)
        noisy = load * np.exp(draws.normal(0, 0.02, load.shape))
        a, b = noisy[0::2].ravel(), 1.05 * noisy[1::2].ravel()
        by_turns.append(log_ratio_of_turns(a, turns, b, turns))
        by_medians.append(np.log(np.median(b) / np.median(a)))
    assert np.median(by_turns) == pytest.approx(np.log(1.05), abs=0.002)
    assert np.std(by_turns) < np.std(by_medians) / 3


@given(differences, st.sampled_from([0.5, 2.0, 1024.0]))
def test_the_interval_scales_with_the_differences(values: list[float], scale: float) -> None:
    one, scaled = signed_rank_interval(values), signed_rank_interval(np.asarray(values) * scale)
    assert (scaled.estimate, scaled.low, scaled.high) == (
        scale * one.estimate,
        scale * one.low,
        scale * one.high,
    )


@given(st.lists(st.tuples(times, times), min_size=6, max_size=20), st.sampled_from([1e-6, 3.0, 1e6]))
def test_the_ratio_does_not_depend_on_the_unit(pairs: list[tuple[float, float]], scale: float) -> None:
    a, b = (np.array([pair[side] for pair in pairs]) for side in (0, 1))
    one, scaled = (
        signed_rank_interval(log_ratios(a, b)),
        signed_rank_interval(log_ratios(scale * a, scale * b)),
    )
    for name in ("estimate", "low", "high"):
        assert getattr(scaled, name) == pytest.approx(getattr(one, name), rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("kind", ["normal", "t3"])
def test_coverage_of_ten_pairs(kind: str) -> None:
    """A planted ratio of 1.05, pair noise of 2 %: inside in 92.5 to 96.5 % of 2000 draws."""
    rng = np.random.default_rng(8)
    shape = (2000, 10)
    noise = rng.standard_normal(shape) if kind == "normal" else rng.standard_t(3, shape)
    planted = np.log(1.05)
    intervals = [signed_rank_interval(planted + 0.02 * pairs) for pairs in noise]
    hits = sum(interval.low <= planted <= interval.high for interval in intervals)
    assert 0.925 <= hits / 2000 <= 0.965


def test_coverage_under_autocorrelated_drifting_blocks_in_random_order() -> None:
    """Block times with AR(1) 0.7 and 10 % drift: random order inside each pair keeps the interval right."""
    rng = np.random.default_rng(9)
    hits = 0
    for _ in range(2000):
        state, noise = rng.standard_normal(), np.empty(20)
        for k in range(20):
            state = 0.7 * state + np.sqrt(1 - 0.49) * rng.standard_normal()
            noise[k] = state
        log_times = (0.02 * noise + np.linspace(0, np.log(1.1), 20)).reshape(10, 2)
        b_first = rng.integers(0, 2, 10)
        a = log_times[np.arange(10), b_first]
        b = log_times[np.arange(10), 1 - b_first] + np.log(1.05)
        interval = signed_rank_interval(log_ratios(np.exp(a), np.exp(b)))
        hits += interval.low <= np.log(1.05) <= interval.high
    assert 0.925 <= hits / 2000 <= 0.965
