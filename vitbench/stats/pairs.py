"""Paired comparison: Hodges-Lehmann and the exact signed-rank interval.

Source: Hollander, Wolfe and Chicken, Nonparametric Statistical Methods, 3rd ed., sections 3.2 and 3.3.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray


@dataclass(frozen=True)
class ShiftInterval:
    """Centre of paired differences and its interval, in the unit of the differences.

    Attributes:
        estimate: Hodges-Lehmann.
        low, high: ends of the interval; infinite where so few pairs cannot reach the confidence asked.
        confidence: the exact confidence reached, at least the one asked; 1 with infinite ends.
    """

    estimate: float
    low: float
    high: float
    confidence: float


def log_ratios(a: ArrayLike, b: ArrayLike) -> NDArray[np.float64]:
    """d_k = log b_k - log a_k of paired positive values; swapping a and b negates every d_k exactly."""
    ratios: NDArray[np.float64] = np.log(np.asarray(b, dtype=np.float64)) - np.log(
        np.asarray(a, dtype=np.float64)
    )
    return ratios


def walsh_averages(values: ArrayLike) -> NDArray[np.float64]:
    """All means (x_i + x_j) / 2 with i <= j, sorted: n (n + 1) / 2 of them."""
    array = np.asarray(values, dtype=np.float64)
    first, second = np.triu_indices(len(array))
    return np.sort((array[first] + array[second]) / 2)


def hodges_lehmann(values: ArrayLike) -> float:
    """Median of the Walsh averages (Hodges and Lehmann 1963)."""
    return float(np.median(walsh_averages(values)))


def signed_rank_interval(values: ArrayLike, *, confidence: float = 0.95) -> ShiftInterval:
    """Invert the exact two-sided Wilcoxon signed-rank test.

    With W_(1) <= ... <= W_(M) the Walsh averages and c the largest integer with
    P[T+ <= c] <= (1-confidence)/2 under the null hypothesis, the interval is [W_(c+1), W_(M-c)], of
    confidence 1 - 2 P[T+ <= c]. Each end is also a one-sided bound of confidence (1+confidence)/2. Exact for
    differences symmetric about their centre; under six pairs no 95 % interval exists and the ends are
    infinite.

    Args:
        values: paired differences, at least one.
        confidence: asked of the two-sided interval.

    Raises:
        ValueError: without values.
    """
    walsh = walsh_averages(values)
    if not len(walsh):
        raise ValueError("no pairs")
    estimate = float(np.median(walsh))
    below = signed_rank_cdf(np.size(np.asarray(values)))
    c = int(np.count_nonzero(below <= (1 - confidence) / 2)) - 1
    if c < 0:
        return ShiftInterval(estimate, -np.inf, np.inf, 1.0)
    return ShiftInterval(estimate, float(walsh[c]), float(walsh[-1 - c]), 1 - 2 * float(below[c]))


@lru_cache(maxsize=64)
def signed_rank_cdf(n: int) -> NDArray[np.float64]:
    """P[T+ <= t] for t = 0 ... n(n+1)/2 under the null hypothesis of the signed-rank test with n pairs.

    T+ is the sum of those of the ranks 1 ... n whose sign is plus, each with probability 1/2; the subsets of
    each sum are counted by adding one rank at a time.
    """
    counts = [1]
    for rank in range(1, n + 1):
        kept = counts + [0] * rank
        for total, ways in enumerate(counts):
            kept[total + rank] += ways
        counts = kept
    total_ways = 2**n
    cumulative, below = 0, []
    for ways in counts:
        cumulative += ways
        below.append(cumulative / total_ways)
    return np.array(below)
