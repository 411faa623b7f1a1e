"""Estimates that a few wild values cannot move."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

MILD_IQR = 1.5
SEVERE_IQR = 3.0


@dataclass(frozen=True)
class Outliers:
    """How many values lie outside Tukey's fences, on either side. A severe one is not counted as mild."""

    mild: int
    severe: int


def tukey_outliers(values: ArrayLike) -> Outliers:
    """Count the values beyond the quartiles by more than 1.5 (mild) and 3 (severe) interquartile ranges.

    Source: Tukey, Exploratory Data Analysis, 1977. Nothing is removed.
    """
    array = np.asarray(values, dtype=np.float64)
    low, high = np.percentile(array, (25, 75))
    beyond = np.maximum(low - array, array - high)
    severe = int(np.count_nonzero(beyond > SEVERE_IQR * (high - low)))
    return Outliers(int(np.count_nonzero(beyond > MILD_IQR * (high - low))) - severe, severe)


def theil_sen_slope(values: ArrayLike) -> float:
    """Median of the slopes between all pairs of successive values, in units of the input per step.

    median over i < j of (y_j - y_i) / (j - i) (Theil 1950; Sen, JASA 63, 1968). All n (n-1) / 2 pairs are
    held at once: meant for some hundred values. 0 for fewer than two.
    """
    array = np.asarray(values, dtype=np.float64)
    if len(array) < 2:
        return 0.0
    first, second = np.triu_indices(len(array), k=1)
    return float(np.median((array[second] - array[first]) / (second - first)))
