"""The sections of a report of comparisons: per part of a study its table, its candidates, its time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from vitbench.report.comparisons.candidates import candidate_sheet, choices
from vitbench.report.comparisons.groups import Group, grouped
from vitbench.report.comparisons.layout import versus_sheet
from vitbench.report.comparisons.rows import Versus
from vitbench.report.comparisons.timings import timing_sheet
from vitbench.report.sections import Section


def sections(
    rows: Sequence[Versus], *, width: int | None = None, most_drop: int = 99, timings: bool = False
) -> list[Section]:
    """Sections of all rows, in order.

    Args:
        rows: comparisons.
        width: characters there are; None for as many as it takes.
        most_drop: leave out columns that are dropped more readily than this.
        timings: whether to say where the time went.
    """
    return [
        section
        for group in grouped(rows)
        for section in _of_group(group, width=width, most_drop=most_drop, timings=timings)
    ]


def _of_group(group: Group, *, width: int | None, most_drop: int, timings: bool) -> Iterator[Section]:
    yield Section(group.title, versus_sheet(group, width, most_drop))
    if page := candidate_sheet(group):
        yield Section("How each side was computed", page, choices(group), level=2)
    if timings:
        yield Section("Where the time went", timing_sheet(group), level=2)
