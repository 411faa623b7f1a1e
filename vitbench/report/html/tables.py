"""A table as HTML: everything escaped, headers with their scope, a value to sort by in each figure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from html import escape

from vitbench.report.sheet import Sheet
from vitbench.text import clean

DOUBTFUL = ("unsteady", "inconclusive", "parity-failed")
_NUMBER = re.compile(r"^-?\d[\d,]*(\.\d+)?(e-?\d+)?")
_SIZE = re.compile(r"^(\d+)x(\d+)$")


def table_html(page: Sheet, title: str) -> str:
    """Lines above a table, the table in a box that scrolls by itself, notes below."""
    return "\n".join(_parts(page, title))


def _parts(page: Sheet, title: str) -> Iterator[str]:
    if page.watermark:
        yield f'<p class="watermark">{text(page.watermark)}</p>'
    for line in page.lead:
        yield f'<p class="lead">{text(line)}</p>'
    yield f'<div class="box" role="region" tabindex="0" aria-label="{text(title)}">'
    yield '<table class="sortable">'
    headers = zip(page.headers, page.right, strict=True)
    cells = "".join(f'<th scope="col"{_side(right)}>{text(header)}</th>' for header, right in headers)
    yield f"<thead><tr>{cells}</tr></thead>\n<tbody>"
    for row, status in zip(page.cells, page.statuses, strict=True):
        # The status may be out of sight in a narrow window: the row's name bears a mark too.
        mark = ' class="doubtful"' if status in DOUBTFUL else ""
        yield f"<tr{mark}>{''.join(_cells(page, row, status))}</tr>"
    yield "</tbody>\n</table>\n</div>"
    for note in page.notes:
        yield f'<p class="note">{text(note)}</p>'


def _cells(page: Sheet, row: list[str], status: str) -> Iterator[str]:
    """The first cell names the row; the last one is coloured by the status, which it also says in words."""
    for number, (cell, right) in enumerate(zip(row, page.right, strict=True)):
        tag = 'th scope="row"' if number == 0 else "td"
        style = f' class="{escape(status)}"' if number == len(row) - 1 and status else _side(right)
        yield f"<{tag}{style}{_value(cell)}>{text(cell)}</{tag[:2]}>"


def _side(right: bool) -> str:
    return ' class="right"' if right else ""


def _value(cell: str) -> str:
    """What a cell is sorted by where it begins with a figure; HEIGHTxWIDTH by its area."""
    if size := _SIZE.match(cell):
        return f' data-value="{int(size[1]) * int(size[2])}"'
    found = _NUMBER.match(cell)
    whole = found and (found.end() == len(cell) or not cell[found.end()].isalnum())
    return f' data-value="{float(found[0].replace(",", "")):g}"' if found and whole else ""


def text(words: str) -> str:
    """Words in which nothing means anything to HTML, or steers a line."""
    return escape(clean(words))
