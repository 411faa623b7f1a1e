"""Show comparisons on standard output, and write them to files where asked."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from vitbench.report.comparisons.render import render_comparisons
from vitbench.report.files import write_reports
from vitbench.report.output import emit

if TYPE_CHECKING:
    from vitbench.records.comparison import Comparison


def show_comparisons(
    comparisons: Sequence[Comparison],
    *,
    form: str = "table",
    timings: bool = False,
    report: Path | None = None,
) -> None:
    """Print comparisons, and write every format into the directory `report`.

    Raises:
        UsageError: there is no such format, or something cannot be written.
    """
    if not comparisons:
        return
    emit(render_comparisons(comparisons, form, timings=timings))
    if report is not None:
        write_reports(report, comparisons)
