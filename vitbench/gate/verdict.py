"""From the pair differences of a cell to its verdict. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from vitbench.records.gate import Outcome, Verdict
from vitbench.stats import gate as stats
from vitbench.stats.pairs import hodges_lehmann, signed_rank_interval

# A one-sided 99 % bound is an end of the two-sided 98 % interval.
TWO_SIDED = 1 - 2 * stats.ALPHA
SECOND_ONLY = "only the second stage rejects: a regression needs both"
FIRST_ONLY = "only the first stage rejects: a regression needs both"


@dataclass(frozen=True)
class Judgement:
    """What one stage says of a cell.

    Attributes:
        outcome: `flagged`: slower than the limit. `passed`: not slower than it. `improved`: faster by more
            than the limit. `open`: neither could be shown.
        p: of "not slower than the limit".
        ratio: candidate over baseline, Hodges-Lehmann.
        low, high: one-sided 99 % bounds of it; 0 and infinite with too few pairs.
        pair_sd: standard deviation of the pair differences; None for fewer than two pairs.
        serial_p: of "neighbouring differences are not alike".
        cycles_ratio: the ratio in clock cycles; None where the clock is not known.
        reasons: why it is open though its test spoke, or could not speak.
    """

    outcome: Outcome
    p: float
    ratio: float | None
    low: float
    high: float
    pair_sd: float | None
    serial_p: float
    cycles_ratio: float | None
    reasons: tuple[str, ...] = ()


def judge(
    differences: Sequence[float],
    *,
    limit: float,
    alpha: float,
    wanted: int,
    cycles: Sequence[float] | None = None,
) -> Judgement:
    """Judge one stage.

    A stage with fewer pairs than it was to have, or whose neighbouring differences are alike, is open. So is
    one whose slowdown vanishes in clock cycles: there the centre is not beyond the limit.

    Args:
        differences: log ratios of the pairs that count, in the order they were taken.
        limit: d, as a fraction.
        alpha: level of the test.
        wanted: pairs that were asked for.
        cycles: the same in clock cycles; None where the clock of a block is not known.
    """
    if not len(differences):
        return Judgement("open", 1.0, None, 0.0, math.inf, None, 1.0, None, ("no pair could be used",))
    bounds = signed_rank_interval(differences, confidence=TWO_SIDED)
    found = Judgement(
        outcome="open",
        p=float(stats.p_greater(differences, math.log1p(limit))),
        ratio=math.exp(bounds.estimate),
        low=math.exp(bounds.low),
        high=math.exp(bounds.high),
        pair_sd=_sd(differences),
        serial_p=float(stats.serial_p(differences)),
        cycles_ratio=None if cycles is None else math.exp(hodges_lehmann(cycles)),
    )
    if len(differences) < wanted:
        return replace(found, reasons=(f"only {len(differences)} of {wanted} pairs could be used",))
    if found.serial_p <= stats.SERIAL_ALPHA:
        reason = f"neighbouring pair differences are alike (p {found.serial_p:.2g}): pairs are no replicates"
        return replace(found, reasons=(reason,))
    if found.p <= alpha:
        if found.cycles_ratio is not None and found.cycles_ratio <= 1 + limit:
            return replace(found, reasons=(_vanishes(found.ratio, found.cycles_ratio),))
        return replace(found, outcome="flagged")
    # By the test and not by the bound, which is the same but for rounding.
    if stats.p_less(differences, -math.log1p(limit)) <= stats.ALPHA:
        return replace(found, outcome="improved")
    if stats.p_less(differences, math.log1p(limit)) <= stats.ALPHA:
        return replace(found, outcome="passed")
    return found


def needs_second(first: Judgement) -> bool:
    """Whether a cell goes to the second stage: the first flagged it, or could not pass it."""
    return first.outcome in ("flagged", "open")


def decide(first: Judgement, second: Judgement | None, limit: float) -> tuple[Verdict, tuple[str, ...]]:
    """The verdict on the time of a cell, and why where it is neither PASS nor IMPROVEMENT.

    Args:
        first, second: the stages; the second is None where the first ended it, or where it is missing.
        limit: d, as a fraction.
    """
    last = second if second is not None else first
    if last.outcome == "passed":
        return "PASS", ()
    if last.outcome == "improved":
        return "IMPROVEMENT", ()
    if second is None:
        return "INCONCLUSIVE", (*first.reasons, "the second stage is missing")
    if first.outcome == second.outcome == "flagged":
        return "REGRESSION", (f"slower by more than {limit:.1%} in both stages",)
    if second.outcome == "flagged":
        return "INCONCLUSIVE", (SECOND_ONLY, *first.reasons)
    if first.outcome == "flagged":
        return "INCONCLUSIVE", (FIRST_ONLY, *second.reasons)
    return "INCONCLUSIVE", second.reasons or (_undecided(second, limit),)


def _undecided(stage: Judgement, limit: float) -> str:
    return (
        f"the pairs are too noisy to tell: the ratio may be up to {stage.high:.3f}, "
        f"the limit is {1 + limit:.3f}"
    )


def _vanishes(ratio: float | None, cycles_ratio: float) -> str:
    return (
        f"the slowdown vanishes in clock cycles: {ratio:.3f} in time, {cycles_ratio:.3f} in cycles, "
        "so the clock was lower beside the candidate"
    )


def _sd(values: Sequence[float]) -> float | None:
    if len(values) < 2:
        return None
    mean = sum(values) / len(values)
    return math.sqrt(sum((value - mean) ** 2 for value in values) / (len(values) - 1))
