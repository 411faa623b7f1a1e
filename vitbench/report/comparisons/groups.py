"""Rows of comparisons that belong in one table: a part of a study on one target."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from vitbench.report.comparisons.rows import Versus

PARTS = {
    "block": "the attention block at the same width",
    "matched": "the attention block at matched MACs",
    "network": "whole networks",
    "models": "as named",
}
LONGEST_LABEL = 12


@dataclass(frozen=True)
class Group:
    """Rows of one part of one study on one target, in the order of their tokens.

    `names` are what headers call the sides: their labels where all rows share short ones, else A and B.
    """

    rows: list[Versus]
    names: tuple[str, str]

    @property
    def title(self) -> str:
        """What the rows are, and where they were measured."""
        first = self.rows[0]
        return f"{first.title}, {PARTS.get(first.part, first.part)}, on {first.target}"

    @property
    def labelled(self) -> bool:
        """Whether the headers have the labels."""
        return self.names == self.rows[0].labels

    @property
    def shared_labels(self) -> bool:
        """Whether all rows compare the same two."""
        return len({row.labels for row in self.rows}) == 1


def grouped(rows: Sequence[Versus]) -> list[Group]:
    """Split rows into groups, in the order in which they first occur."""
    found: dict[tuple[object, ...], list[Versus]] = {}
    for row in rows:
        places = tuple((side.row.target, side.row.device, side.row.precision) for side in row.sides)
        found.setdefault((row.study, row.title, row.part, places), []).append(row)
    return [Group(sorted(rows, key=_order), _names(rows)) for rows in found.values()]


def _order(row: Versus) -> tuple[object, ...]:
    first = row.sides[0].row
    return (row.labels, row.count or first.height * first.width, first.height, first.batch, row.created_utc)


def _names(rows: Sequence[Versus]) -> tuple[str, str]:
    labels = {row.labels for row in rows}
    (one, other), *more = labels
    short = max(len(one), len(other)) <= LONGEST_LABEL and one != other
    return (one, other) if short and not more else ("A", "B")
