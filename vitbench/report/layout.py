"""What a table of rows says, before it is drawn: the columns that fit, what rows share, the notes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from vitbench.report import fields
from vitbench.report.fields import Column
from vitbench.report.numbers import MISSING, cells_wide
from vitbench.report.rows import Row
from vitbench.report.sheet import GAP, NEVER_DROPPED, PARTLY_SIMULATED, SIMULATED, Filled, Sheet, letter
from vitbench.text import clean

SETUP = "setup"
COMPUTE_ONLY = f"{fields.COMPUTE_ONLY} compute only: the copies to and from the device could not be timed"
WITHIN_PROCESS = (
    f"{fields.WITHIN_PROCESS} within-process only: under 5 blocks there is no interval between processes"
)
TOO_FEW = f"{fields.TOO_FEW}: too few effective iterations (a p90 needs 64, a p95 130, a p99 662)"


def sheet(
    rows: Sequence[Row], width: int | None = None, most_drop: int = 99, chosen: Sequence[str] = ()
) -> Sheet:
    """Lay rows out: at least one.

    Columns are dropped until the table fits; no figure is ever cut. What differs between rows and has no
    column of its own is told in notes, by a letter for each set-up.

    Args:
        rows: what to show, in this order.
        width: characters there are; None for as many as it takes.
        most_drop: leave out columns that are dropped more readily than this.
        chosen: names of the columns to show between the model and the status, in this order, whatever the
            width; those that say the most when empty.

    Raises:
        UsageError: a chosen column that there is not.
    """
    facts = {fact.name: [clean(fact.words(row)) for row in rows] for fact in fields.FACTS}
    differing = [name for name, words in facts.items() if len(set(words)) > 1]
    status = _status(rows)
    if chosen:
        columns = _chosen(rows, chosen)
    else:
        columns = [column for column in _candidates(rows, differing) if column.drop <= most_drop]
    if width is not None and not chosen:
        columns = _fitting(columns, differing, width - GAP - max(map(cells_wide, status.cells)))
    shown = {column.name for column in columns}
    letters, setup = _setup([facts[name] for name in differing if name not in shown])
    columns = [*columns[: len(fields.SUBJECT)], *setup, *columns[len(fields.SUBJECT) :], status]
    return Sheet(
        watermark=SIMULATED if all(row.simulated for row in rows) else None,
        lead=_lead(facts, differing),
        headers=[column.header for column in columns],
        right=[column.right for column in columns],
        cells=[list(cells) for cells in zip(*(column.cells for column in columns), strict=True)],
        statuses=[row.status for row in rows],
        notes=[
            *(f"[{number}] {clean(reason)}" for number, reason in enumerate(_reasons(rows), 1)),
            *(f"setup {letter}: {words}" for words, letter in letters.items()),
            *([PARTLY_SIMULATED] if _partly_simulated(rows) else []),
            *_marks({cell for column in columns for cell in column.cells}),
        ],
    )


def _candidates(rows: Sequence[Row], differing: Sequence[str]) -> list[Filled]:
    """Every column that says something about these rows."""
    facts = [_fill(fact.column, rows) for fact in fields.FACTS if fact.column and fact.name in differing]
    figures = [_fill(column, rows) for column in fields.FIGURES]
    told = [column for column in figures if set(column.cells) != {MISSING}]
    subject = [_fill(column, rows) for column in fields.SUBJECT]
    return [*subject, *facts, _fill(_value(rows), rows), *told]


def _chosen(rows: Sequence[Row], names: Sequence[str]) -> list[Filled]:
    """The subject, then the columns of these names."""
    known = {
        column.name: column
        for column in (*(fact.column for fact in fields.FACTS if fact.column), *fields.FIGURES)
    }
    known["value"] = _value(rows)
    if unheard := [name for name in names if name not in known]:
        from vitbench.catalog.nearest import unknown

        raise unknown("column", unheard[0], known, "vitbench report --help")
    return [_fill(column, rows) for column in (*fields.SUBJECT, *(known[name] for name in names))]


def _value(rows: Sequence[Row]) -> Column:
    """The column of what the rows were taken for."""
    units = {row.unit for row in rows}
    if len(units) > 1:
        return fields.EITHER
    return fields.THROUGHPUT if units == {"img/s"} else fields.LATENCY


def _fill(column: Column, rows: Sequence[Row]) -> Filled:
    header = column.header
    if column.name == "gmacs" and any(row.batch > 1 for row in rows):
        header = "GMACs/img"
    cells = [clean(column.cell(row)) for row in rows]
    return Filled(column.name, header, cells, column.right, column.drop)


def _fitting(columns: Sequence[Filled], differing: Sequence[str], width: int) -> list[Filled]:
    """The columns that fit, the most readily dropped ones gone; a fact that goes needs a letter."""
    kept = sorted(columns, key=lambda column: column.drop)
    widths = {column.name: column.width for column in kept}
    while kept[-1].drop != NEVER_DROPPED:
        shown = {column.name for column in kept}
        letters = 0 if shown.issuperset(differing) else GAP + len(SETUP)
        if sum(widths[name] + GAP for name in shown) - GAP + letters <= width:
            break
        kept.pop()
    return [column for column in columns if column in kept]


def _setup(hidden: Sequence[Sequence[str]]) -> tuple[dict[str, str], list[Filled]]:
    """Letters of the set-ups that differ in hidden facts, in the order of their rows, and their column."""
    setups = [", ".join(words) for words in zip(*hidden, strict=True)]
    letters = {words: letter(number) for number, words in enumerate(dict.fromkeys(setups))}
    return letters, [Filled("setup", SETUP, [letters[words] for words in setups])] if setups else []


def _status(rows: Sequence[Row]) -> Filled:
    """The status in words, with the number of the note that says why."""
    notes = {reason: f" [{number}]" for number, reason in enumerate(_reasons(rows), 1)}
    told = _partly_simulated(rows)
    cells = [
        row.status + (", simulated" if told and row.simulated else "") + notes.get("; ".join(row.reasons), "")
        for row in rows
    ]
    return Filled("status", "status", cells)


def _reasons(rows: Sequence[Row]) -> list[str]:
    return [reason for reason in dict.fromkeys("; ".join(row.reasons) for row in rows) if reason]


def _partly_simulated(rows: Sequence[Row]) -> bool:
    return len({row.simulated for row in rows}) > 1


def _marks(cells: set[str]) -> list[str]:
    """What the marks that occur in cells mean."""
    return [
        *([COMPUTE_ONLY] if any(fields.COMPUTE_ONLY in cell for cell in cells) else []),
        *([WITHIN_PROCESS] if any(fields.WITHIN_PROCESS in cell for cell in cells) else []),
        *([TOO_FEW] if fields.TOO_FEW in cells else []),
    ]


def _lead(facts: Mapping[str, Sequence[str]], differing: Sequence[str]) -> list[str]:
    """What all rows share: a line about the place, and one about the protocol."""
    usual = {fact.name: fact.usual for fact in fields.FACTS}
    said = {
        name: words[0] for name, words in facts.items() if name not in differing and words[0] != usual[name]
    }
    place = [words for name, words in said.items() if name in fields.PLACE and name != "machine"]
    protocol = [words for name, words in said.items() if name not in fields.PLACE]
    return [line for line in (" · ".join(place), " · ".join(protocol)) if line]
