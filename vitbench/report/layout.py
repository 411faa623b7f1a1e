"""What a table of rows says, before it is drawn: the columns that fit, what rows share, the notes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from vitbench.report import fields
from vitbench.report.fields import Column, Fact
from vitbench.report.numbers import MISSING, clean
from vitbench.report.rows import Row

GAP = 2
NARROWEST_MODEL = 12
SIMULATED = "SIMULATED: a script played these figures back, nothing was measured"
PARTLY_SIMULATED = "simulated: a script played these figures back, they were not measured"
COMPUTE_ONLY = f"{fields.COMPUTE_ONLY} compute only: the copies to and from the device could not be timed"
WITHIN_PROCESS = (
    f"{fields.WITHIN_PROCESS} within-process only: under 5 blocks there is no interval between processes"
)
TOO_FEW = f"{fields.TOO_FEW}: too few effective iterations (a p90 needs 64, a p95 130, a p99 662)"


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

    def widths(self, length: Callable[[str], int]) -> list[int]:
        """Room that each column needs, by the length of its longest cell."""
        return [max(map(length, column)) for column in zip(self.headers, *self.cells, strict=True)]

    def needs(self, length: Callable[[str], int]) -> int:
        """Room that the whole table needs on one line per row."""
        return sum(self.widths(length)) + GAP * (len(self.headers) - 1)

    def squeezed(self, width: int, length: Callable[[str], int]) -> list[int] | None:
        """Room for each column when status, then model, may take several lines; None: it does not fit."""
        widths = self.widths(length)
        excess = self.needs(length) - width
        words = [word for cells in (self.headers, *self.cells) for word in cells[-1].split()]
        for column, least in ((-1, max(map(length, words))), (0, NARROWEST_MODEL)):
            given = min(max(excess, 0), max(widths[column] - least, 0))
            widths[column] -= given
            excess -= given
        return widths if excess <= 0 else None


def sheet(rows: Sequence[Row], width: int | None = None, most_drop: int = 99) -> Sheet:
    """Lay rows out: at least one.

    Columns are dropped until the table fits; no figure is ever cut. What differs between rows and has no
    column of its own is told in notes, by a letter for each set-up.

    Args:
        rows: what to show, in this order.
        width: characters there are; None for as many as it takes.
        most_drop: leave out columns that are dropped more readily than this.
    """
    from rich.cells import cell_len

    columns = [column for column in _candidates(rows) if column.drop <= most_drop]
    while True:
        made = _draw(rows, columns)
        droppable = [column for column in columns if column.drop != fields.NEVER_DROPPED]
        if width is None or made.needs(cell_len) <= width or not droppable:
            return made
        columns.remove(max(droppable, key=lambda column: column.drop))


def differs(rows: Sequence[Row], cell: Callable[[Row], str]) -> bool:
    """Whether a cell says different things of these rows."""
    return len({cell(row) for row in rows}) > 1


def _candidates(rows: Sequence[Row]) -> list[Column]:
    """Every column that says something about these rows."""
    facts = [fact.column for fact in fields.FACTS if fact.column and differs(rows, fact.words)]
    figures = [c for c in (*fields.VALUES, *fields.FIGURES) if any(c.cell(row) != MISSING for row in rows)]
    return [*fields.SUBJECT, *facts, *figures]


def _draw(rows: Sequence[Row], columns: Sequence[Column]) -> Sheet:
    shown = {column.name for column in columns}
    hidden = [fact for fact in fields.FACTS if fact.name not in shown and differs(rows, fact.words)]
    letters = _letters(rows, hidden)
    setup = [_setup_column(hidden, letters)] if hidden else []
    drawn = [*columns[: len(fields.SUBJECT)], *setup, *columns[len(fields.SUBJECT) :]]
    reasons = list(dict.fromkeys(_reason(row) for row in rows if _reason(row)))
    partly = differs(rows, lambda row: str(row.simulated))
    cells = [
        [*(clean(column.cell(row)) for column in drawn), _status(row, reasons, partly_simulated=partly)]
        for row in rows
    ]
    return Sheet(
        watermark=SIMULATED if all(row.simulated for row in rows) else None,
        lead=_lead(rows),
        headers=[*(_header(column, rows) for column in drawn), "status"],
        right=[*(column.right for column in drawn), False],
        cells=cells,
        statuses=[row.status for row in rows],
        notes=[
            *(f"[{number}] {clean(text)}" for number, text in enumerate(reasons, 1)),
            *(f"setup {letter}: {clean(', '.join(words))}" for words, letter in letters.items()),
            *([PARTLY_SIMULATED] if partly else []),
            *_marks(cells),
        ],
    )


def _reason(row: Row) -> str:
    return "; ".join(row.reasons)


def _status(row: Row, reasons: Sequence[str], *, partly_simulated: bool) -> str:
    note = f" [{reasons.index(_reason(row)) + 1}]" if row.reasons else ""
    return row.status + (", simulated" if row.simulated and partly_simulated else "") + note


def _marks(cells: Sequence[Sequence[str]]) -> list[str]:
    """What the marks that occur in cells mean."""
    texts = [text for row in cells for text in row]
    return [
        *([COMPUTE_ONLY] if any(fields.COMPUTE_ONLY in text for text in texts) else []),
        *([WITHIN_PROCESS] if any(fields.WITHIN_PROCESS in text for text in texts) else []),
        *([TOO_FEW] if fields.TOO_FEW in texts else []),
    ]


def _letters(rows: Sequence[Row], hidden: Sequence[Fact]) -> dict[tuple[str, ...], str]:
    """A letter for each set-up, in the order of its first row; empty when no fact is hidden."""
    setups = dict.fromkeys(tuple(fact.words(row) for fact in hidden) for row in rows) if hidden else {}
    return {words: _letter(number) for number, words in enumerate(setups)}


def _letter(number: int) -> str:
    """A, B, ..., Z, AA, AB, ..."""
    rest, last = divmod(number, 26)
    return (_letter(rest - 1) if rest else "") + chr(ord("A") + last)


def _setup_column(hidden: Sequence[Fact], letters: dict[tuple[str, ...], str]) -> Column:
    def cell(row: Row) -> str:
        return letters[tuple(fact.words(row) for fact in hidden)]

    return Column("setup", "setup", cell, fields.NEVER_DROPPED, right=False)


def _header(column: Column, rows: Sequence[Row]) -> str:
    return "GMACs/img" if column.name == "gmacs" and any(row.batch > 1 for row in rows) else column.header


def _lead(rows: Sequence[Row]) -> list[str]:
    """What all rows share: a line about the place, and one about the protocol."""
    shared = [fact for fact in fields.FACTS if fact.name != "machine" and not differs(rows, fact.words)]
    said = [fact for fact in shared if fact.words(rows[0]) != fact.usual]
    place = [clean(fact.words(rows[0])) for fact in said if fact.name in fields.PLACE]
    protocol = [clean(fact.words(rows[0])) for fact in said if fact.name not in fields.PLACE]
    return [line for line in (" · ".join(place), " · ".join(protocol)) if line]
