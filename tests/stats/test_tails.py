"""Tail percentiles and the effective iterations that they need."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.signal import lfilter
from scipy.stats import binom

from vitbench.stats.tails import (
    effective_iterations,
    integrated_autocorrelation_time,
    needed_iterations,
    tail,
)


@pytest.mark.parametrize(("percentile", "needed"), [(90, 64), (95, 130), (99, 662)])
def test_the_table_of_needed_iterations(percentile: float, needed: int) -> None:
    assert needed_iterations(percentile) == needed


@pytest.mark.parametrize("percentile", [50, 75, 90, 95, 99, 99.9])
def test_needed_iterations_is_the_smallest_that_meets_the_bound(percentile: float) -> None:
    n, beyond = needed_iterations(percentile), 1 - percentile / 100
    assert binom.cdf(1, n, beyond) <= 0.01 < binom.cdf(1, n - 1, beyond)


@pytest.mark.parametrize(("phi", "tau"), [(0.0, 1.0), (0.5, 3.0), (0.7, 17 / 3), (0.9, 19.0)])
def test_the_autocorrelation_time_of_an_ar1(phi: float, tau: float) -> None:
    """(1 + phi) / (1 - phi), within a tenth on average over fifty series of 2000."""
    rng = np.random.default_rng(2)
    series = [lfilter([1], [1, -phi], rng.standard_normal(2200))[200:] for _ in range(50)]
    assert np.mean([integrated_autocorrelation_time(values) for values in series]) == pytest.approx(
        tau, rel=0.1
    )


def test_one_spike_does_not_hide_correlation() -> None:
    values = lfilter([1], [1, -0.9], np.random.default_rng(0).standard_normal(1000))
    spiked = values.copy()
    spiked[500] = 1e6
    assert integrated_autocorrelation_time(spiked) == pytest.approx(
        integrated_autocorrelation_time(values), rel=0.05
    )


def test_values_that_do_not_vary_or_alternate_count_in_full() -> None:
    assert effective_iterations([5] * 700) == 700
    assert effective_iterations([1, 2] * 350) == 700


def test_a_tail_needs_its_effective_iterations() -> None:
    rng = np.random.default_rng(5)
    independent = rng.standard_normal(2000)
    correlated = lfilter([1], [1, -0.9], rng.standard_normal(2000))
    assert tail(list(independent), 99) == np.percentile(independent, 99)
    assert effective_iterations(correlated) < 200
    assert tail(list(correlated), 99) is None
    assert tail(list(correlated), 90) == np.percentile(correlated, 90)
    assert tail([1.0] * 661, 99) is None
    assert tail([1.0] * 662, 99) == 1.0
    assert tail([], 90) is None


def test_tails_scale_with_the_unit() -> None:
    values = np.random.default_rng(6).random(400)
    one, scaled = tail(list(values), 95), tail(list(values * 1e6), 95)
    assert one is not None
    assert scaled == pytest.approx(1e6 * one)
