"""One page with tables and plots that needs nothing from anywhere."""

from vitbench.report.html.page import page

__all__ = ["page"]
