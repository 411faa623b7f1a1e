"""A table before it is drawn: cells as text, what they share above it, notes below."""

from __future__ import annotations

from dataclasses import dataclass

from vitbench.report.numbers import cells_wide

GAP = 2
NARROWEST_MODEL = 12
NEVER_DROPPED = 0
SIMULATED = "SIMULATED: a script or a stand-in made these figures, no device was measured"
PARTLY_SIMULATED = "simulated: a script or a stand-in made these figures, no device was measured"


@dataclass(frozen=True)
class Sheet:
    """A table ready to be drawn: one list of cells per row, `lead` above it, `notes` below."""

    watermark: str | None
    lead: list[str]
    headers: list[str]
    right: list[bool]
    cells: list[list[str]]
    statuses: list[str]
    notes: list[str]

    def widths(self) -> list[int]:
        """Room that each column needs, by its widest cell."""
        return [max(map(cells_wide, column)) for column in zip(self.headers, *self.cells, strict=True)]

    def squeezed(self, width: int) -> list[int] | None:
        """Room for each column when status, then model, may take several lines; None: it does not fit."""
        widths = self.widths()
        excess = sum(widths) + GAP * (len(widths) - 1) - width
        words = [word for cells in (self.headers, *self.cells) for word in cells[-1].split()]
        for column, least in ((-1, max(map(cells_wide, words))), (0, NARROWEST_MODEL)):
            given = min(max(excess, 0), max(widths[column] - least, 0))
            widths[column] -= given
            excess -= given
        return widths if excess <= 0 else None


@dataclass(frozen=True)
class Filled:
    """A column with its cells. Where a table is too wide the column with the highest `drop` goes; 0 never."""

    name: str
    header: str
    cells: list[str]
    right: bool = False
    drop: int = NEVER_DROPPED

    @property
    def width(self) -> int:
        return max(map(cells_wide, (self.header, *self.cells)))


def letter(number: int) -> str:
    """A, B, ..., Z, AA, AB, ..."""
    rest, last = divmod(number, 26)
    return (letter(rest - 1) if rest else "") + chr(ord("A") + last)
