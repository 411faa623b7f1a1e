"""The estimate of a run, from the medians of its blocks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from vitbench.stats.quantiles import t_half_width

MIN_BLOCKS = 5


@dataclass(frozen=True)
class RunInterval:
    """Median of the block medians and its interval, in the unit of the input."""

    median: float
    low: float
    high: float

    @property
    def half_width(self) -> float:
        """Half of the interval's length, as a fraction of the median."""
        return (self.high - self.low) / 2 / self.median


def run_interval(block_medians: Sequence[float], *, confidence: float = 0.95) -> RunInterval:
    """Median of the block medians, with a t interval over their logarithms.

    exp(m -+ t_{(1+confidence)/2, n-1} * s / sqrt(n)), with m and s the mean and the standard deviation of the
    logarithms: processes differ by factors, and the interval then scales with the unit. It is centred on the
    mean, not on the median of the logarithms: t is exact there for log-normal blocks, while round the median
    of five it would cover 93.5 %. Up to six blocks it holds the median of the logarithms whatever the blocks
    are, as |mean - median| <= s * sqrt((n-1)/n) (Hotelling and Solomons 1932); where it does not hold the
    median, it is stretched to it.

    Args:
        block_medians: at least two, positive.

    Raises:
        ValueError: with fewer than two blocks.
    """
    if len(block_medians) < 2:
        raise ValueError("an interval between blocks needs two blocks")
    median = float(np.median(block_medians))
    logs = np.log(np.asarray(block_medians, dtype=np.float64))
    reach = t_half_width(float(logs.std(ddof=1)), len(logs), confidence)
    centre = float(logs.mean())
    return RunInterval(
        median, min(float(np.exp(centre - reach)), median), max(float(np.exp(centre + reach)), median)
    )
