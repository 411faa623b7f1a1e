"""A plot in letters: logarithmic axes, for a terminal."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from vitbench.report.numbers import significant
from vitbench.report.plots.series import Series
from vitbench.report.screen import Screen

HEIGHT = 14
SHORTEST = 1.5
WIDEST, NARROWEST = 100, 40
MARKS = "ox+*#@"
BETWEEN = "."
INVALID = "?"
MARGIN = 9


@dataclass(frozen=True)
class Axis:
    """Logarithmic: values from `low` to `high` onto cells 0 to `cells` - 1."""

    low: float
    high: float
    cells: int

    def cell(self, value: float) -> int:
        """Where a value falls."""
        reach = math.log(self.high / self.low) or 1.0
        return round((self.cells - 1) * math.log(value / self.low) / reach)

    def value(self, cell: int) -> float:
        """What stands at a cell."""
        return float(self.low * (self.high / self.low) ** (cell / max(self.cells - 1, 1)))


def text_plot(series: Sequence[Series], screen: Screen, title: str) -> str:
    """Curves as letters, one for each; where two meet in a cell the later one is seen. Empty if too narrow.

    Args:
        series: curves with positive values.
        screen: how wide, and whether with colours.
        title: what the axes are.
    """
    points = [point for curve in series for point in curve.points]
    cells = min(screen.width, WIDEST) - MARGIN - 2
    if cells < NARROWEST or len({point.x for point in points}) < 2:
        return ""
    across = Axis(min(point.x for point in points), max(point.x for point in points), cells)
    up = _padded(min(point.y for point in points), max(point.y for point in points))
    canvas = [[(" ", -1)] * cells for _ in range(HEIGHT)]
    for number, curve in enumerate(series):
        _draw(canvas, curve, number, across, up)
    lines = [_line(row, canvas[row], up, screen) for row in range(HEIGHT)]
    legend = "   ".join(f"{MARKS[number % len(MARKS)]} {curve.label}" for number, curve in enumerate(series))
    if not all(point.valid for point in points):
        legend += f"   {INVALID} not valid"
    axis = " " * MARGIN + "└" + "─" * cells
    return "\n".join([*screen.wrap(f"{title}:  {legend}"), *lines, axis, *_ticks(points_x(series), across)])


def points_x(series: Sequence[Series]) -> list[float]:
    """Every x of any curve, once, ascending."""
    return sorted({point.x for curve in series for point in curve.points})


def _padded(low: float, high: float) -> Axis:
    """An axis with a little room at both ends, and never so short that noise looks like a difference."""
    room = max((high / low) ** 0.04, (SHORTEST * low / high) ** 0.5)
    return Axis(low / room, high * room, HEIGHT)


def _draw(canvas: list[list[tuple[str, int]]], curve: Series, number: int, across: Axis, up: Axis) -> None:
    cells = [(across.cell(point.x), up.cell(point.y)) for point in curve.points]
    for (x, y), (next_x, next_y) in pairwise(cells):
        for step in range(1, next_x - x):
            between = round(y + (next_y - y) * step / (next_x - x))
            if step % 2 == 0 and canvas[HEIGHT - 1 - between][x + step][0] == " ":
                canvas[HEIGHT - 1 - between][x + step] = (BETWEEN, number)
    for (x, y), point in zip(cells, curve.points, strict=True):
        mark = MARKS[number % len(MARKS)] if point.valid else INVALID
        canvas[HEIGHT - 1 - y][x] = (mark, number)


def _line(row: int, cells: Sequence[tuple[str, int]], up: Axis, screen: Screen) -> str:
    label = significant(up.value(HEIGHT - 1 - row), 2) if row % 3 == 1 or row == HEIGHT - 1 else ""
    styles = ("bold blue", "bold yellow", "bold green", "bold magenta", "bold cyan", "bold red")
    letters = [screen.paint(letter, styles[number % len(styles)]) for letter, number in cells]
    return f"{label:>{MARGIN - 1}} {'┤' if label else '│'}{''.join(letters)}".rstrip()


def _ticks(values: Sequence[float], across: Axis) -> list[str]:
    """The counts under their cells, each where the one before leaves room."""
    line = ""
    for value in values:
        text = f"{value:,.0f}"
        start = max(0, MARGIN + 1 + across.cell(value) - len(text) // 2)
        start = min(start, MARGIN + 1 + across.cells - len(text))
        if not line or start > len(line):
            line = line.ljust(start) + text
    return [line]
