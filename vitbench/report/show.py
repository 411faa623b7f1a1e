"""Show comparisons on standard output, and write them to files where asked."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from vitbench.report.comparisons.render import render_comparisons
from vitbench.report.files import write_comparison_plots, write_reports
from vitbench.report.output import emit

if TYPE_CHECKING:
    from vitbench.records.comparison import Comparison


def show_comparisons(
    comparisons: Sequence[Comparison],
    *,
    form: str = "table",
    timings: bool = False,
    report: Path | None = None,
    plots: Path | None = None,
) -> None:
    """Print comparisons on standard output, and write the files that were asked for; no files of nothing.

    Args:
        comparisons: what was measured, of every status.
        form: name of the format on standard output.
        timings: whether a table says where the time went.
        report: directory of `report.md`, `.csv`, `.json` and `.html`; none when None.
        plots: directory of every plot, as PNG and SVG; none when None.

    Raises:
        UsageError: there is no such format, something cannot be written, or matplotlib is missing for plots
            (`vitbench.report.check_plots` tells before anything is measured).
    """
    emit(render_comparisons(comparisons, form, timings=timings))
    if report is not None and comparisons:
        write_reports(report, comparisons)
    if plots is not None and comparisons:
        write_comparison_plots(plots, comparisons)
