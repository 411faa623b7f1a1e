"""The interval of one block's median, from the medians of batches of iterations.

Iterations of one process are correlated, so their own spread understates the error of the median. Medians of
batches that are long against the correlation are nearly independent (method of batch means, Conway 1963;
Alexopoulos and Seila in Banks, Handbook of Simulation, 1998, ch. 7).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vitbench.stats.quantiles import t_half_width

MIN_BATCHES = 10
MAX_BATCHES = 40
MAX_LAG1 = 0.2


@dataclass(frozen=True)
class BlockInterval:
    """Median of a block and how sure it is.

    Attributes:
        median: of all iterations, in the unit of the input.
        half_width: of the interval, as a fraction of the median; None under two batches.
        batch: iterations a batch, after doubling.
        batches: how many whole batches there were.
        lag1: autocorrelation of successive batch medians at that size; 0 under three batches.
    """

    median: float
    half_width: float | None
    batch: int
    batches: int
    lag1: float

    @property
    def low(self) -> float | None:
        """Lower end, in the unit of the input."""
        return None if self.half_width is None else self.median * (1 - self.half_width)

    @property
    def high(self) -> float | None:
        """Upper end, in the unit of the input."""
        return None if self.half_width is None else self.median * (1 + self.half_width)


def batch_medians(values: ArrayLike, batch: int) -> NDArray[np.float64]:
    """Medians of successive whole batches of `batch` values; a rest at the end is left out."""
    array = np.asarray(values, dtype=np.float64)
    whole = len(array) // batch
    medians: NDArray[np.float64] = np.median(array[: whole * batch].reshape(whole, batch), axis=1)
    return medians


def lag1_autocorrelation(values: ArrayLike) -> float:
    """Lag-1 autocorrelation: sum (x_i - m)(x_{i+1} - m) / sum (x_i - m)^2.

    0 for fewer than three values and for values that are all the same.
    """
    array = np.asarray(values, dtype=np.float64)
    if len(array) < 3:
        return 0.0
    centred = array - array.mean()
    power = float(centred @ centred)
    return float(centred[:-1] @ centred[1:]) / power if power > 0 else 0.0


def settled_batch(values: Sequence[int] | Sequence[float], batch: int) -> int:
    """Batch size after doubling, for as long as batch medians are correlated or there are plenty of them.

    The size doubles while at least ten batches are there and their lag-1 autocorrelation exceeds 0.2. It
    also doubles while there are forty or more: what little correlation is left shrinks with the batch, and
    t hardly changes beyond twenty degrees of freedom.
    """
    while (batches := len(values) // batch) >= MIN_BATCHES:
        if batches < MAX_BATCHES and lag1_autocorrelation(batch_medians(values, batch)) <= MAX_LAG1:
            break
        batch *= 2
    return batch


def block_interval(
    values: Sequence[int] | Sequence[float], batch: int, *, confidence: float = 0.95
) -> BlockInterval:
    """Interval of the median of a block of iterations, by t over batch medians.

    median +- t_{(1+confidence)/2, k-1} * s / sqrt(k) * sqrt((1+r)/(1-r)), with s the standard deviation of
    the k batch medians, the batch doubled as `settled_batch` says, and r the autocorrelation they are left
    with: the last factor is the loss of effective size of a first-order autoregression (Bayley and
    Hammersley 1946). Centred on the median of all iterations, the block's datum. A stopping rule passes the
    batch of its last look on to the next: a size once given up is not tried again.

    Args:
        values: iterations in the order they ran, at least one, positive.
        batch: iterations a batch to start from.
        confidence: of the interval.

    Raises:
        ValueError: without values.
    """
    if not len(values):
        raise ValueError("no iterations")
    median = float(np.median(np.asarray(values, dtype=np.float64)))
    batch = settled_batch(values, batch)
    medians = batch_medians(values, batch)
    count, lag1 = len(medians), lag1_autocorrelation(medians)
    half_width = None
    if count >= 2:
        half_width = t_half_width(float(medians.std(ddof=1)), count, confidence) / median
        half_width *= _widening(lag1, count)
    return BlockInterval(median, half_width, batch, count, lag1)


def _widening(lag1: float, count: int) -> float:
    """sqrt((1+r)/(1-r)), with r the lag-1 autocorrelation freed of its bias of -1/n, from 0 to 0.9.

    The estimate from n values is too low by about 1/n (Marriott and Pope, Biometrika 41, 1954).
    """
    r = min(0.9, max(0.0, lag1 + 1 / count)) if count > 2 else 0.0
    return float(np.sqrt((1 + r) / (1 - r)))
