"""Rows as a table for a terminal."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from itertools import zip_longest

from vitbench.report.layout import GAP, Sheet, sheet
from vitbench.report.numbers import cells_wide
from vitbench.report.rows import Row
from vitbench.report.screen import Screen

STYLES = {"valid": "green", "unsteady": "yellow", "inconclusive": "yellow", "parity-failed": "bold red"}
# For a screen that has no letters beyond ASCII.
_PLAIN = str.maketrans({"±": "+/-", "†": "(c)", "‡": "(w)", "·": "|", "─": "-"})


def render(rows: Sequence[Row], screen: Screen) -> str:
    """Draw rows: what they share, the table, the notes. Where even the narrowest table does not fit: a list.

    Nothing is ever cut off, and the status is a word, so that it can be read without colour.
    """
    page = sheet(rows, screen.width)
    widths = page.squeezed(screen.width)
    body = _list(page, screen) if widths is None else _table(page, widths, screen)
    parts = [
        [_paint(line, "bold magenta", screen) for line in _wrap(page.watermark or "", screen.width)]
        + [_paint(line, "dim", screen) for text in page.lead for line in _wrap(text, screen.width)],
        list(body),
        [line for text in page.notes for line in _wrap(text, screen.width)],
    ]
    text = "\n\n".join("\n".join(part) for part in parts if part) + "\n"
    return text.translate(_PLAIN).encode("ascii", "replace").decode() if screen.ascii_only else text


def _table(page: Sheet, widths: Sequence[int], screen: Screen) -> Iterator[str]:
    yield _paint(_line(page.headers, page.right, widths).rstrip(), "bold", screen)
    yield "─" * (sum(widths) + GAP * (len(widths) - 1))
    for cells, status in zip(page.cells, page.statuses, strict=True):
        folded = [_wrap(cell, width) for cell, width in zip(cells, widths, strict=True)]
        for *figures, last in zip_longest(*folded, fillvalue=""):
            line = _line(figures, page.right[:-1], widths[:-1]) + " " * GAP
            yield (line + _paint(last, STYLES.get(status), screen)).rstrip()


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
        yield from (f"{header}: {cell}" for header, cell in zip(page.headers[:-1], cells[:-1], strict=True))
        yield f"{page.headers[-1]}: {_paint(cells[-1], STYLES.get(status), screen)}"


def _wrap(text: str, width: int) -> list[str]:
    """Break text between words, and inside of a word only where it is too long for a line."""
    if cells_wide(text) <= width:
        return [text] if text else []
    return textwrap.wrap(text, width, break_on_hyphens=False)


def _paint(text: str, style: str | None, screen: Screen) -> str:
    if not screen.colour or not style or not text:
        return text
    from rich.style import Style

    return Style.parse(style).render(text)
