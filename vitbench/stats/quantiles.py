"""Quantiles of the t distribution."""

from __future__ import annotations

from functools import lru_cache


@lru_cache(maxsize=4096)
def t_quantile(probability: float, df: int) -> float:
    """Quantile of Student's t distribution with `df` degrees of freedom.

    The first call imports scipy.special, about a third of a second: make it before anything is timed.
    """
    from scipy.special import stdtrit

    return float(stdtrit(df, probability))


def t_half_width(deviation: float, n: int, confidence: float) -> float:
    """Half-width of the t interval of a mean: t_{(1+confidence)/2, n-1} * deviation / sqrt(n).

    Args:
        deviation: sample standard deviation (divisor n - 1) of the n values.
        n: number of values, at least 2.
        confidence: of the two-sided interval, between 0 and 1.
    """
    return float(t_quantile((1 + confidence) / 2, n - 1) * deviation / n**0.5)
