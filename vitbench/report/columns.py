"""Plain columns."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from vitbench.report.numbers import cells_wide
from vitbench.text import clean

GAP = 2


def columns(header: tuple[str, ...], rows: Iterable[tuple[str, ...]], right: Collection[str] = ()) -> str:
    """Lay rows out under a header, two spaces between columns; ends with a newline.

    What would steer a terminal is replaced: cells may come from a file.

    Args:
        right: headers of the columns that are aligned to the right.
    """
    table = [header, *(tuple(map(clean, row)) for row in rows)]
    widths = [max(cells_wide(row[column]) for row in table) for column in range(len(header))]
    lines = []
    for row in table:
        padding = [" " * (width - cells_wide(cell)) for cell, width in zip(row, widths, strict=True)]
        cells = [
            space + cell if name in right else cell + space
            for name, cell, space in zip(header, row, padding, strict=True)
        ]
        lines.append((" " * GAP).join(cells).rstrip())
    return "\n".join(lines) + "\n"


def width_of(text: str) -> int:
    """Cells that the longest line takes."""
    return max(map(cells_wide, text.splitlines()), default=0)
