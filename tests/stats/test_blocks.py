"""The interval of a block's median: what it is, and how often it is right."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.signal import lfilter
from scipy.stats import t

from vitbench.measure.plan import make_plan, timed_pace
from vitbench.measure.stopping import look, next_request
from vitbench.stats.blocks import (
    batch_medians,
    block_interval,
    lag1_autocorrelation,
    settled_batch,
)


def ar1(rng: np.random.Generator, n: int, phi: float) -> NDArray[np.float64]:
    """A stationary first-order autoregression of unit variance."""
    shocks = rng.standard_normal(n) * np.sqrt(1 - phi**2)
    shocks[0] = rng.standard_normal()
    return lfilter([1], [1, -phi], shocks)


def test_batch_medians_leave_a_rest_out() -> None:
    assert batch_medians([5, 1, 3, 9, 8, 7, 100], 3).tolist() == [3, 8]


def test_lag1_autocorrelation_by_hand() -> None:
    # Mean 2; deviations -1, 0, 1; (-1*0 + 0*1) / 2.
    assert lag1_autocorrelation([1, 2, 3]) == 0.0
    # Mean 2.5; deviations -1.5, -.5, .5, 1.5: (.75 - .25 + .75) / 5.
    assert lag1_autocorrelation([1, 2, 3, 4]) == pytest.approx(0.25)
    assert lag1_autocorrelation([7, 7, 7, 7]) == 0.0
    assert lag1_autocorrelation([1, 2]) == 0.0


def test_the_interval_is_t_over_batch_medians() -> None:
    rng = np.random.default_rng(2)
    values = 10 + rng.standard_normal(200)
    medians = np.median(values.reshape(10, 20), axis=1)
    interval = block_interval(values, 20)
    expected = t.ppf(0.975, 9) * medians.std(ddof=1) / np.sqrt(10)
    assert interval.lag1 == pytest.approx(lag1_autocorrelation(medians))
    assert interval.lag1 < -0.1, "so that no correlation is left to widen for"
    assert interval.batch == 20
    assert interval.batches == 10
    assert interval.median == np.median(values)
    assert interval.half_width == pytest.approx(expected / np.median(values), rel=1e-12)
    assert interval.high is not None
    assert interval.low is not None
    assert interval.high - interval.low == pytest.approx(2 * expected, rel=1e-12)


def test_what_correlation_is_left_widens_the_interval() -> None:
    # Ten batches of one value each.
    medians = [10 + 0.1 * step for step in (1, 2, 0, 0, -2, -1, 1, -1, 0, 1)]
    lag1 = lag1_autocorrelation(medians)
    assert 0 < lag1 < 0.2
    r = lag1 + 1 / 10
    naive = t.ppf(0.975, 9) * np.std(medians, ddof=1) / np.sqrt(10) / np.median(medians)
    assert block_interval(medians, 1).half_width == pytest.approx(naive * np.sqrt((1 + r) / (1 - r)))


def test_the_batch_doubles_while_its_medians_are_correlated() -> None:
    # A slow wave: neighbouring batches of 20 agree, batches of 80 span a period.
    wave = 10 + np.sin(np.arange(1200) * 2 * np.pi / 100)
    assert lag1_autocorrelation(batch_medians(wave, 20)) > 0.2
    assert settled_batch(list(wave), 20) == 40
    assert block_interval(list(wave), 20).lag1 <= 0.2


def test_the_batch_does_not_double_below_ten_batches() -> None:
    drift = [float(i) for i in range(1, 401)]
    assert settled_batch(drift, 20) == 80
    assert settled_batch(drift[:199], 20) == 20


def test_the_batch_doubles_from_forty_batches_on() -> None:
    alternating = [1.0, 2.0] * 400
    assert settled_batch(alternating[:780], 20) == 20
    assert settled_batch(alternating, 20) == 40


def test_one_batch_has_no_interval() -> None:
    interval = block_interval([3, 1, 2], 20)
    assert interval.median == 2
    assert interval.half_width is None
    assert interval.low is None
    assert interval.high is None


def test_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="no iterations"):
        block_interval([], 20)


def test_the_interval_scales_with_the_unit() -> None:
    values = 5 + np.random.default_rng(1).random(400)
    one, thousand = block_interval(values, 20), block_interval(values * 1000, 20)
    assert thousand.median == pytest.approx(1000 * one.median, rel=1e-12)
    assert thousand.half_width == pytest.approx(one.half_width, rel=1e-9)


@pytest.mark.parametrize("n", [200, 600, 2000])
def test_coverage_under_ar1_at_a_fixed_length(n: int) -> None:
    rng = np.random.default_rng(11)
    hits = 0
    for _ in range(1000):
        interval = block_interval(100 * (1 + 0.05 * ar1(rng, n, 0.7)), 20)
        assert interval.half_width is not None
        hits += abs(interval.median - 100) <= interval.half_width * interval.median
    assert hits / 1000 >= 0.92


@pytest.mark.parametrize("noise", [0.02, 0.05, 0.1])
def test_coverage_under_ar1_of_the_stopping_rule(noise: float) -> None:
    """The real rule of the full preset; the noise decides whether it ends early, midway or at the cap."""
    plan = make_plan("full")
    pace = timed_pace(plan, 1e6)
    rng = np.random.default_rng(1)
    hits, draws = 0, 1500
    for _ in range(draws):
        series = 100 * (1 + noise * ar1(rng, pace.max_iterations, 0.7))
        done, batch = 0, pace.window
        while True:
            done += next_request(done, 3.0, 0.001, batch, pace)
            seen = look(series[:done], 3.0, batch, plan.ci_width, pace)
            batch = seen.batch
            if seen.stop:
                break
        interval = seen.interval
        assert interval is not None
        assert interval.half_width is not None
        hits += abs(interval.median - 100) <= interval.half_width * interval.median
    assert hits / draws >= 0.92


def test_a_naive_interval_over_iterations_would_not_do() -> None:
    """The same draws through t over the iterations themselves: what batches are for."""
    rng = np.random.default_rng(11)
    hits = 0
    for _ in range(500):
        values = 100 * (1 + 0.05 * ar1(rng, 600, 0.7))
        reach = t.ppf(0.975, 599) * values.std(ddof=1) / np.sqrt(600)
        hits += abs(np.median(values) - 100) <= reach
    assert hits / 500 < 0.75
