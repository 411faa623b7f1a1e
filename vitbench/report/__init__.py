"""Records as tables and data: one renderer per format over the same rows."""

from vitbench.report.render import render, render_records
from vitbench.report.rows import Row
from vitbench.report.screen import Screen

__all__ = ["Row", "Screen", "render", "render_records"]
