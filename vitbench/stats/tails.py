"""Tail percentiles, given only where enough independent iterations stand behind them."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray

CONFIDENCE = 0.99


def integrated_autocorrelation_time(values: ArrayLike) -> float:
    """How many iterations carry the information of one independent iteration.

    tau = 1 + 2 * sum of rho_k, the sum stopped before the first pair rho_{2j} + rho_{2j+1} that is not
    positive (initial positive sequence: Geyer, Statistical Science 7, 1992). rho is the autocorrelation of
    the ranks, so that one spike cannot drown the correlation of all the others. Never below 1; 1 for values
    all the same.
    """
    ranks = _ranks(np.asarray(values, dtype=np.float64))
    rho = _autocorrelation(ranks)
    pairs = rho[: len(rho) // 2 * 2].reshape(-1, 2).sum(axis=1)
    ends = np.flatnonzero(pairs <= 0)
    kept = pairs[: ends[0]] if len(ends) else pairs
    return max(1.0, float(2 * kept.sum() - 1))


def effective_iterations(values: ArrayLike) -> float:
    """Number of iterations over the integrated autocorrelation time."""
    return np.size(np.asarray(values)) / integrated_autocorrelation_time(values)


@lru_cache(maxsize=64)
def needed_iterations(percentile: float) -> int:
    """Fewest independent iterations from which a percentile may be quoted: 64, 130, 662 for 90, 95, 99.

    The smallest n at which at most one of n iterations exceeds the true percentile with probability <= 1 %:
    P[Binomial(n, 1 - p) <= 1] = p^n + n (1 - p) p^(n-1) <= 0.01 (MLPerf LoadGen, early_stopping.cc, one
    discarded query, tolerance 0, confidence 0.99). The bound assumes independence.

    Args:
        percentile: above 0 and below 100.
    """
    p = percentile / 100
    n = 2
    while p**n + n * (1 - p) * p ** (n - 1) > 1 - CONFIDENCE:
        n += 1
    return n


def tail(values: Sequence[int] | Sequence[float], percentile: float) -> float | None:
    """A percentile in the unit of the input, or None under the effective iterations that it needs.

    The quantile interpolates linearly between order statistics.
    """
    if len(values) < needed_iterations(percentile):
        return None
    if effective_iterations(values) < needed_iterations(percentile):
        return None
    return float(np.percentile(np.asarray(values, dtype=np.float64), percentile))


def _ranks(array: NDArray[np.float64]) -> NDArray[np.float64]:
    """Ranks from 0, ties sharing their mean rank."""
    _, inverse, counts = np.unique(array, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    shared: NDArray[np.float64] = (ends - (counts + 1) / 2)[inverse]
    return shared


def _autocorrelation(array: NDArray[np.float64]) -> NDArray[np.float64]:
    """Autocorrelation at lags 0, 1, ... n - 1, by FFT; only lag 0 is not zero where nothing varies."""
    n = len(array)
    centred = array - array.mean()
    spectrum = np.fft.rfft(centred, 2 * n)
    covariance = np.fft.irfft(spectrum * spectrum.conj(), 2 * n)[:n]
    if covariance[0] <= 0:
        return np.eye(1, n).ravel()
    rho: NDArray[np.float64] = covariance / covariance[0]
    return rho
