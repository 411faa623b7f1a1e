"""How long a gate will take, before it starts. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from vitbench.measure.plan import timed_pace, turn_iterations, untimed_iterations, warmup_pace
from vitbench.records.schema import Plan
from vitbench.stats.gate import second_stage

# A process, its imports, the probes round its block.
START_S = 0.6
# Windows until a warm-up is seen to be steady: four at least, and some more.
WARM_WINDOWS = 7
# One pair of so many may be replaced.
REPLACED = 5
# Of the way from the least to the most time of the timed part, where a block usually ends.
USUAL = 0.5


@dataclass(frozen=True)
class CellCost:
    """What a cell's blocks are like: one iteration, loading, pairs of the first stage, and their plan."""

    iteration_s: float
    load_s: float
    pairs: int
    plan: Plan


@dataclass(frozen=True)
class Cost:
    """Seconds: when nothing changed; and when every cell goes to the second stage, runs to its caps, and has
    disturbed pairs replaced. Waiting for a device to cool down or to come back is in neither.
    """

    usual_s: float
    most_s: float


def estimate(cells: Sequence[CellCost]) -> Cost:
    """Add up the blocks of a gate, without the building of artifacts."""
    usual = most = 0.0
    for cell in cells:
        second, _ = second_stage(len(cells), cell.pairs)
        block_usual, block_most = _block_s(cell)
        usual += 2 * cell.pairs * block_usual
        most += 2 * sum(pairs + pairs // REPLACED for pairs in (cell.pairs, second)) * block_most
    return Cost(usual, most)


def in_words(seconds: float) -> str:
    """`40 s`, `3 min`, `1 h 20 min`."""
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"


def _block_s(cell: CellCost) -> tuple[float, float]:
    iteration_ns = cell.iteration_s * 1e9
    warm, timed = warmup_pace(cell.plan, iteration_ns), timed_pace(cell.plan, iteration_ns)
    start = START_S + cell.load_s
    warm_s = min(WARM_WINDOWS * warm.window * cell.iteration_s, warm.cap_s)
    least_s = min(max(timed.min_iterations * cell.iteration_s, timed.min_s), timed.cap_s)
    usual_s = least_s + USUAL * (timed.cap_s - least_s)
    paused = _untimed_share(cell.plan, iteration_ns)
    return start + warm_s + (1 + paused) * usual_s, start + warm.cap_s + (1 + paused) * timed.cap_s


def _untimed_share(plan: Plan, iteration_ns: float) -> float:
    """Untimed iterations between turns, over timed ones; 0 where blocks come one after the other."""
    if plan.turn_s is None:
        return 0.0
    turn = turn_iterations(plan, iteration_ns)
    return untimed_iterations(turn) / turn
