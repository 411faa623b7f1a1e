"""What limits each side: memory or arithmetic, by the rates it reaches among the rows of the study."""

from __future__ import annotations

from collections.abc import Sequence

from vitbench.report.comparisons.columns import where
from vitbench.report.comparisons.groups import Group
from vitbench.report.comparisons.rows import Side, Versus
from vitbench.report.numbers import significant

HALF = 0.5
LEAST = 2
ARITHMETIC, MEMORY, NEITHER = "arithmetic", "memory", "neither"
RULE = (
    "How that was judged: the best of the rows of this study on this target were {rate} GMAC/s and {traffic} "
    "GB/s of counted traffic (what the layers of the graph read and write, not what the device's memory "
    "saw). A side that reaches half of one of the two is called limited by the one that it comes nearer to. "
    "Under half of both neither explains its time: what remains is overhead, and operators without MACs. No "
    "limit of the device itself was measured."
)


def limits(group: Group, study: Sequence[Versus]) -> list[str]:
    """A sentence per side of a group, and one with the rule; nothing where rates are not known.

    Args:
        group: the rows to speak of.
        study: all rows of the study on that target, for the best rates.
    """
    best = best_rates(study)
    if best is None:
        return []
    told = [
        f"{label} is limited by {_told(judged)}."
        for label in dict.fromkeys(label for row in group.rows for label in row.labels)
        if (judged := _judged(group, label, best))
    ]
    return [*told, RULE.format(rate=significant(best[0]), traffic=significant(best[1]))] if told else []


def best_rates(study: Sequence[Versus]) -> tuple[float, float] | None:
    """The best GMAC/s and the best GB/s of any side; None where too few rows are known to judge any."""
    rates = [side.ran_gmacs_per_s for row in study for side in row.sides if side.ran_gmacs_per_s]
    traffic = [side.gbytes_per_s for row in study for side in row.sides if side.gbytes_per_s]
    return (max(rates), max(traffic)) if rates and traffic and len(study) >= LEAST else None


def limited_by(side: Side, best: tuple[float, float]) -> str | None:
    """`arithmetic`, `memory` or `neither`; None where a rate is not known.

    Args:
        side: one side of a row.
        best: as `best_rates` gives them.
    """
    if side.ran_gmacs_per_s is None or side.gbytes_per_s is None:
        return None
    arithmetic, memory = side.ran_gmacs_per_s / best[0], side.gbytes_per_s / best[1]
    if max(arithmetic, memory) < HALF:
        return NEITHER
    return ARITHMETIC if arithmetic >= memory else MEMORY


def _judged(group: Group, label: str, best: tuple[float, float]) -> dict[str, list[str]]:
    """The places of a side's rows by what limits them there."""
    found: dict[str, list[str]] = {}
    for row in group.rows:
        for side in row.sides:
            if side.label == label and (limit := limited_by(side, best)):
                found.setdefault(limit, []).append(where(row))
    return found


def _told(judged: dict[str, list[str]]) -> str:
    words = {NEITHER: "neither arithmetic nor memory"}
    parts = [
        f"{words.get(limit, limit)} at {', '.join(dict.fromkeys(places))}" for limit, places in judged.items()
    ]
    return "; by ".join(parts)
