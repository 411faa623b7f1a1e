"""Every iteration of every block, as it was taken, with the warm-up apart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from vitbench.report.numbers import significant
from vitbench.report.plots.caption import INVALID, caption_of_comparisons, caption_of_runs
from vitbench.report.plots.figure import Plot
from vitbench.report.plots.series import plain_log
from vitbench.report.plots.theme import Theme, legend_order, look

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from vitbench.records.comparison import Comparison
    from vitbench.records.schema import Block, Record, Samples

READ = "each mark {what}, in order; crosses on shaded strips: warm-up; bars: block medians"
ITERATION = "an iteration"
WARM, TIMED, GAP = 0.24, 0.66, 0.04
FLAT = 3.0


@dataclass(frozen=True)
class Strip:
    """A block: whose it is, and its iterations in ms."""

    label: str
    warmup: Sequence[float]
    timed: Sequence[float]
    median: float
    invalid: bool
    steady: bool | None


def record_samples(record: Record) -> Plot:
    """The blocks of a run, in the order they ran."""
    from vitbench.report.rows import from_records

    rows = from_records([record])
    strips = [_strip(rows[0].model, block) for block in record.blocks]
    protocol = record.protocol
    rounds = protocol.metric == "throughput" and protocol.overlap and protocol.streams > 1
    what = f"a round of {protocol.streams} requests" if rounds else ITERATION
    return _plot(
        (rows[0].model,),
        strips,
        f"samples-{record.id}",
        f"Every {what.partition(' ')[2]}: {rows[0].model} at {rows[0].resolution}, on {rows[0].target}",
        _caption(caption_of_runs(rows), record.status),
        record.simulated,
        what,
    )


def comparison_samples(comparison: Comparison) -> Plot:
    """The blocks of both sides: pair by pair in the order they ran; side after side where none are paired."""
    from vitbench.report.comparisons.columns import where
    from vitbench.report.comparisons.rows import from_comparisons

    rows = from_comparisons([comparison])
    labels = comparison.row.labels
    places = [(side, pair.blocks[side]) for pair in comparison.pairs for side in (pair.first, 1 - pair.first)]
    if not places:
        places = [(side, block) for side in (0, 1) for block in range(len(comparison.sides[side].blocks))]
    strips = [_strip(labels[side], comparison.sides[side].blocks[block]) for side, block in places]
    return _plot(
        labels,
        strips,
        f"samples-{comparison.id}",
        f"Every iteration: {labels[0]} and {labels[1]} at {where(rows[0])}, on {rows[0].target}",
        _caption(caption_of_comparisons(rows), comparison.status),
        comparison.simulated,
    )


def _caption(lines: Sequence[str], status: str) -> list[str]:
    """No mark here is hollow: the status is said instead."""
    return [*(line for line in lines if line != INVALID), f"status: {status}"]


def _strip(label: str, block: Block) -> Strip:
    return Strip(
        label,
        _milliseconds(block.warmup),
        _milliseconds(block.samples),
        block.median_ms,
        block.invalid is not None,
        block.steady,
    )


def _milliseconds(samples: Samples) -> list[float]:
    return [value / 1e6 for value in samples.total_ns or samples.compute_ns]


def _plot(
    labels: Sequence[str],
    strips: Sequence[Strip],
    name: str,
    title: str,
    caption: Sequence[str],
    simulated: bool,
    what: str = ITERATION,
) -> Plot:
    medians = [strip.median for strip in strips] or [0.0]
    return Plot(
        name=name,
        title=title,
        caption=[*caption, READ.format(what=what)],
        told=(
            f"{len(strips)} blocks; their medians lie between {significant(min(medians))} and "
            f"{significant(max(medians))} ms"
        ),
        draw=partial(_draw, labels=legend_order(labels), strips=strips, what=what),
        simulated=simulated,
    )


def _draw(axes: Axes, theme: Theme, *, labels: Mapping[str, int], strips: Sequence[Strip], what: str) -> None:
    for label, number in labels.items():
        style = look(theme, number)
        axes.plot([], [], linestyle="none", marker=style.marker, color=style.colour, label=label)
    for place, strip in enumerate(strips):
        style = look(theme, labels[strip.label])
        _marks(axes, strip.warmup, place + GAP, WARM, theme.faint, "x", 9)
        _marks(axes, strip.timed, place + 2 * GAP + WARM, TIMED, style.colour, style.marker, 7)
        ends = (place + 2 * GAP + WARM, place + 2 * GAP + WARM + TIMED)
        axes.plot(ends, (strip.median, strip.median), color=theme.ink, linewidth=2.2, zorder=5)
        axes.axvspan(
            place + GAP,
            place + GAP + WARM,
            facecolor=theme.grid,
            alpha=0.55,
            linewidth=0,
            zorder=0,
        )
    everything = [value for strip in strips for value in (*strip.warmup, *strip.timed)]
    if everything and max(everything) > FLAT * sorted(everything)[len(everything) // 2]:
        plain_log(axes, "y")
    axes.set_xlim(0, max(len(strips), 1))
    axes.set_xticks([place + 0.5 for place in range(len(strips))], _names(strips), fontsize=7.5)
    axes.grid(visible=False, axis="x")
    axes.set_xlabel("block, in the order they ran (! invalid, ~ not steady)")
    axes.set_ylabel(f"ms {what}")
    axes.margins(y=0.06)


def _names(strips: Sequence[Strip]) -> list[str]:
    return [
        f"{number}{'!' * strip.invalid}{'~' * (strip.steady is False)}"
        for number, strip in enumerate(strips, 1)
    ]


def _marks(
    axes: Axes, values: Sequence[float], start: float, room: float, colour: str, marker: str, size: float
) -> None:
    step = room / max(len(values), 1)
    xs = [start + step * (number + 0.5) for number in range(len(values))]
    # Thousands of marks: as a picture inside of the SVG, else it takes megabytes.
    axes.scatter(
        xs, values, s=size, color=colour, marker=marker, linewidths=0.7, alpha=0.75, zorder=3, rasterized=True
    )
