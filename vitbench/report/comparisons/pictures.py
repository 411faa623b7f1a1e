"""The plot in letters below a table of comparisons."""

from __future__ import annotations

from vitbench.report.comparisons.groups import Group
from vitbench.report.plots.text import text_plot
from vitbench.report.plots.tokens import latency_label, latency_series
from vitbench.report.screen import Screen

LEAST = 3


def picture(group: Group, screen: Screen) -> str | None:
    """Latency over tokens, where that makes a curve and the screen has room for one."""
    if len({row.count for row in group.rows if row.count}) < LEAST:
        return None
    return text_plot(latency_series(group), screen, f"{latency_label(group.rows)} over tokens") or None
