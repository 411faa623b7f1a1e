"""Where a curve over the number of tokens crosses zero, and how surely.

A study measures the log ratio of two latencies at some numbers of tokens, each with an interval. Between
them the curve, and the ends of its interval, are taken to be straight lines over log tokens.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]

# Stands for the infinite end of an interval from too few pairs; no log ratio comes near.
UNBOUNDED = 1e9


@dataclass(frozen=True)
class Span:
    """A stretch of tokens; None where it reaches out of the range that was measured."""

    low: float | None
    high: float | None


@dataclass(frozen=True)
class Crossing:
    """Where the curve crosses zero, in tokens.

    Attributes:
        tokens: the crossing of the estimates.
        span: the tokens around it at which the interval contains 0. Crossings in one such stretch have the
            same span: the data do not tell them apart.
        rising: whether the curve goes from below zero to above.
    """

    tokens: float
    span: Span
    rising: bool


@dataclass(frozen=True)
class Crossover:
    """Every crossing within the range, by tokens, and what is left open.

    Attributes:
        crossings: in increasing order.
        undecided: stretches in which the interval contains 0 though the estimates do not cross there.
        outside: without crossings, the side of the range towards which the curve nears zero, if one is;
            `both` where it does at either end.
        first, last: the range, in tokens.
    """

    crossings: tuple[Crossing, ...]
    undecided: tuple[Span, ...]
    outside: Literal["below", "beyond", "both"] | None
    first: float
    last: float

    def __str__(self) -> str:
        """In words: `at 210 tokens (160 to 290)`, `below 49 tokens`, `beyond 8192 tokens`."""
        if self.crossings:
            return ", ".join(
                f"at {each.tokens:.0f} tokens ({self._words(each.span)})" for each in self.crossings
            )
        below, beyond = f"below {self.first:.0f}", f"beyond {self.last:.0f}"
        if self.outside is None:
            return f"none from {self.first:.0f} to {self.last:.0f} tokens"
        return {"below": below, "beyond": beyond, "both": f"{below} or {beyond}"}[self.outside] + " tokens"

    def _words(self, span: Span) -> str:
        low = f"below {self.first:.0f}" if span.low is None else f"{span.low:.0f}"
        high = f"beyond {self.last:.0f}" if span.high is None else f"{span.high:.0f}"
        return f"{low} to {high}"


def find_crossover(tokens: ArrayLike, estimates: ArrayLike, low: ArrayLike, high: ArrayLike) -> Crossover:
    """Find where log ratios cross zero between increasing numbers of tokens.

    The span of a crossing is the inversion of the intervals, point by point: a confidence interval of the
    crossing of (at least) their confidence, as far as the curve is straight between the points. A curve that
    only touches zero does not cross it; one that is zero over a stretch crosses in its middle, if it does.

    Args:
        tokens: two or more, positive and increasing.
        estimates: log ratio at each.
        low, high: ends of its interval, which may be infinite.

    Raises:
        ValueError: other lengths, tokens that do not increase, values that are not numbers, or an estimate
            outside its interval.
    """
    x, middle, lower, upper = _checked(tokens, estimates, low, high)
    stretches, places = list(_stretches(x, lower, upper)), list(_crossings(x, middle))
    crossings = []
    for at, rising in places:
        around = next(((a, b) for a, b in stretches if a <= at <= b), (at, at))
        crossings.append(Crossing(float(np.exp(at)), _span(around, x), rising))
    return Crossover(
        crossings=tuple(crossings),
        undecided=tuple(_span((a, b), x) for a, b in stretches if not any(a <= at <= b for at, _ in places)),
        outside=None if crossings else _outside(middle),
        first=float(np.exp(x[0])),
        last=float(np.exp(x[-1])),
    )


def _checked(
    tokens: ArrayLike, estimates: ArrayLike, low: ArrayLike, high: ArrayLike
) -> tuple[Floats, Floats, Floats, Floats]:
    """Log tokens and the three curves, with finite ends."""
    counts, middle, lower, upper = (
        np.asarray(values, dtype=np.float64) for values in (tokens, estimates, low, high)
    )
    if counts.ndim != 1 or len(counts) < 2 or not counts.shape == middle.shape == lower.shape == upper.shape:
        raise ValueError("tokens, estimates and both ends must be as many, and two or more")
    if not np.isfinite(counts).all() or counts[0] <= 0 or (np.diff(counts) <= 0).any():
        raise ValueError("tokens must be positive and increasing")
    if not np.isfinite(middle).all() or not ((lower <= middle) & (middle <= upper)).all():
        raise ValueError("every estimate must be a number within its interval")
    lower, upper = (np.clip(values, -UNBOUNDED, UNBOUNDED) for values in (lower, upper))
    return np.log(counts), middle, lower, upper


def _crossings(x: Floats, y: Floats) -> Iterator[tuple[float, bool]]:
    """Where a curve changes its sign, and whether it rises there."""
    signed = np.flatnonzero(y).tolist()
    for left, right in pairwise(signed):
        if np.sign(y[left]) != np.sign(y[right]):
            zeros = x[left + 1 : right]
            at = (zeros[0] + zeros[-1]) / 2 if len(zeros) else _root(x, y, left)
            yield float(at), bool(y[right] > 0)


def _root(x: Floats, y: Floats, left: int) -> float:
    """Where the line from one point to the next is zero; their signs differ."""
    share = y[left] / (y[left] - y[left + 1])
    return float(x[left] + share * (x[left + 1] - x[left]))


def _stretches(x: Floats, low: Floats, high: Floats) -> Iterator[tuple[float, float]]:
    """Where the interval contains zero: log tokens from and to, in increasing order, of some length."""
    roots = [
        _root(x, curve, left)
        for curve in (low, high)
        for left in range(len(x) - 1)
        if curve[left] * curve[left + 1] < 0
    ]
    nodes = np.unique(np.concatenate([x, roots]))
    begun: float | None = None
    for left, right in pairwise(nodes):
        centre = (left + right) / 2
        inside = np.interp(centre, x, low) <= 0 <= np.interp(centre, x, high)
        if inside and begun is None:
            begun = float(left)
        elif not inside and begun is not None:
            yield begun, float(left)
            begun = None
    if begun is not None:
        yield begun, float(nodes[-1])


def _span(stretch: tuple[float, float], x: Floats) -> Span:
    """A stretch in tokens, open where it reaches an end of the range."""
    low, high = stretch
    return Span(
        None if low <= x[0] else float(np.exp(low)),
        None if high >= x[-1] else float(np.exp(high)),
    )


def _outside(y: Floats) -> Literal["below", "beyond", "both"] | None:
    """Towards which end a curve without crossings nears zero."""
    below, beyond = abs(y[0]) < abs(y[1]), abs(y[-1]) < abs(y[-2])
    if below and beyond:
        return "both"
    return "below" if below else "beyond" if beyond else None
