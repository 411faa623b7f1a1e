"""The table of formulations: how long each way of computing a side takes, and which one was compared."""

from __future__ import annotations

from collections.abc import Sequence

from vitbench.report.comparisons.columns import where
from vitbench.report.comparisons.groups import Group
from vitbench.report.comparisons.rows import Candidate
from vitbench.report.numbers import MISSING, significant, with_interval
from vitbench.report.sheet import SIMULATED, Sheet
from vitbench.text import clean

HEADERS = ("side", "computed", "ms", "relative", "choice")
SPREAD = "ms: the median of {} blocks each, ± how far they lie from it (not an interval, they are too few)"
RELATIVE = "relative: the candidate's time over that of the chosen one"


def candidate_sheet(group: Group) -> Sheet | None:
    """Lay out every candidate of every side; None where there was nothing to choose from."""
    found = [
        (where(row), row.labels[side], candidate, row.candidates[side])
        for row in group.rows
        for side in (0, 1)
        for candidate in row.candidates[side]
    ]
    if not found:
        return None
    reasons = [_failure(candidate) for _, _, candidate, _ in found]
    notes = {reason: f"[{number}]" for number, reason in enumerate(dict.fromkeys(filter(None, reasons)), 1)}
    return Sheet(
        watermark=SIMULATED if all(row.simulated for row in group.rows) else None,
        lead=[],
        headers=["tokens" if group.rows[0].tokens else "HxW", *HEADERS],
        right=[False, False, False, True, True, False],
        cells=[
            [*(clean(text) for text in (place, label, _way(label, each))), *_figures(each, among, notes)]
            for place, label, each, among in found
        ],
        statuses=["valid" if each.chosen else "" for _, _, each, _ in found],
        notes=[
            *(f"{number} {reason}" for reason, number in notes.items()),
            SPREAD.format(_blocks(found)),
            RELATIVE,
        ],
    )


def lead_over_next(candidates: Sequence[Candidate]) -> float | None:
    """Time of the next best candidate over that of the chosen one; None without either."""
    chosen = chosen_ms(candidates)
    others = [candidate.time_ms for candidate in candidates if not candidate.chosen and candidate.time_ms]
    return min(others) / chosen if chosen and others else None


def chosen_ms(candidates: Sequence[Candidate]) -> float | None:
    """Time of the chosen candidate."""
    return next((candidate.time_ms for candidate in candidates if candidate.chosen), None)


def choices(group: Group) -> list[str]:
    """Per side, which formulations were compared and by how much they beat the next best ones."""
    told = []
    for label in dict.fromkeys(label for row in group.rows for label in row.labels):
        among = [
            row.candidates[side]
            for row in group.rows
            for side in (0, 1)
            if row.labels[side] == label and row.candidates[side]
        ]
        told += [_choice(label, among)] if among else []
    return told


def _blocks(found: Sequence[tuple[str, str, Candidate, Sequence[Candidate]]]) -> str:
    counts = [each.blocks for _, _, each, _ in found if each.blocks] or [0]
    low, high = min(counts), max(counts)
    return f"{low}" if low == high else f"{low} to {high}"


def _choice(label: str, among: Sequence[Sequence[Candidate]]) -> str:
    counts: dict[str, int] = {}
    for candidates in among:
        for candidate in candidates:
            if candidate.chosen:
                way = _way(label, candidate)
                counts[way] = counts.get(way, 0) + 1
    ways = " or ".join(f"{way} ({count} of {len(among)} rows)" for way, count in counts.items())
    leads = [lead for candidates in among if (lead := lead_over_next(candidates))]
    if not ways or not leads:
        return f"{label} is compared as {ways or 'nothing: no candidate passed parity'}."
    low, high = significant(min(leads)), significant(max(leads))
    margin = low if low == high else f"{low} to {high}"
    return f"{label} is compared as {ways}; the next best candidate takes {margin} times as long."


def _figures(candidate: Candidate, among: Sequence[Candidate], notes: dict[str, str]) -> list[str]:
    chosen = chosen_ms(among)
    times = candidate.time_ms / chosen if candidate.time_ms and chosen else None
    verdict = "chosen" if candidate.chosen else MISSING
    if not candidate.parity_passed:
        verdict = f"failed parity {notes.get(_failure(candidate), '')}".rstrip()
    time = (
        MISSING
        if candidate.time_ms is None
        else with_interval(candidate.time_ms, candidate.fastest_ms, candidate.slowest_ms)
    )
    return [time, significant(times), verdict]


def _way(label: str, candidate: Candidate) -> str:
    """How it is computed; `products` suffices where that is all there is to say of `softmax`."""
    return candidate.formulation.removeprefix(f"{label} as ")


def _failure(candidate: Candidate) -> str:
    return "" if candidate.parity_passed else clean(candidate.parity_reason or "")
