"""The verdicts of a gate on a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import zip_longest

from vitbench.records.gate import GateCell, GateRecord
from vitbench.report.gate import words
from vitbench.report.numbers import cells_wide, wrap
from vitbench.report.screen import Screen
from vitbench.report.sheet import GAP, SIMULATED
from vitbench.text import clean

STYLES = {
    "PASS": "green",
    "IMPROVEMENT": "bold green",
    "REGRESSION": "bold red",
    "INCONCLUSIVE": "yellow",
    "NOT MEASURED": "yellow",
}
HEADERS = ("verdict", "cell", "baseline ms", "now ms", "change", "limit")
RIGHT = (False, False, True, True, True, True)


def render(record: GateRecord, screen: Screen) -> str:
    """Draw the cells, what must be acted upon first, then what the gate can see and its remarks."""
    cells = words.ordered(record)
    lines = [
        screen.paint(line, "bold magenta") for line in screen.wrap(SIMULATED if record.simulated else "")
    ]
    lines += [screen.paint(line, "dim") for line in screen.wrap(words.place(record))]
    lines += ["", *_table(cells, screen), ""] if cells else [""]
    for cell in cells:
        if text := words.why(cell):
            lines += screen.wrap(f"{clean(cell.label)}: {text}")
    lines += [line for note in words.notes(record) for line in screen.wrap(note)]
    if sight := words.sight(record):
        lines += screen.wrap(sight)
    lines += ["", *(screen.paint(line, "bold") for line in screen.wrap(words.summary(record)))]
    return screen.encode("\n".join(lines) + "\n")


def _table(cells: Sequence[GateCell], screen: Screen) -> list[str]:
    rows = [
        (
            words.verdict_of(cell),
            clean(cell.label),
            *words.times(cell),
            words.change(cell),
            f"+{cell.limit:.1%}",
        )
        for cell in cells
    ]
    widths = [max(cells_wide(row[column]) for row in (HEADERS, *rows)) for column in range(len(HEADERS))]
    excess = sum(widths) + GAP * (len(widths) - 1) - screen.width
    if excess > 0 and widths[1] - excess >= len(HEADERS[1]) + 8:
        widths[1] -= excess
    elif excess > 0:
        return _list(rows, cells, screen)
    drawn = [screen.paint(_line(HEADERS, widths), "bold"), "─" * (sum(widths) + GAP * (len(widths) - 1))]
    for row, cell in zip(rows, cells, strict=True):
        folded = [wrap(text, width) for text, width in zip(row, widths, strict=True)]
        for number, parts in enumerate(zip_longest(*folded, fillvalue="")):
            line = _line(parts, widths)
            style = STYLES[cell.verdict] if number == 0 else None
            head = cells_wide(parts[0])
            drawn.append(screen.paint(line[:head], style) + line[head:])
    return drawn


def _list(rows: Sequence[tuple[str, ...]], cells: Sequence[GateCell], screen: Screen) -> list[str]:
    """One line per figure, for a screen that is narrower than the table."""
    lines: list[str] = []
    for row, cell in zip(rows, cells, strict=True):
        first, *rest = [screen.wrap(f"{name}: {text}") for name, text in zip(HEADERS, row, strict=True)]
        lines += ["", *(screen.paint(line, STYLES[cell.verdict]) for line in first)]
        lines += [line for wrapped in rest for line in wrapped]
    return lines[1:]


def _line(parts: tuple[str, ...], widths: Sequence[int]) -> str:
    padded = [
        " " * (width - cells_wide(text)) + text if right else text + " " * (width - cells_wide(text))
        for text, width, right in zip(parts, widths, RIGHT, strict=True)
    ]
    return (" " * GAP).join(padded).rstrip()
