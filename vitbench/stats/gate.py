"""The tests of the regression gate, on arrays of pair differences; every function takes many gates at once.

A pair difference is log(time of the candidate / time of the baseline) of two blocks after or beside each
other. Their order is random, so that whatever else the times of the blocks follow, the sign of a difference
that only noise made is a fair coin: all that the signed-rank test asks for.
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vitbench.stats.pairs import signed_rank_cdf

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]

ALPHA = 0.01
SERIAL_ALPHA = 0.01
POWER = 0.95
# Draws behind what a gate prints; fewer where their Walsh averages, 125,000 each at 500 pairs, would take
# minutes after all was measured.
DRAWS, FEWEST_DRAWS = 20_000, 2_000
AVERAGES_IN_ALL = 50_000_000
DEFAULT_PAIRS = 10
MIN_SECOND_PAIRS = 16
MOST_PROPOSED = 40
# Walsh averages at a time: those of 500 pairs in all draws are 20 GB.
MOST_AVERAGES = 4_000_000
# `calibrate`: 8 standard errors of the mean difference fit into the limit.
STANDARD_ERRORS = 8
TARGET_LIMIT = 0.03


def signed_rank_plus(differences: ArrayLike) -> NDArray[np.int64]:
    """T+ of the signed-rank test along the last axis: the sum of the ranks of the positive differences.

    Among equal sizes the positive ones get the lower ranks, and a zero counts as negative: of all ways of
    breaking ties the one that rejects least, so that the test keeps its level.
    """
    values = np.asarray(differences, dtype=np.float64)
    # A stable sort by size of what is sorted by sign already, positive ones first.
    by_sign = np.argsort(values <= 0, axis=-1, kind="stable")
    signed = np.take_along_axis(values, by_sign, axis=-1)
    ordered = np.take_along_axis(signed, np.argsort(np.abs(signed), axis=-1, kind="stable"), axis=-1)
    ranks = np.arange(1, values.shape[-1] + 1)
    return np.asarray(np.where(ordered > 0, ranks, 0).sum(axis=-1), dtype=np.int64)


def p_greater(differences: ArrayLike, shift: float = 0.0) -> Floats:
    """Exact one-sided p-value along the last axis of "the centre is not above the shift".

    P[T+ >= t] under the null hypothesis; equals `scipy.stats.wilcoxon(differences - shift,
    alternative="greater", method="exact")` where no two differences are equally far from the shift, and is
    larger where some are.
    """
    values = np.asarray(differences, dtype=np.float64)
    n = values.shape[-1]
    if n == 0:
        return np.ones(values.shape[:-1])
    found: Floats = signed_rank_cdf(n)[n * (n + 1) // 2 - signed_rank_plus(values - shift)]
    return found


def p_less(differences: ArrayLike, shift: float = 0.0) -> Floats:
    """Exact one-sided p-value of "the centre is not below the shift"; the mirror image of `p_greater`."""
    return p_greater(-np.asarray(differences, dtype=np.float64), -shift)


def serial_p(differences: ArrayLike) -> Floats:
    """P-value along the last axis of "neighbouring differences are not alike"; small where they are.

    Rank version of von Neumann's ratio, RVN = sum (R_k - R_{k+1})^2 / sum (R_k - mean)^2, small under
    positive correlation, with RVN / 4 ~ Beta(a, a) and a = 5 n (n+1) (n-1)^2 / (2 (n-2) (5 n^2 - 2 n - 9))
    - 1/2 (Bartels, JASA 77, 1982). Equal differences share their mean rank: in order of time they would look
    alike. 1 for fewer than 5 differences, and where all are equal.
    """
    from scipy.special import betainc
    from scipy.stats import rankdata

    values = np.asarray(differences, dtype=np.float64)
    n = values.shape[-1]
    if n < 5:
        return np.ones(values.shape[:-1])
    ranks = rankdata(values, axis=-1)
    spread = ((ranks - (n + 1) / 2) ** 2).sum(axis=-1)
    steps = (np.diff(ranks, axis=-1) ** 2).sum(axis=-1)
    shape = 5 * n * (n + 1) * (n - 1) ** 2 / (2 * (n - 2) * (5 * n * n - 2 * n - 9)) - 0.5
    ratio = np.divide(steps, spread, out=np.full_like(spread, 4.0), where=spread > 0)
    return np.asarray(betainc(shape, shape, np.minimum(ratio / 4, 1.0)))


def rejects(differences: ArrayLike, limit: float, alpha: float) -> Flags:
    """Whether a stage says "slower than the limit": p <= alpha, and its differences are not alike.

    Args:
        differences: along the last axis.
        limit: d, as a fraction: 0.03 for 3 %.
        alpha: level.
    """
    p = p_greater(differences, math.log1p(limit))
    return np.asarray((p <= alpha) & (serial_p(differences) > SERIAL_ALPHA))


def passes(differences: ArrayLike, limit: float) -> Flags:
    """Whether a stage says "not slower than the limit": the upper 99 % bound of the ratio is under 1 + d."""
    p = p_less(differences, math.log1p(limit))
    return np.asarray((p <= ALPHA) & (serial_p(differences) > SERIAL_ALPHA))


def second_stage(cells: int, first_pairs: int) -> tuple[int, float]:
    """Pairs and level of the second stage of a gate of so many cells.

    K = max(16, ceil(log2(cells / 0.01))), the fewest that can reach the level 0.01 / cells, and no fewer than
    the first stage has: what it could not decide, fewer pairs would not.
    """
    alpha = ALPHA / cells
    return max(MIN_SECOND_PAIRS, math.ceil(math.log2(1 / alpha)), first_pairs), alpha


def propose(pair_sd: float) -> tuple[int, float]:
    """Pairs and limit for a device whose pair differences have this standard deviation.

    The smallest K in 10 ... 40 with 8 sd / sqrt(K) <= 3 %; where none is, K = 40 and d = 8 sd / sqrt(K).
    """
    needed = math.ceil((STANDARD_ERRORS * pair_sd / TARGET_LIMIT) ** 2 - 1e-9)
    if needed <= MOST_PROPOSED:
        return max(DEFAULT_PAIRS, needed), TARGET_LIMIT
    return MOST_PROPOSED, STANDARD_ERRORS * pair_sd / math.sqrt(MOST_PROPOSED)


def visible(limit: float, pair_sd: float, pairs: int, cells: int) -> float:
    """The smallest slowdown that both stages see with power 0.95, as a fraction (0.052 for 5.2 %).

    For normal differences: that one beyond the limit by as many standard deviations as the lower bound of the
    worse of both stages lies under the centre in 95 % of seeded draws, or slightly more, as
    differences that look alike make a stage say nothing.

    Args:
        limit: d, as a fraction.
        pair_sd: standard deviation of the pair differences.
        pairs: of the first stage.
        cells: that the gate decides on.
    """
    return math.expm1(math.log1p(limit) + pair_sd * _needed_shift(pairs, cells))


def pass_chance(limit: float, pair_sd: float, pairs: int, cells: int) -> float:
    """P[a cell ends PASS when nothing changed], for normal differences, by seeded draws."""
    second, _ = second_stage(cells, pairs)
    either = 1.0
    for number, count in enumerate((pairs, second)):
        z, alike = _draws(count, number, _many(second))
        reach = -_lower_bounds(z, ALPHA)  # by symmetry: how far the upper bound lies above the centre
        either *= 1 - float(np.mean((pair_sd * reach < math.log1p(limit)) & ~alike))
    return 1 - either


def power(slowdown: float, limit: float, pair_sd: float, pairs: int, cells: int) -> float:
    """P[both stages see a slowdown of this size], for normal differences; see `visible`."""
    beyond = math.log1p(slowdown) - math.log1p(limit)
    if pair_sd <= 0:
        return float(beyond > 0)
    return float(np.mean(_shifts(pairs, cells) < beyond / pair_sd))


def _needed_shift(pairs: int, cells: int) -> float:
    """By how many standard deviations the centre must lie beyond the limit for power 0.95."""
    return float(np.quantile(_shifts(pairs, cells), POWER, method="higher"))


@lru_cache(maxsize=64)
def _shifts(pairs: int, cells: int) -> Floats:
    """From which shift on, in standard deviations, both stages of each draw reject; infinite for never."""
    second, alpha = second_stage(cells, pairs)
    draws = _many(second)
    worst = np.full(draws, -np.inf)
    for number, (count, level) in enumerate(((pairs, ALPHA), (second, alpha))):
        z, alike = _draws(count, number, draws)
        worst = np.maximum(worst, np.where(alike, np.inf, -_lower_bounds(z, level)))
    return worst


def _many(pairs: int) -> int:
    """How many draws of a gate whose stages have so many pairs at most."""
    return max(FEWEST_DRAWS, min(DRAWS, AVERAGES_IN_ALL // (pairs * (pairs + 1) // 2)))


@lru_cache(maxsize=16)
def _draws(pairs: int, stage: int, draws: int) -> tuple[Floats, Flags]:
    """Standard normal differences of many stages, and which of them look alike."""
    z = np.random.default_rng([pairs, stage]).standard_normal((draws, pairs))
    return z, np.asarray(serial_p(z) <= SERIAL_ALPHA)


def _lower_bounds(z: Floats, alpha: float) -> Floats:
    """Lower one-sided bounds of the centre: the Walsh average below which the test accepts."""
    n = z.shape[-1]
    below = signed_rank_cdf(n)
    rank = int(np.count_nonzero(below <= alpha)) - 1
    if rank < 0:
        return np.full(len(z), -np.inf)
    first, second = np.triu_indices(n)
    bounds = [
        # A copy: a view would keep all the averages that it is of.
        np.partition((part[:, first] + part[:, second]) / 2, rank, axis=-1)[:, rank].copy()
        for part in np.array_split(z, 1 + len(z) * len(first) // MOST_AVERAGES)
    ]
    return np.concatenate(bounds)
