"""What a table is drawn on."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from typing import TextIO

from vitbench.report.numbers import wrap

# A file or a pipe has no width: as wide as a wide terminal, unless COLUMNS says otherwise.
PIPE_WIDTH = 160
# For a screen that has no letters beyond ASCII.
_PLAIN = str.maketrans(
    {"±": "+/-", "†": "(c)", "‡": "(w)", "≠": "(m)", "·": "|", "─": "-", "└": "+", "│": "|", "┤": "+"}
)


@dataclass(frozen=True)
class Screen:
    """Width in characters, whether it shows colour, and whether it has only ASCII letters.

    `columns` names those that a table shall have; empty for those that say the most.
    """

    width: int = PIPE_WIDTH
    colour: bool = False
    ascii_only: bool = False
    columns: tuple[str, ...] = ()

    @classmethod
    def of(cls, stream: TextIO) -> Screen:
        """The screen behind a stream. `NO_COLOR`, `TERM=dumb` and `COLUMNS` are honoured."""
        terminal = stream.isatty()
        plain = bool(os.environ.get("NO_COLOR")) or os.environ.get("TERM") == "dumb"
        return cls(
            width=shutil.get_terminal_size((80, 24) if terminal else (PIPE_WIDTH, 24)).columns,
            colour=terminal and not plain,
            ascii_only="utf" not in (stream.encoding or "utf-8").lower(),
        )

    def paint(self, text: str, style: str | None) -> str:
        """Text in a style of rich ("bold red"); as it is where there is no colour."""
        if not self.colour or not style or not text:
            return text
        from rich.style import Style

        return Style.parse(style).render(text)

    def wrap(self, text: str) -> list[str]:
        """Lines that fit; see `numbers.wrap`."""
        return wrap(text, self.width)

    def encode(self, text: str) -> str:
        """Text without letters that this screen cannot show."""
        if not self.ascii_only:
            return text
        return text.translate(_PLAIN).encode("ascii", "replace").decode()
