"""Rows as a table for a terminal, drawn with rich."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import TYPE_CHECKING

from vitbench.report.layout import GAP, Sheet, sheet
from vitbench.report.rows import Row
from vitbench.report.screen import Screen

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

STYLES = {"valid": "green", "unsteady": "yellow", "inconclusive": "yellow", "parity-failed": "bold red"}
# For a screen that has no letters beyond ASCII.
_PLAIN = str.maketrans({"±": "+/-", "†": "(c)", "‡": "(w)", "·": "|", "─": "-", "━": "-"})


def render(rows: Sequence[Row], screen: Screen) -> str:
    """Draw rows: what they share, the table, the notes. Where even the narrowest table does not fit: a list.

    Nothing is ever cut off, and the status is a word, so that it can be read without colour.
    """
    from rich.cells import cell_len
    from rich.console import Console

    page = sheet(rows, screen.width)
    widths = page.squeezed(screen.width, cell_len)
    drawn = io.StringIO()
    console = Console(
        file=drawn,
        width=screen.width,
        force_terminal=screen.colour,
        no_color=not screen.colour,
        color_system="standard" if screen.colour else None,
        highlight=False,
        legacy_windows=False,
    )
    _print(console, page, widths)
    text = "".join(f"{line.rstrip()}\n" for line in drawn.getvalue().splitlines())
    return text.translate(_PLAIN).encode("ascii", "replace").decode() if screen.ascii_only else text


def _print(console: Console, page: Sheet, widths: list[int] | None) -> None:
    from rich.text import Text

    if page.watermark:
        console.print(Text(page.watermark, style="bold magenta"))
    for line in page.lead:
        console.print(Text(line, style="dim"))
    if page.watermark or page.lead:
        console.print()
    if widths is None:
        _print_list(console, page)
    else:
        console.print(_table(page, widths))
    if page.notes:
        console.print()
    for line in page.notes:
        console.print(Text(line))


def _table(page: Sheet, widths: list[int]) -> Table:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    table = Table(box=SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, GAP - 1, 0, 0))
    for header, right, width in zip(page.headers, page.right, widths, strict=True):
        table.add_column(Text(header), justify="right" if right else "left", width=width, overflow="fold")
    for cells, status in zip(page.cells, page.statuses, strict=True):
        table.add_row(*map(Text, cells[:-1]), Text(cells[-1], style=STYLES.get(status, "")))
    return table


def _print_list(console: Console, page: Sheet) -> None:
    """One line per cell, for a screen that is narrower than the narrowest table."""
    from rich.text import Text

    for number, (cells, status) in enumerate(zip(page.cells, page.statuses, strict=True)):
        if number:
            console.print()
        for header, cell in zip(page.headers, cells, strict=True):
            style = STYLES.get(status, "") if header == page.headers[-1] else ""
            console.print(Text(f"{header}: ").append(cell, style=style))
