"""Records as tables and data: one renderer per format over the same rows."""

from vitbench.report.comparisons.render import render_comparisons
from vitbench.report.files import write_comparison_plots, write_reports
from vitbench.report.plots.figure import check_plots
from vitbench.report.render import render, render_records
from vitbench.report.rows import Row
from vitbench.report.screen import Screen
from vitbench.report.show import show_comparisons

__all__ = [
    "Row",
    "Screen",
    "check_plots",
    "render",
    "render_comparisons",
    "render_records",
    "show_comparisons",
    "write_comparison_plots",
    "write_reports",
]
