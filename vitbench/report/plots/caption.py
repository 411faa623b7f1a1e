"""What a plot was measured with, in lines under its title."""

from __future__ import annotations

from collections.abc import Sequence

from vitbench.report import fields
from vitbench.report.comparisons.layout import sampling
from vitbench.report.comparisons.rows import Versus
from vitbench.report.layout import COMPUTE_ONLY
from vitbench.report.rows import Row
from vitbench.report.sheet import PARTLY_SIMULATED, SIMULATED

_LEAST = ("target", "device", "precision")
_MOST_NAMED = 3
INVALID = "hollow: not valid"


def caption_of_comparisons(rows: Sequence[Versus]) -> list[str]:
    """Place, protocol, sample size, date and seed of comparisons."""
    sides = [side.row for row in rows for side in row.sides]
    return [*_setup(sides), " · ".join(sampling(rows)), *_marks(sides, rows)]


def caption_of_runs(rows: Sequence[Row]) -> list[str]:
    """Place, protocol, sample size and date of runs."""
    blocks = [row.blocks for row in rows if row.blocks]
    iterations = [row.iterations for row in rows if row.iterations]
    told = [
        *([f"{_span(blocks)} blocks"] if blocks else []),
        *([f"{_span(iterations)} iterations a point"] if iterations else []),
        _span([row.created_utc[:10] for row in rows]),
    ]
    return [*_setup(rows), " · ".join(told), *_marks(rows, rows)]


def _setup(rows: Sequence[Row]) -> list[str]:
    place: list[str] = []
    protocol: list[str] = []
    for fact in fields.FACTS:
        words = list(dict.fromkeys(fact.words(row) for row in rows))
        if fact.name == "machine" or words == [fact.usual]:
            continue
        if len(words) > 1 and fact.name not in _LEAST and len(words) > _MOST_NAMED:
            words = [f"several: {fact.name}"]
        (place if fact.name in fields.PLACE else protocol).append(" / ".join(words[:_MOST_NAMED]))
    return [" · ".join(place), " · ".join(protocol)]


def _marks(rows: Sequence[Row], shown: Sequence[Row] | Sequence[Versus]) -> list[str]:
    simulated = {each.simulated for each in shown}
    told = {
        SIMULATED: simulated == {True},
        PARTLY_SIMULATED: simulated == {True, False},
        COMPUTE_ONLY: any(each.value_is == "compute" for each in (*rows, *shown)),
        INVALID: any(each.status != "valid" for each in shown),
    }
    return [text for text, wanted in told.items() if wanted]


def _span(values: Sequence[int] | Sequence[str]) -> str:
    low, high = min(values), max(values)
    return f"{low}" if low == high else f"{low} to {high}"
