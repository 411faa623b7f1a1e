"""Arithmetic per second against arithmetic per byte, under the best rates that were seen."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from vitbench.report.comparisons.columns import side_label, where
from vitbench.report.comparisons.rows import Versus
from vitbench.report.numbers import significant
from vitbench.report.plots.caption import caption_of_comparisons, caption_of_runs
from vitbench.report.plots.figure import Plot
from vitbench.report.plots.labels import name_points
from vitbench.report.plots.series import plain_log
from vitbench.report.plots.theme import Theme, legend_order, look
from vitbench.report.rows import Row

if TYPE_CHECKING:
    from matplotlib.axes import Axes

ROOF = "lines: the fastest arithmetic and the most counted traffic of these points, no limits of the device"
MOST_NAMED = 24


@dataclass(frozen=True)
class Spot:
    """A point: MACs per byte and GMAC/s, both of the graph that ran; bytes are counted, not seen on a bus."""

    label: str
    name: str
    macs_per_byte: float
    gmacs_per_s: float
    valid: bool

    @property
    def gbytes_per_s(self) -> float:
        """Counted traffic."""
        return self.gmacs_per_s / self.macs_per_byte


def comparison_roofline(rows: Sequence[Versus], name: str) -> Plot | None:
    """Both sides of comparisons on one target; None where nothing can be placed."""
    spots = [
        Spot(side_label(row, side), where(row), side.macs_per_byte, side.ran_gmacs_per_s, valid)
        for row, valid in ((row, row.status == "valid") for row in rows)
        for side in row.sides
        if side.macs_per_byte and side.ran_gmacs_per_s
    ]
    labels = dict.fromkeys(label for row in rows for label in row.labels)
    return _plot(
        spots,
        name,
        f"Arithmetic and traffic of {' and '.join(labels)}, on {rows[0].target}",
        caption_of_comparisons(rows),
        any(row.simulated for row in rows),
    )


def run_roofline(rows: Sequence[Row], name: str) -> Plot | None:
    """Runs on one target, by family; None where nothing can be placed."""
    spots = []
    sizes = Counter(row.model for row in rows)
    for row in rows:
        traffic = row.bytes_read + row.bytes_written
        if row.value and row.unit == "ms" and traffic and row.macs_artifact:
            rate = row.macs_artifact / row.value / 1e6
            family = row.model.partition("-")[0]
            called = f"{row.model} {row.resolution}" if sizes[row.model] > 1 else row.model
            spots.append(Spot(family, called, row.macs_artifact / traffic, rate, row.status == "valid"))
    return _plot(
        spots,
        name,
        f"Arithmetic and traffic of networks on {rows[0].target}",
        caption_of_runs(rows),
        any(row.simulated for row in rows),
    )


def _plot(
    spots: Sequence[Spot], name: str, title: str, caption: Sequence[str], simulated: bool
) -> Plot | None:
    if not spots:
        return None
    fastest = max(spot.gmacs_per_s for spot in spots)
    most = max(spot.gbytes_per_s for spot in spots)
    return Plot(
        name=name,
        title=title,
        caption=[*caption, ROOF],
        told=(
            f"GMAC/s over MACs per byte of the graphs that ran, both logarithmic; at best "
            f"{significant(fastest)} GMAC/s and {significant(most)} GB/s"
        ),
        draw=partial(_draw, spots=spots, fastest=fastest, most=most),
        height=4.4,
        simulated=simulated,
    )


def _draw(axes: Axes, theme: Theme, *, spots: Sequence[Spot], fastest: float, most: float) -> None:
    for label, number in legend_order([spot.label for spot in spots]).items():
        style = look(theme, number)
        axes.plot([], [], linestyle="none", marker=style.marker, color=style.colour, label=label)
        for spot in (spot for spot in spots if spot.label == label):
            axes.plot(
                [spot.macs_per_byte],
                [spot.gmacs_per_s],
                linestyle="none",
                marker=style.marker,
                color=style.colour,
                markerfacecolor=style.colour if spot.valid else theme.paper,
                zorder=4,
            )
    plain_log(axes, "x")
    plain_log(axes, "y")
    axes.margins(0.14)
    _roof(axes, theme, fastest, most)
    axes.set_xlabel("MACs per byte of the graph that ran (bytes its layers read and write)")
    axes.set_ylabel("GMAC/s of the graph that ran")
    if len(spots) <= MOST_NAMED:
        points = [(spot.macs_per_byte, spot.gmacs_per_s) for spot in spots]
        name_points(axes, theme, points, [spot.name for spot in spots])


def _roof(axes: Axes, theme: Theme, fastest: float, most: float) -> None:
    """The two lines, within the limits that the points gave."""
    (left, right), (bottom, top) = axes.get_xlim(), axes.get_ylim()
    corner = fastest / most
    lines = (
        ([min(left, corner), corner], "--", f"most traffic seen: {significant(most)} GB/s"),
        ([corner, max(right, corner)], "-.", f"fastest seen: {significant(fastest)} GMAC/s"),
    )
    for xs, style, label in lines:
        ys = [min(fastest, x * most) for x in xs]
        axes.plot(xs, ys, color=theme.faint, linestyle=style, linewidth=1.2, zorder=1, label=label)
    axes.set_xlim(left, right)
    axes.set_ylim(bottom, top)
