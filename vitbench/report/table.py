"""Rows as a table for a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import zip_longest

from vitbench.report.layout import sheet
from vitbench.report.numbers import cells_wide, wrap
from vitbench.report.rows import Row
from vitbench.report.screen import Screen
from vitbench.report.sheet import GAP, Sheet

STYLES = {"valid": "green", "unsteady": "yellow", "inconclusive": "yellow", "parity-failed": "bold red"}


def render(rows: Sequence[Row], screen: Screen) -> str:
    """Draw rows: what they share, the table, the notes. Where even the narrowest table does not fit: a list.

    Nothing is ever cut off, and the status is a word, so that it can be read without colour.
    """
    return draw(sheet(rows, screen.width, chosen=screen.columns), screen)


def draw(page: Sheet, screen: Screen) -> str:
    """Draw a table that is laid out already; see `render`."""
    widths = page.squeezed(screen.width)
    body = _list(page, screen) if widths is None else _table(page, widths, screen)
    parts = [
        [screen.paint(line, "bold magenta") for line in screen.wrap(page.watermark or "")]
        + [screen.paint(line, "dim") for text in page.lead for line in screen.wrap(text)],
        list(body),
        [line for text in page.notes for line in screen.wrap(text)],
    ]
    text = "\n\n".join("\n".join(part) for part in parts if part) + "\n"
    return screen.encode(text)


def _table(page: Sheet, widths: Sequence[int], screen: Screen) -> Iterator[str]:
    yield screen.paint(_line(page.headers, page.right, widths).rstrip(), "bold")
    yield "─" * (sum(widths) + GAP * (len(widths) - 1))
    for cells, status in zip(page.cells, page.statuses, strict=True):
        folded = [wrap(cell, width) for cell, width in zip(cells, widths, strict=True)]
        for *figures, last in zip_longest(*folded, fillvalue=""):
            line = _line(figures, page.right[:-1], widths[:-1]) + " " * GAP
            space = " " * (widths[-1] - cells_wide(last)) if page.right[-1] else ""
            yield (line + space + screen.paint(last, STYLES.get(status))).rstrip()


def _line(cells: Sequence[str], right: Sequence[bool], widths: Sequence[int]) -> str:
    padded = [
        " " * (width - cells_wide(cell)) + cell if to_right else cell + " " * (width - cells_wide(cell))
        for cell, to_right, width in zip(cells, right, widths, strict=True)
    ]
    return (" " * GAP).join(padded)


def _list(page: Sheet, screen: Screen) -> Iterator[str]:
    """One line per cell, for a screen that is narrower than the narrowest table."""
    for number, (cells, status) in enumerate(zip(page.cells, page.statuses, strict=True)):
        if number:
            yield ""
        lines = [screen.wrap(f"{header}: {cell}") for header, cell in zip(page.headers, cells, strict=True)]
        yield from (line for wrapped in lines[:-1] for line in wrapped)
        yield from (screen.paint(line, STYLES.get(status)) for line in lines[-1])
