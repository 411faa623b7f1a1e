"""The sections of a report of comparisons: per part of a study its table, its candidates, its time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from vitbench.report.comparisons.candidates import candidate_sheet, choices
from vitbench.report.comparisons.crossing import crossings
from vitbench.report.comparisons.groups import Group, grouped
from vitbench.report.comparisons.layers import layer_sheet
from vitbench.report.comparisons.layout import versus_sheet
from vitbench.report.comparisons.limits import limits
from vitbench.report.comparisons.pictures import picture
from vitbench.report.comparisons.rates import rate_sheet
from vitbench.report.comparisons.rows import Versus
from vitbench.report.comparisons.timings import timing_sheet
from vitbench.report.screen import Screen
from vitbench.report.sections import Section

RULES = "How that was "


def sections(rows: Sequence[Versus], screen: Screen | None = None, *, timings: bool = False) -> list[Section]:
    """Sections of all rows, in order.

    Args:
        rows: comparisons.
        screen: a terminal, which bounds the width of tables and gets plots in letters; None for a document.
        timings: whether to say where the time went.
    """
    found = [
        section for group in grouped(rows) for section in _of_group(group, rows, screen, timings=timings)
    ]
    return _rules_once(found)


def _rules_once(sections: Sequence[Section]) -> list[Section]:
    """The same sections; how something was found or judged is said where it first applies."""
    said: set[str] = set()
    told = []
    for section in sections:
        fresh = [text for text in section.sentences if text not in said]
        said.update(text for text in fresh if text.startswith(RULES))
        told.append(replace(section, sentences=fresh))
    return told


def _of_group(
    group: Group, rows: Sequence[Versus], screen: Screen | None, *, timings: bool
) -> Iterator[Section]:
    first = group.rows[0]
    study = [row for row in rows if (row.study, row.target) == (first.study, first.target)]
    yield Section(
        group.title,
        versus_sheet(group, screen.width if screen else None),
        crossings(group),
        picture(group, screen) if screen else None,
    )
    yield Section("Arithmetic and traffic", rate_sheet(group, study), limits(group, study), level=2)
    if page := layer_sheet(group):
        yield Section("Time by layer", page, level=2)
    if page := candidate_sheet(group):
        yield Section("How each side was computed", page, choices(group), level=2)
    if timings and any(row.timings["wall_s"] for row in group.rows):
        yield Section("Where the time went", timing_sheet(group), level=2)
