"""From the comparison of one stage to what the gate keeps of it. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from statistics import median

from vitbench.gate.verdict import Judgement, judge
from vitbench.records.comparison import Comparison, Pair
from vitbench.records.gate import GateStage
from vitbench.records.schema import Block
from vitbench.stats.gate import visible


def judged(
    comparison: Comparison, *, stage: int, limit: float, alpha: float, wanted: int
) -> tuple[GateStage, Judgement]:
    """Judge the pairs of a stage.

    Args:
        comparison: the baseline first, the candidate second.
        stage: 1 or 2.
        limit: d, as a fraction.
        alpha: level of the test.
        wanted: pairs that were asked for.
    """
    counted = [pair for pair in comparison.pairs if pair.invalid is None]
    differences = [pair.log_ratio for pair in counted]
    found = judge(differences, limit=limit, alpha=alpha, wanted=wanted, cycles=in_cycles(comparison, counted))
    if len(differences) < wanted:
        found = replace(found, reasons=(*found.reasons, *_disturbed(comparison.pairs)))
    middle = [_median_ms(comparison, counted, side) for side in (0, 1)]
    kept = GateStage(
        stage=1 if stage == 1 else 2,
        alpha=alpha,
        pairs_wanted=wanted,
        log_ratios=tuple(differences),
        disturbed=len(comparison.pairs) - len(counted),
        baseline_ms=middle[0],
        candidate_ms=middle[1],
        ratio=found.ratio,
        low=found.low,
        high=found.high,
        p=found.p,
        pair_sd=found.pair_sd,
        serial_p=found.serial_p,
        cycles_ratio=found.cycles_ratio,
        outcome=found.outcome,
        reasons=found.reasons,
        comparison=comparison.id,
    )
    return kept, found


def in_cycles(comparison: Comparison, pairs: Sequence[Pair]) -> list[float] | None:
    """Log ratios in clock cycles: those of time, and of the clocks right after the blocks.

    None where the clock of a block is not known, and where blocks took turns: they ran under one clock, and
    two readings of it after the last turn tell of nothing else than their own noise.
    """
    found = []
    for pair in pairs:
        blocks = [comparison.sides[side].blocks[pair.blocks[side]] for side in (0, 1)]
        if any(block.turns for block in blocks):
            return None
        clocks = [_clock_mhz(block) for block in blocks]
        if clocks[0] is None or clocks[1] is None:
            return None
        found.append(pair.log_ratio + math.log(clocks[1] / clocks[0]))
    return found


def blocks_of(comparison: Comparison, side: int) -> list[Block]:
    """The blocks of a side whose pairs count; all where none does."""
    pairs = [pair for pair in comparison.pairs if pair.invalid is None] or comparison.pairs
    return [comparison.sides[side].blocks[pair.blocks[side]] for pair in pairs]


def remarks(comparison: Comparison) -> list[str]:
    """What befell single pairs, and hot or unsteady blocks: random order keeps the verdict right."""
    starts, parts = ("pair ", "the device went out of reach"), ("to a steady state", "did not cool down")
    return [
        reason
        for reason in comparison.reasons
        if reason.startswith(starts) or any(part in reason for part in parts)
    ]


def unclocked(comparison: Comparison) -> str:
    """Why a slowdown was not looked at in clock cycles."""
    blocks = [block for side in comparison.sides for block in side.blocks]
    if any(block.turns for block in blocks):
        return "not looked at in clock cycles: both sides took turns under one clock"
    return "not looked at in clock cycles: the clock cannot be read here"


def first_temperature_c(comparison: Comparison) -> float | None:
    """Temperature before the first block, where blocks of a later stage begin again."""
    blocks = [block for side in comparison.sides for block in side.blocks]
    first = min(blocks, key=lambda block: block.index, default=None)
    return None if first is None else first.before.temp_c


def visible_today(stages: Sequence[GateStage], limit: float, pairs: int, cells: int) -> float | None:
    """The smallest slowdown that the gate sees with power 0.95 at the noise of these stages.

    Args:
        stages: of one cell; their pair differences are pooled, each about its own mean.
        limit: d, as a fraction.
        pairs: of the first stage.
        cells: that the gate decides on.

    Returns:
        A fraction; None for fewer than three pairs in all.
    """
    degrees = sum(max(0, len(stage.log_ratios) - 1) for stage in stages)
    if degrees < 2:
        return None
    squares = sum(
        (stage.pair_sd or 0.0) ** 2 * (len(stage.log_ratios) - 1) for stage in stages if stage.log_ratios
    )
    return visible(limit, math.sqrt(squares / degrees), pairs, cells)


def _disturbed(pairs: Sequence[Pair]) -> list[str]:
    """How many pairs a witness speaks against, and the first such reason."""
    reasons = [pair.invalid for pair in pairs if pair.invalid is not None]
    return [f"{len(reasons)} of {len(pairs)} do not count, the first because {reasons[0]}"] if reasons else []


def _clock_mhz(block: Block) -> float | None:
    """The clock right after a block, of GPUs its mean while it was timed; None where it cannot be read.

    That before it is of an idle device, or of one that the block before has sped up.
    """
    return block.after.clock_mhz or None


def _median_ms(comparison: Comparison, pairs: Sequence[Pair], side: int) -> float | None:
    """Median of the compared datum of a side's blocks, in ms."""
    blocks = [comparison.sides[side].blocks[pair.blocks[side]] for pair in pairs]
    if not blocks:
        return None
    if comparison.value_is == "latency" or any(block.told is not None for block in blocks):
        return float(median(block.median_ms for block in blocks))
    return float(median(median(block.samples.compute_ns) for block in blocks)) / 1e6
