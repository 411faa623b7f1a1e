"""Latency and speed-up against the number of tokens."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

from vitbench.report.comparisons.groups import PARTS, Group
from vitbench.report.comparisons.rows import Versus
from vitbench.report.numbers import significant
from vitbench.report.plots.caption import caption_of_comparisons
from vitbench.report.plots.figure import Plot
from vitbench.report.plots.series import Point, Series, draw_series, plain_log, token_axis
from vitbench.report.plots.theme import Theme

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def latency_plot(group: Group, name: str) -> Plot:
    """Latency of both sides over tokens, on logarithmic axes, with the 95 % intervals as bands."""
    series = latency_series(group)
    return Plot(
        name=name,
        title=f"Latency of {group.title}",
        caption=[*caption_of_comparisons(group.rows), "bars and bands: 95 % intervals"],
        told=f"Latency in ms over tokens, both logarithmic: {_told(series, 'ms')}",
        draw=partial(_draw, series=series, label=latency_label(group.rows), even=False),
        simulated=any(row.simulated for row in group.rows),
    )


def speed_up_plot(groups: Sequence[Group], name: str) -> Plot:
    """How many times as fast the second side is, over tokens: a curve per part of a study, a line at 1."""
    rows = [row for group in groups for row in group.rows]
    series = speed_up_series(groups)
    second, first = rows[0].labels[1], rows[0].labels[0]
    return Plot(
        name=name,
        title=f"Speed-up of {second} over {first}, on {rows[0].target}",
        caption=[
            *caption_of_comparisons(rows),
            f"bars and bands: 95 % intervals of the pairs; above 1 {second} is faster",
        ],
        told=f"Time of {first} over time of {second}, over tokens: {_told(series, 'times')}",
        draw=partial(_draw, series=series, label=f"speed-up: time {first} / time {second}", even=True),
        simulated=any(row.simulated for row in rows),
    )


def latency_series(group: Group) -> list[Series]:
    """A curve for each label."""
    found: dict[str, list[Point]] = {}
    for row in group.rows:
        for side in row.sides:
            if row.count and side.time_ms:
                point = Point(row.count, side.time_ms, side.low_ms, side.high_ms, row.status == "valid")
                found.setdefault(side.label, []).append(point)
    return [Series(label, sorted(points, key=lambda point: point.x)) for label, points in found.items()]


def speed_up_series(groups: Sequence[Group]) -> list[Series]:
    """A curve for each part of a study."""
    made = [Series(_part(group), [point for row in group.rows if (point := _ratio(row))]) for group in groups]
    return [series for series in made if series.points]


def latency_label(rows: Sequence[Versus]) -> str:
    """What the axis of times shows."""
    return "compute ms" if all(row.value_is == "compute" for row in rows) else "latency ms"


def _part(group: Group) -> str:
    words = {"block": "same width", "matched": "matched MACs"}
    part = group.rows[0].part
    return words.get(part, PARTS.get(part, part))


def _ratio(row: Versus) -> Point | None:
    if not row.count or not row.speed_up:
        return None
    return Point(row.count, row.speed_up, row.speed_up_low, row.speed_up_high, row.status == "valid")


def _draw(axes: Axes, theme: Theme, *, series: Sequence[Series], label: str, even: bool) -> None:
    draw_series(axes, theme, series)
    token_axis(axes, [int(point.x) for curve in series for point in curve.points])
    plain_log(axes, "y")
    if even:
        axes.axhline(1, color=theme.ink, linewidth=1.2, zorder=1)
        axes.annotate(
            "equally fast",
            (0.995, 1),
            xycoords=("axes fraction", "data"),
            ha="right",
            va="bottom",
            fontsize=8,
            color=theme.faint,
        )
    axes.set_ylabel(label)


def _told(series: Sequence[Series], unit: str) -> str:
    return "; ".join(
        f"{curve.label} from {significant(curve.points[0].y)} {unit} at {curve.points[0].x:,.0f} "
        f"to {significant(curve.points[-1].y)} at {curve.points[-1].x:,.0f}"
        for curve in series
    )
