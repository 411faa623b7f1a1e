"""From how many tokens on one side is faster than the other, in sentences."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import groupby
from typing import TYPE_CHECKING

from vitbench.report.comparisons.groups import Group
from vitbench.report.comparisons.rows import Versus

if TYPE_CHECKING:
    from vitbench.stats.crossover import Crossing

SLOWER, SAME, FASTER = "slower", "not told apart", "faster"
HOW = (
    "How that was found: between the counts that were measured, the log of the ratio and the ends of its "
    "95 % interval are taken to be straight lines over the log of the tokens; the brackets hold every count "
    "at which the interval contains equal speed."
)


def crossings(group: Group) -> list[str]:
    """Say where the sides change places, else who is faster; nothing where rows are not over tokens.

    Rows that are not valid are left out, and that is said; of rows with as many tokens the first counts.
    """
    if not group.shared_labels or not all(row.tokens for row in group.rows):
        return []
    valid = [row for row in group.rows if row.status == "valid" and row.ratio_low is not None]
    judged = list({row.count: row for row in reversed(valid)}.values())[::-1]
    if len(judged) < 2:
        return []
    left_out = len(group.rows) - len(valid)
    note = f" (without {left_out} of {len(group.rows)} rows, which are not valid)" if left_out else ""
    first, second = group.rows[0].labels
    found = _told_apart(_found(judged))
    if not found:
        return [f"{second} against {first}: {_verdicts(judged)}{note}."]
    range_ = f"{judged[0].count:,} to {judged[-1].count:,} tokens were measured{note}"
    changes = [_change(crossing, first, second, judged) for crossing in found]
    return [f"{'; '.join(changes)}: {range_}.", HOW]


def verdict_of(row: Versus) -> str:
    """Whether the second side is faster: by the whole interval, or not told apart."""
    if row.ratio_low is None or row.ratio_high is None:
        return SAME
    if row.ratio_high < 1:
        return FASTER
    return SLOWER if row.ratio_low > 1 else SAME


def _found(rows: Sequence[Versus]) -> Sequence[Crossing]:
    from vitbench.stats.crossover import find_crossover

    return find_crossover(
        [row.count or 0 for row in rows],
        [math.log(row.ratio or 1.0) for row in rows],
        [math.log(row.ratio_low or 1.0) for row in rows],
        [math.log(row.ratio_high or 1.0) for row in rows],
    ).crossings


def _told_apart(found: Sequence[Crossing]) -> list[Crossing]:
    """The crossings that the data tell of: one for those of one span, none where they undo each other.

    A span that is open at both ends holds the whole range: nothing is told apart.
    """
    spans: dict[tuple[float | None, float | None], list[Crossing]] = {}
    for crossing in found:
        spans.setdefault((crossing.span.low, crossing.span.high), []).append(crossing)
    return [
        same[len(same) // 2] for span, same in spans.items() if len(same) % 2 == 1 and span != (None, None)
    ]


def _change(crossing: Crossing, first: str, second: str, rows: Sequence[Versus]) -> str:
    """`relu is faster than softmax from 190 [170, 210] tokens on`."""
    faster, slower = (first, second) if crossing.rising else (second, first)
    low, high = crossing.span.low, crossing.span.high
    ends = (
        f"under {rows[0].count:,}" if low is None else f"{low:,.0f}",
        f"over {rows[-1].count:,}" if high is None else f"{high:,.0f}",
    )
    return f"{faster} is faster than {slower} from {crossing.tokens:,.0f} [{', '.join(ends)}] tokens on"


def _verdicts(rows: Sequence[Versus]) -> str:
    """Stretches of rows of the same verdict: `slower from 49 to 196 tokens; not told apart at 784 tokens`."""
    runs = [(verdict, list(found)) for verdict, found in groupby(rows, verdict_of)]
    if len(runs) == 1:
        return f"{runs[0][0]} at every count from {rows[0].count:,} to {rows[-1].count:,} tokens"
    return "; ".join(f"{verdict} {_stretch(found)} tokens" for verdict, found in runs)


def _stretch(rows: Sequence[Versus]) -> str:
    low, high = rows[0].count, rows[-1].count
    return f"at {low:,}" if low == high else f"from {low:,} to {high:,}"
