"""Paired comparison: Hodges-Lehmann and the exact signed-rank interval.

Source: Hollander, Wolfe and Chicken, Nonparametric Statistical Methods, 3rd ed., sections 3.2 and 3.3.
"""

from __future__ import annotations

from collections.abc import Sequence
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


def log_ratio_of_turns(a: ArrayLike, a_turns: Sequence[int], b: ArrayLike, b_turns: Sequence[int]) -> float:
    """log(b / a) of two series that were timed in turns: Hodges-Lehmann over log(median b_i / median a_i).

    The i-th turns of both lie next to each other in time, so what slows the machine for longer than a turn
    slows both. The medians of whole series have no such protection: of two loads that come and go, the median
    is now of the one, now of the other. Turns that only one of the series has are left out.

    Args:
        a, b: positive values, in the order they were taken.
        a_turns, b_turns: index of each turn's first value, rising from 0, at least one.
    """
    medians = [
        [float(np.median(turn)) for turn in np.split(np.asarray(values, dtype=np.float64), turns[1:])]
        for values, turns in ((a, a_turns), (b, b_turns))
    ]
    both = min(len(a_turns), len(b_turns))
    return hodges_lehmann(log_ratios(medians[0][:both], medians[1][:both]))


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
