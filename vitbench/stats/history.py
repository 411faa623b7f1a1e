"""A session against the ones before it: the prediction limit, and where a history changed its level."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from vitbench.stats.quantiles import t_quantile

MIN_SESSIONS = 10
ALPHA = 0.01
# A level must last for so many sessions to be one.
MIN_LEVEL = 3
# Under this a spread is rounding, and no change is too small to be seen.
LEAST_SPREAD = 1e-6


@dataclass(frozen=True)
class Prediction:
    """What the next session should stay under, in the unit of the input.

    Attributes:
        centre: geometric mean of the sessions.
        limit: one-sided upper prediction limit of one session more.
    """

    centre: float
    limit: float


def prediction_limit(medians: Sequence[float], *, alpha: float = ALPHA) -> Prediction:
    """Upper limit for the next of H positive session medians: m + t(1-a, H-1) s sqrt(1 + 1/H), on logs.

    Exact for log-normal independent sessions (Hahn and Meeker, Statistical Intervals, 1991, section 4.8).

    Raises:
        ValueError: fewer than two sessions.
    """
    if len(medians) < 2:
        raise ValueError("a prediction needs two sessions")
    logs = np.log(np.asarray(medians, dtype=np.float64))
    sessions = len(logs)
    reach = t_quantile(1 - alpha, sessions - 1) * float(logs.std(ddof=1)) * math.sqrt(1 + 1 / sessions)
    mean = float(logs.mean())
    return Prediction(centre=math.exp(mean), limit=math.exp(mean + reach))


def change_points(medians: Sequence[float]) -> tuple[int, ...]:
    """Indices at which a new level begins, by optimal partitioning of the logs (PELT, package `ruptures`).

    The cost of a level is its sum of squares, the penalty of one more level 4 s^2 log n, with s the spread of
    neighbouring sessions: 1.4826 times the median absolute difference, over sqrt(2). A level lasts three
    sessions or more.

    Raises:
        ImportError: `ruptures` is not installed.
    """
    import ruptures

    logs = np.log(np.asarray(medians, dtype=np.float64))
    sessions = len(logs)
    if sessions < 2 * MIN_LEVEL:
        return ()
    spread = max(1.4826 * float(np.median(np.abs(np.diff(logs)))) / math.sqrt(2), LEAST_SPREAD)
    search = ruptures.Pelt(model="l2", min_size=MIN_LEVEL, jump=1).fit(logs.reshape(-1, 1))
    ends = search.predict(pen=4 * spread**2 * math.log(sessions))
    return tuple(int(end) for end in ends[:-1])
