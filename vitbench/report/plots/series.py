"""Curves with their intervals: the shapes behind latency and speed-up plots."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from vitbench.report.plots.theme import Theme, look

if TYPE_CHECKING:
    from matplotlib.axes import Axes


@dataclass(frozen=True)
class Point:
    """A value at a number of tokens, with its interval where there is one, and whether it is valid."""

    x: float
    y: float
    low: float | None
    high: float | None
    valid: bool


@dataclass(frozen=True)
class Series:
    """A curve: points in the order of x."""

    label: str
    points: Sequence[Point]


def draw_series(axes: Axes, theme: Theme, series: Sequence[Series]) -> None:
    """Draw curves: a line with markers, hollow where not valid, and a band between the ends of intervals."""
    for number, curve in enumerate(series):
        style = look(theme, number)
        xs, ys = [point.x for point in curve.points], [point.y for point in curve.points]
        axes.plot(xs, ys, color=style.colour, linestyle=style.line, zorder=3)
        for valid in (True, False):
            chosen = [point for point in curve.points if point.valid is valid]
            axes.plot(
                [point.x for point in chosen],
                [point.y for point in chosen],
                linestyle="none",
                marker=style.marker,
                color=style.colour,
                markerfacecolor=style.colour if valid else theme.paper,
                markeredgewidth=1.5,
                zorder=4,
            )
        axes.plot([], [], color=style.colour, linestyle=style.line, marker=style.marker, label=curve.label)
        _band(axes, curve, style.colour)


def _band(axes: Axes, curve: Series, colour: str) -> None:
    """Shade the intervals, with a gap where one is missing; a bar caps each: a narrow band is not seen."""
    xs = [point.x for point in curve.points]
    lows = [math.nan if point.low is None else point.low for point in curve.points]
    highs = [math.nan if point.high is None else point.high for point in curve.points]
    axes.fill_between(xs, lows, highs, color=colour, alpha=0.22, linewidth=0, zorder=2)
    known = [point for point in curve.points if point.low is not None and point.high is not None]
    errors = [
        [max(0.0, point.y - (point.low or 0.0)) for point in known],
        [max(0.0, (point.high or 0.0) - point.y) for point in known],
    ]
    places, ys = [point.x for point in known], [point.y for point in known]
    axes.errorbar(places, ys, yerr=errors, fmt="none", ecolor=colour, elinewidth=1.1, capsize=3, zorder=3)


def token_axis(axes: Axes, counts: Sequence[int]) -> None:
    """A logarithmic axis of tokens, with a tick at every count that is far enough from the one before."""
    from matplotlib.ticker import FixedFormatter, FixedLocator, NullLocator

    axes.set_xscale("log")
    ticks: list[int] = []
    for count in sorted(set(counts)):
        if not ticks or count >= 1.35 * ticks[-1]:
            ticks.append(count)
    axes.xaxis.set_major_locator(FixedLocator(ticks))
    axes.xaxis.set_major_formatter(FixedFormatter([f"{count:,}" for count in ticks]))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xlabel("tokens")


def plain_log(axes: Axes, which: str) -> None:
    """A logarithmic axis that says 0.05 and 20 rather than powers of ten."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    if which == "x":
        axes.set_xscale("log")
    else:
        axes.set_yscale("log")
    axis = axes.xaxis if which == "x" else axes.yaxis
    low, high = axes.get_xlim() if which == "x" else axes.get_ylim()
    decades = high / low if low > 0 else 10
    subs = (1.0, 2.0, 5.0) if decades < 200 else (1.0,)
    axis.set_major_locator(LogLocator(base=10, subs=subs, numticks=20))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_formatter(NullFormatter())
