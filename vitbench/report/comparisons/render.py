"""Comparisons, alone or behind runs, in one of the built-in formats."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from vitbench.errors import UsageError
from vitbench.report import layout, markdown
from vitbench.report.comparisons.data import csv_of, json_of
from vitbench.report.comparisons.rows import Versus, from_comparisons
from vitbench.report.comparisons.sections import sections
from vitbench.report.rows import Row
from vitbench.report.screen import Screen
from vitbench.report.sections import Section, as_markdown, as_text
from vitbench.report.sheet import Sheet

if TYPE_CHECKING:
    from vitbench.records.comparison import Comparison

FORMATS = ("table", "markdown", "csv", "json", "html")


def render_comparisons(
    comparisons: Sequence[Comparison],
    form: str = "table",
    screen: Screen | None = None,
    *,
    timings: bool = False,
) -> str:
    """Draw comparisons in their order, grouped by study, part and target.

    Args:
        comparisons: what to show; of every status.
        form: one of `FORMATS`.
        screen: what a table is drawn on; standard output when None.
        timings: whether a table says where the time went; data always do.

    Raises:
        UsageError: there is no such format.
    """
    return render_all([], from_comparisons(comparisons), form, screen, timings=timings)


def render_page(rows: Sequence[Row], screen: Screen) -> str:
    """Runs alone as a page."""
    return render_all(rows, [], "html", screen)


def render_all(
    rows: Sequence[Row],
    comparisons: Sequence[Versus],
    form: str,
    screen: Screen | None = None,
    *,
    timings: bool = False,
) -> str:
    """Draw runs, then comparisons.

    Raises:
        UsageError: there is no such format.
    """
    if form not in FORMATS:
        raise UsageError(f"unknown format `{form}` for comparisons", f"one of {', '.join(FORMATS)}")
    screen = screen or Screen.of(sys.stdout)
    if form == "csv":
        return csv_of(rows, comparisons)
    if form == "json":
        return json_of(rows, comparisons)
    if form == "html":
        return _html(rows, comparisons, screen, timings=timings)
    if form == "markdown":
        page = layout.sheet(rows, most_drop=markdown.MOST_DROP, chosen=screen.columns) if rows else None
        return as_markdown(_behind(page, sections(comparisons, timings=timings)))
    page = layout.sheet(rows, screen.width, chosen=screen.columns) if rows else None
    return as_text(_behind(page, sections(comparisons, screen, timings=timings)), screen)


def _html(rows: Sequence[Row], comparisons: Sequence[Versus], screen: Screen, *, timings: bool) -> str:
    from vitbench.report.html import page
    from vitbench.report.plots.choose import plots_of

    runs = layout.sheet(rows, most_drop=markdown.MOST_DROP, chosen=screen.columns) if rows else None
    parts = _behind(runs, sections(comparisons, timings=timings), "Runs")
    return page(_title(rows, comparisons), parts, plots_of(rows, comparisons))


def _title(rows: Sequence[Row], comparisons: Sequence[Versus]) -> str:
    """What the page is about: the study where there is only one, else what it holds."""
    titles = list(dict.fromkeys(row.title for row in comparisons))
    if len(titles) == 1 and not rows:
        targets = " and ".join(dict.fromkeys(row.target for row in comparisons))
        return f"vitbench: {titles[0]}, on {targets}"
    counts = ((len(rows), "run"), (len(comparisons), "comparison"))
    told = [f"{count} {noun}{'s' * (count > 1)}" for count, noun in counts if count]
    return f"vitbench: {' and '.join(told) or 'nothing measured'}"


def _behind(runs: Sheet | None, compared: list[Section], title: str | None = None) -> list[Section]:
    return compared if runs is None else [Section(title, runs), *compared]
