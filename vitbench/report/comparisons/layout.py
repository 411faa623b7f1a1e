"""What a table of comparisons says, before it is drawn: the columns that fit, what rows share, the notes."""

from __future__ import annotations

from collections.abc import Sequence

from vitbench.report import fields
from vitbench.report.comparisons import columns
from vitbench.report.comparisons.groups import Group
from vitbench.report.comparisons.rows import Versus
from vitbench.report.layout import COMPUTE_ONLY, SETUP, WITHIN_PROCESS
from vitbench.report.numbers import MISSING
from vitbench.report.sheet import GAP, NEVER_DROPPED, PARTLY_SIMULATED, SIMULATED, Filled, Sheet, letter
from vitbench.text import clean

NO_INTERVAL = "a ratio without brackets has too few pairs for a 95 % interval (it takes six)"
NOT_MATCHED = f"{columns.NOT_MATCHED} the MACs were to match and differ by more than 2 %"
ALLOWED = "protocols differ, which was allowed: {}"
USUAL = {"preset": "preset pairs"}


def versus_sheet(group: Group, width: int | None = None, most_drop: int = 99) -> Sheet:
    """Lay a group out. Columns of both sides come and go together; no figure is ever cut, no row left out.

    Args:
        group: the rows.
        width: characters there are; None for as many as it takes.
        most_drop: leave out columns that are dropped more readily than this.
    """
    rows = group.rows
    notes = _Notes()
    status = Filled("status", "status", [_status(row, rows, notes) for row in rows])
    shared, setups = _facts(group)
    letters = {words: letter(number) for number, words in enumerate(dict.fromkeys(setups))}
    setup = [Filled(SETUP, SETUP, [letters[words] for words in setups])] if len(letters) > 1 else []
    told = [*columns.subject(group), *setup, *columns.figures(group), status]
    told = [column for column in told if column.drop <= most_drop and set(column.cells) != {MISSING}]
    kept = told if width is None else _fitting(told, width)
    return Sheet(
        watermark=SIMULATED if all(row.simulated for row in rows) else None,
        lead=[*_lead(group, shared), *(letters if len(letters) == 1 and "" not in letters else [])],
        headers=[clean(column.header) for column in kept],
        right=[column.right for column in kept],
        cells=[list(cells) for cells in zip(*(column.cells for column in kept), strict=True)],
        statuses=[row.status for row in rows],
        notes=[
            *notes.told(),
            *([f"setup {name}: {words}" for words, name in letters.items()] if setup else []),
            *_marks(rows, {cell for column in kept for cell in column.cells}),
        ],
    )


class _Notes:
    """Numbers of notes, in the order in which they are first asked for."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}

    def number(self, text: str) -> str:
        return f" [{self._numbers.setdefault(clean(text), len(self._numbers) + 1)}]" if text else ""

    def told(self) -> list[str]:
        return [f"[{number}] {text}" for text, number in self._numbers.items()]


def _status(row: Versus, rows: Sequence[Versus], notes: _Notes) -> str:
    told = row.status
    if row.simulated and not all(other.simulated for other in rows):
        told += ", simulated"
    told += notes.number("; ".join(row.reasons))
    if row.mismatch:
        told += ", protocols differ" + notes.number(ALLOWED.format(", ".join(row.mismatch)))
    return told


def _facts(group: Group) -> tuple[dict[str, str], list[str]]:
    """What all sides of all rows share, by name of the fact; and per row, in words, the rest."""
    shared: dict[str, str] = {}
    varying: list[list[str]] = []
    for fact in fields.FACTS:
        said = [tuple(clean(fact.words(side.row)) for side in row.sides) for row in group.rows]
        if len(once := {words for pair in said for words in pair}) == 1:
            shared[fact.name] = once.pop()
        else:
            varying.append([_of_sides(pair, row.labels) for pair, row in zip(said, group.rows, strict=True)])
    return shared, [", ".join(words) for words in zip(*varying, strict=True)] or [""] * len(group.rows)


def _of_sides(words: Sequence[str], labels: Sequence[str]) -> str:
    if len(set(words)) == 1:
        return words[0]
    return " and ".join(f"{label}: {word}" for label, word in zip(labels, words, strict=True))


def _lead(group: Group, shared: dict[str, str]) -> list[str]:
    """What the sides are; the place; the protocol; how much was sampled, and when."""
    usual = {fact.name: fact.usual for fact in fields.FACTS} | USUAL
    said = {name: words for name, words in shared.items() if words != usual[name]}
    place = [words for name, words in said.items() if name in fields.PLACE and name != "machine"]
    protocol = [words for name, words in said.items() if name not in fields.PLACE]
    lines = [_sides(group), " · ".join(place), " · ".join(protocol), " · ".join(sampling(group.rows))]
    return [clean(line) for line in lines if line]


def _sides(group: Group) -> str:
    if group.labelled or not group.shared_labels:
        return ""
    return "; ".join(
        f"{name}: {label}" for name, label in zip(group.names, group.rows[0].labels, strict=True)
    )


def sampling(rows: Sequence[Versus]) -> list[str]:
    """How much was sampled, when, and from which seed: `10 pairs a row`, `2026-11-21`, `seed 0`."""
    pairs = [row.pairs_taken for row in rows]
    iterations = [side.row.iterations for row in rows for side in row.sides if side.row.iterations]
    dates = [row.created_utc[:10] for row in rows]
    seeds = [row.seed for row in rows]
    told = [f"{_span(pairs)} pairs a row" if len(rows) > 1 else f"{pairs[0]} pairs"]
    if not any(pairs):
        told = ["not measured in pairs"]
    if iterations:
        told.append(f"{_span(iterations)} iterations a side")
    return [*told, _span(dates), f"seed{'s' * (len(set(seeds)) > 1)} {_span(seeds)}"]


def _span(values: Sequence[int] | Sequence[str]) -> str:
    low, high = min(values), max(values)
    return f"{low}" if low == high else f"{low} to {high}"


def _fitting(columns: Sequence[Filled], width: int) -> list[Filled]:
    """The columns that fit; all that are dropped as readily go at once."""
    kept = list(columns)
    while sum(column.width + GAP for column in kept) - GAP > width:
        least = max(column.drop for column in kept)
        if least == NEVER_DROPPED:
            break
        kept = [column for column in kept if column.drop < least]
    return kept


def _marks(rows: Sequence[Versus], cells: set[str]) -> list[str]:
    """What the marks that occur in cells mean."""
    marks = {
        fields.COMPUTE_ONLY: COMPUTE_ONLY,
        fields.WITHIN_PROCESS: WITHIN_PROCESS,
        columns.NOT_MATCHED: NOT_MATCHED,
    }
    partly = {row.simulated for row in rows} == {True, False}
    bare = any(row.ratio is not None and row.ratio_low is None for row in rows)
    return [
        *([PARTLY_SIMULATED] if partly else []),
        *(text for mark, text in marks.items() if any(mark in cell for cell in cells)),
        *([NO_INTERVAL] if bare else []),
    ]
