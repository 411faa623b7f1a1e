"""Plain left-aligned columns."""

from __future__ import annotations

from collections.abc import Iterable

from vitbench.text import clean


def columns(header: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    """Lay rows out under a header, two spaces between columns; ends with a newline.

    What would steer a terminal is replaced: cells may come from a file.
    """
    table = [header, *(tuple(map(clean, row)) for row in rows)]
    widths = [max(len(row[column]) for row in table) for column in range(len(header))]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in table
    ]
    return "\n".join(lines) + "\n"
