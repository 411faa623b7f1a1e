"""The estimate of a run from its block medians."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import t

from vitbench.stats.runs import run_interval

positive = st.floats(min_value=0.01, max_value=1000)


def test_the_estimate_is_the_median_and_the_interval_is_t_over_logarithms() -> None:
    medians = [5.0, 5.1, 4.9, 5.05, 5.2]
    logs = np.log(medians)
    reach = t.ppf(0.975, 4) * logs.std(ddof=1) / np.sqrt(5)
    interval = run_interval(medians)
    assert interval.median == 5.05
    assert interval.low == pytest.approx(np.exp(logs.mean() - reach), rel=1e-12)
    assert interval.high == pytest.approx(np.exp(logs.mean() + reach), rel=1e-12)
    assert interval.half_width == pytest.approx((interval.high - interval.low) / 2 / 5.05)


@given(st.lists(positive, min_size=3, max_size=6))
def test_up_to_six_blocks_the_median_is_inside_without_stretching(medians: list[float]) -> None:
    logs = np.log(medians)
    reach = t.ppf(0.975, len(logs) - 1) * logs.std(ddof=1) / np.sqrt(len(logs))
    assert abs(np.median(logs) - logs.mean()) <= reach + 1e-9


@given(st.lists(positive, min_size=2, max_size=12))
def test_the_interval_contains_the_median(medians: list[float]) -> None:
    interval = run_interval(medians)
    assert interval.low <= interval.median <= interval.high


def test_many_lopsided_blocks_stretch_the_interval_to_their_median() -> None:
    medians = [1.0] * 11 + [100.0] * 10
    interval = run_interval(medians)
    logs = np.log(medians)
    reach = t.ppf(0.975, 20) * logs.std(ddof=1) / np.sqrt(21)
    assert np.exp(logs.mean() - reach) > 1.0
    assert interval.low == interval.median == 1.0


@given(st.lists(positive, min_size=2, max_size=12), st.sampled_from([1e-6, 1e-3, 3.0, 1e6]))
def test_the_interval_scales_with_the_unit(medians: list[float], scale: float) -> None:
    one, scaled = run_interval(medians), run_interval([scale * median for median in medians])
    for name in ("median", "low", "high"):
        assert getattr(scaled, name) == pytest.approx(scale * getattr(one, name), rel=1e-9)


def test_one_block_has_no_interval() -> None:
    with pytest.raises(ValueError, match="two blocks"):
        run_interval([5.0])


@pytest.mark.parametrize("blocks", [5, 10])
def test_coverage_with_log_normal_blocks(blocks: int) -> None:
    rng = np.random.default_rng(blocks)
    draws = 5 * np.exp(0.02 * rng.standard_normal((4000, blocks)))
    intervals = [run_interval(medians) for medians in draws]
    hits = sum(interval.low <= 5 <= interval.high for interval in intervals)
    assert 0.94 <= hits / len(draws) <= 0.965
