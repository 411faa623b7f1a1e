"""The table of where the time of comparisons went."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from vitbench.report.comparisons.columns import where
from vitbench.report.comparisons.groups import Group
from vitbench.report.comparisons.rows import TIMINGS
from vitbench.report.sheet import SIMULATED, Sheet
from vitbench.text import clean

HEADERS = ("all", "building", "loading", "warm-up", "timed", "waiting", "other", "overhead")
REST = "seconds; overhead: the share of all that is neither building, nor warm-up, nor timed"


def timing_sheet(group: Group) -> Sheet:
    """Lay out the wall time of every row and of all together, in seconds."""
    rows = group.rows
    total = {name: sum(row.timings[name] for row in rows) for name in TIMINGS}
    lines = [[where(row), clean(" / ".join(row.labels)), *_figures(row.timings)] for row in rows]
    if len(rows) > 1:
        lines.append(["all", "", *_figures(total)])
    headers = ["tokens" if rows[0].tokens else "HxW", "sides", *HEADERS]
    if group.shared_labels:
        headers, lines = _without_sides(headers), [_without_sides(line) for line in lines]
    return Sheet(
        watermark=SIMULATED if all(row.simulated for row in rows) else None,
        lead=[],
        headers=headers,
        right=[header in HEADERS for header in headers],
        cells=lines,
        statuses=["" for _ in lines],
        notes=[REST],
    )


def _without_sides(cells: Sequence[str]) -> list[str]:
    return [*cells[:1], *cells[2:]]


def _figures(timings: Mapping[str, float]) -> Sequence[str]:
    wall, *parts = (timings[name] for name in TIMINGS)
    used = timings["building_s"] + timings["warmup_s"] + timings["timed_s"]
    overhead = max(0.0, 1 - used / wall) if wall else 0.0
    seconds = [wall, *parts, max(0.0, wall - sum(parts))]
    return [*(f"{value:.1f}" for value in seconds), f"{100 * overhead:.0f} %"]
