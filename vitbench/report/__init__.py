"""Records as tables and data: one renderer per format over the same rows."""

from vitbench.report.comparisons.render import render_comparisons
from vitbench.report.files import write_comparison_plots, write_reports
from vitbench.report.output import emit_comparisons
from vitbench.report.plots.figure import check_plots
from vitbench.report.render import render, render_records
from vitbench.report.rows import Row
from vitbench.report.screen import Screen

__all__ = [
    "Row",
    "Screen",
    "check_plots",
    "emit_comparisons",
    "render",
    "render_comparisons",
    "render_records",
    "write_comparison_plots",
    "write_reports",
]
