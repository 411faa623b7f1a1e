"""Which plots a report has."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from vitbench.report.comparisons.columns import side_label, where
from vitbench.report.comparisons.groups import Group, grouped
from vitbench.report.comparisons.rows import Versus
from vitbench.report.plots.figure import Plot
from vitbench.report.plots.frontier import frontier_plots
from vitbench.report.plots.parts import parts_plot
from vitbench.report.plots.roofline import comparison_roofline, run_roofline
from vitbench.report.plots.tokens import latency_plot, speed_up_plot, speed_up_series
from vitbench.report.rows import Row

if TYPE_CHECKING:
    from vitbench.records.document import Document

LEAST_POINTS = 2


def plots_of(rows: Sequence[Row], comparisons: Sequence[Versus]) -> list[Plot]:
    """Every plot that runs and comparisons give, each with a name of its own."""
    return [*_of_comparisons(comparisons), *_of_runs(rows), *_frontiers(rows, comparisons)]


def sample_plots(documents: Sequence[Document]) -> list[Plot]:
    """One plot per run and comparison, of every iteration it holds."""
    from vitbench.records.gate import GateRecord
    from vitbench.records.schema import Record
    from vitbench.report.plots.samples import comparison_samples, record_samples

    return [
        record_samples(document) if isinstance(document, Record) else comparison_samples(document)
        for document in documents
        if not isinstance(document, GateRecord)  # its samples are in its comparisons
    ]


def _of_comparisons(comparisons: Sequence[Versus]) -> Iterator[Plot]:
    studies: dict[tuple[object, ...], list[Group]] = {}
    for group in grouped(comparisons):
        first = group.rows[0]
        studies.setdefault((first.study, group.rows[0].labels, _place(group)), []).append(group)
    for number, groups in enumerate(studies.values(), 1):
        yield from _of_study(groups, number)


def _of_study(groups: Sequence[Group], number: int) -> Iterator[Plot]:
    """The plots of one study on one target."""
    over_tokens = [group for group in groups if len({row.count for row in group.rows if row.count}) > 1]
    for group in over_tokens:
        yield latency_plot(group, f"latency-tokens-{number}-{group.rows[0].part}")
    if speed_up_series(over_tokens):
        yield speed_up_plot(over_tokens, f"speed-up-{number}")
    rows = [row for group in groups for row in group.rows]
    if len(rows) >= LEAST_POINTS and (plot := comparison_roofline(rows, f"roofline-{number}")):
        yield plot
    sides = [(side.row, f"{side_label(row, side)} {where(row)}") for row in rows for side in row.sides]
    if plot := parts_plot([row for row, _ in sides], [name for _, name in sides], f"parts-{number}"):
        yield plot


def _of_runs(rows: Sequence[Row]) -> Iterator[Plot]:
    targets: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        targets.setdefault((row.target, row.device), []).append(row)
    for number, found in enumerate(targets.values(), 1):
        if len(found) >= LEAST_POINTS and (plot := run_roofline(found, f"runs-roofline-{number}")):
            yield plot
        names = [f"{row.model} {row.resolution}" for row in found]
        if plot := parts_plot(found, names, f"runs-parts-{number}"):
            yield plot


def _frontiers(rows: Sequence[Row], comparisons: Sequence[Versus]) -> list[Plot]:
    """Runs first: a side of a comparison stands in where its network was not measured alone."""
    alone = {(row.model, row.resolution, row.target, row.precision) for row in rows}
    sides = {
        (side.row.model, side.row.resolution, side.row.target, side.row.precision): side.row
        for row in comparisons
        if row.part in ("network", "models")
        for side in row.sides
    }
    return frontier_plots([*rows, *(row for cell, row in sides.items() if cell not in alone)])


def _place(group: Group) -> tuple[object, ...]:
    first = group.rows[0]
    return tuple((side.row.target, side.row.device, side.row.precision) for side in first.sides)
