"""From how many tokens on the second side is faster, in a sentence."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

from vitbench.report.comparisons.groups import Group
from vitbench.report.comparisons.rows import Versus

SLOWER, SAME, FASTER = "slower", "not told apart", "faster"


def crossings(group: Group) -> list[str]:
    """Say where the sides change places; nothing where rows are not over tokens.

    A row counts by its interval: one that holds 1 tells neither side apart. Rows that are not valid are left
    out, and that is said.
    """
    if not group.shared_labels or not all(row.tokens for row in group.rows):
        return []
    judged = [row for row in group.rows if row.status == "valid" and row.ratio_low is not None]
    if len(judged) < 2:
        return []
    first, second = group.rows[0].labels
    runs = [(verdict, list(rows)) for verdict, rows in groupby(judged, verdict_of)]
    parts = [_part(verdict, rows, number, len(runs)) for number, (verdict, rows) in enumerate(runs)]
    left_out = len(group.rows) - len(judged)
    note = f" ({left_out} rows that are not valid left out)" if left_out else ""
    return [f"{second} against {first}: {'; '.join(parts)}{note}."]


def verdict_of(row: Versus) -> str:
    """Whether the second side is faster: by the whole interval, or not told apart."""
    if row.ratio_low is None or row.ratio_high is None:
        return SAME
    if row.ratio_high < 1:
        return FASTER
    return SLOWER if row.ratio_low > 1 else SAME


def _part(verdict: str, rows: Sequence[Versus], number: int, runs: int) -> str:
    low, high = rows[0].count or 0, rows[-1].count or 0
    if runs == 1:
        return f"{verdict} at every count of tokens from {low:,} to {high:,}"
    if number == runs - 1:
        return f"{verdict} from {low:,} tokens on (up to {high:,}, the most that was measured)"
    return f"{verdict} at {low:,} tokens" if low == high else f"{verdict} from {low:,} to {high:,} tokens"
