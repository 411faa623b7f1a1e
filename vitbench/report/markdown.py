"""Rows as a Markdown table, for a pull request, a job summary or a README."""

from __future__ import annotations

import re
from collections.abc import Sequence

from vitbench.report.layout import sheet
from vitbench.report.rows import Row
from vitbench.report.screen import Screen
from vitbench.report.sheet import Sheet

# The columns that a page is wide enough for.
MOST_DROP = 9
_SPECIAL = re.compile(r"([\\`*_{}\[\]<>#|~&!$])")
# Names: as code, in which nothing is a link, a mention or a tag.
_CODE = ("model", "target", "device")


def render(rows: Sequence[Row], screen: Screen) -> str:
    """Write rows as a GitHub-flavoured table, with what they share above it and the notes below."""
    return draw(sheet(rows, most_drop=MOST_DROP, chosen=screen.columns))


def draw(page: Sheet) -> str:
    """Write a table that is laid out already; see `render`."""
    lines = [f"**{escape(page.watermark)}**", ""] if page.watermark else []
    for line in page.lead:
        lines += [escape(line), ""]
    lines += [
        _row(page.headers),
        _row(["---:" if right else ":---" for right in page.right]),
        *(_row([_cell(*named) for named in zip(page.headers, cells, strict=True)]) for cells in page.cells),
    ]
    for note in page.notes:
        lines += ["", escape(note)]
    return "\n".join(lines) + "\n"


def escape(text: str) -> str:
    """Text in which no character means anything to Markdown or HTML."""
    return _SPECIAL.sub(r"\\\1", text).replace("@", "@\u200b")


def _cell(header: str, text: str) -> str:
    if header not in _CODE:
        return escape(text)
    # Inside of code only a backtick ends it, and a bar still ends the cell.
    return "`" + text.replace("`", "'").replace("|", "\\|") + "`"


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
