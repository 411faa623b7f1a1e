"""Measure two things in pairs: two blocks next to or beside each other, in random order, again and again."""

from __future__ import annotations

import math
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np

from vitbench.errors import VitbenchError
from vitbench.measure.block import Refresh
from vitbench.measure.session import OpenSession
from vitbench.measure.take import Attempts, Taker
from vitbench.records.comparison import Pair, Ratio, ValueIs
from vitbench.records.schema import Block, Plan, Status
from vitbench.stats.blocks import MIN_BATCHES
from vitbench.stats.pairs import log_ratio_of_turns, signed_rank_interval
from vitbench.stats.quantiles import t_quantile

OnPair = Callable[[Pair, tuple[Block, Block]], None]
# The exact signed-rank interval of 95 % needs six pairs.
MIN_PAIRS = 6
NS_PER_MS = 1e6


@dataclass(frozen=True)
class PairsResult:
    """Both sides' blocks in the order they ran, and the pairs they form.

    `notes` are what a reader should know of the way; `loading_s`, `waiting_s` as in `Taker`. `failure` is the
    last error that cost a pair or ended the series, None where all went well.
    """

    blocks: tuple[tuple[Block, ...], tuple[Block, ...]]
    pairs: tuple[Pair, ...]
    notes: tuple[str, ...]
    loading_s: float
    waiting_s: float
    clock_max_mhz: float | None = None
    failure: VitbenchError | None = None


def measure_pairs(
    open_sessions: tuple[OpenSession, OpenSession],
    plan: Plan,
    *,
    value_is: ValueIs = "latency",
    threads: int = 1,
    clock_max_mhz: float | None = None,
    first_temp_c: float | None = None,
    on_progress: Refresh | None = None,
    on_pair: OnPair | None = None,
    sleep: Callable[[float], None] = time.sleep,
) -> PairsResult:
    """Take `plan.blocks` / 2 pairs, the order inside each drawn from `plan.seed`.

    One block after the other, or in turns where the plan says so (`plan.turn_s`).

    A pair of which a witness voids a block, or that lost its link, is replaced, up to 20 % of them. A process
    that dies costs its pair. When the device goes out of reach, the finished pairs stand.

    Args:
        open_sessions: of the first and the second side; given the number of the block, which counts both.
        plan: how much to sample; `blocks` counts both sides.
        value_is: what of a block is compared: its wall clock, or its compute part.
        first_temp_c: temperature that blocks wait for; that before the first of them when None.
        on_pair: called with each finished pair and its two blocks, invalid ones included.

    Raises:
        ToolError, TargetUnreachable: no pair could be finished; the first error.
        OverLimit: a pair would take too long.
        PairsInterrupted: Ctrl-C; it holds the finished pairs.
    """
    # The quantile imports scipy: before anything is timed.
    t_quantile(0.975, MIN_BATCHES - 1)
    taker = Taker(plan, threads, on_progress, sleep, clock_max_mhz, first_temp_c)
    pairs = _Pairs(open_sessions, taker, value_is, on_pair, random.Random(f"pairs/{plan.seed}"))
    attempts = Attempts(taker, "pair")
    try:
        attempts.fill(plan.blocks // 2, pairs.take)
    except KeyboardInterrupt as interrupt:
        raise PairsInterrupted(pairs.result()) from interrupt
    return replace(pairs.result(), failure=attempts.costly)


class PairsInterrupted(KeyboardInterrupt):
    """Ctrl-C in the middle of a comparison; `result` holds what was finished."""

    def __init__(self, result: PairsResult) -> None:
        super().__init__()
        self.result = result


@dataclass
class _Pairs:
    """The state of a comparison while its pairs are taken."""

    open_sessions: tuple[OpenSession, OpenSession]
    taker: Taker
    value_is: ValueIs
    on_pair: OnPair | None
    order: random.Random
    blocks: tuple[list[Block], list[Block]] = field(default_factory=lambda: ([], []))
    pairs: list[Pair] = field(default_factory=list)

    def take(self, number: int) -> str | None:
        """Take the pair of this number. Why it does not count, or None where it does."""
        first: Literal[0, 1] = 1 if self.order.getrandbits(1) else 0
        taken = self._take_both((first, 1 - first), 2 * number)
        for side, block in taken.items():
            self.blocks[side].append(block)
        invalid = taken[0].invalid or taken[1].invalid
        pair = Pair(
            first=first,
            blocks=(len(self.blocks[0]) - 1, len(self.blocks[1]) - 1),
            log_ratio=self._log_ratio(taken[0], taken[1]),
            invalid=invalid,
        )
        self.pairs.append(pair)
        if self.on_pair is not None:
            self.on_pair(pair, (taken[0], taken[1]))
        return invalid

    def _take_both(self, sides: tuple[int, int], index: int) -> dict[int, Block]:
        """The blocks of a pair, by side, in the order given."""
        taken: dict[int, Block] = {}
        if self.taker.plan.turn_s is not None:
            sessions = (self.open_sessions[sides[0]], self.open_sessions[sides[1]])
            taken = dict(zip(sides, self.taker.take_in_turns(sessions, index), strict=True))
            for block in taken.values():
                self.taker.finished(block)
            return taken
        for position, side in enumerate(sides):
            taken[side] = self.taker.take(self.open_sessions[side], index + position)
            self.taker.finished(taken[side])
        return taken

    def _log_ratio(self, first: Block, second: Block) -> float:
        """log(second / first), turn by turn where the blocks took turns."""
        if first.turns and second.turns:
            values = [
                block.samples.total_ns if self.value_is == "latency" else block.samples.compute_ns
                for block in (first, second)
            ]
            return log_ratio_of_turns(values[0], first.turns, values[1], second.turns)
        return math.log(self._datum(second) / self._datum(first))

    def _datum(self, block: Block) -> float:
        whole = self.value_is == "latency" or block.told is not None
        return block.median_ms if whole else float(np.median(block.samples.compute_ns)) / NS_PER_MS

    def result(self) -> PairsResult:
        """What was taken so far."""
        return PairsResult(
            blocks=(tuple(self.blocks[0]), tuple(self.blocks[1])),
            pairs=tuple(self.pairs),
            notes=tuple(self.taker.notes),
            loading_s=self.taker.loading_s,
            waiting_s=self.taker.waiting_s,
            clock_max_mhz=self.taker.clock_max_mhz,
        )


def ratio_of(pairs: Sequence[Pair]) -> Ratio | None:
    """Ratio of the second side over the first, of the pairs that count; None without any pair.

    Where no pair counts it is that of all: a disturbed figure, told as one, beats no figure.
    Point: exp of the Hodges-Lehmann estimate of the log-ratios. Interval: the inverted signed-rank test.
    """
    counted = [pair.log_ratio for pair in pairs if pair.invalid is None] or [pair.log_ratio for pair in pairs]
    if not counted:
        return None
    interval = signed_rank_interval(counted)
    return Ratio(
        ratio=math.exp(interval.estimate),
        low=math.exp(interval.low),
        high=math.exp(interval.high),
        confidence=interval.confidence,
        pairs=len(counted),
    )


def conclude_pairs(result: PairsResult, plan: Plan) -> tuple[Status, tuple[str, ...]]:
    """What a comparison is worth, parity aside, and why.

    `inconclusive`: fewer pairs count than the plan asks for, or too few for an interval, or it was quick.
    `unsteady`: fewer than 80 % of the blocks that count warmed up to a steady state. Otherwise `valid`.
    """
    wanted, counted = plan.blocks // 2, [pair for pair in result.pairs if pair.invalid is None]
    against = []
    if plan.preset == "quick-pairs":
        against.append("a quick comparison is never valid")
    if not counted:
        against.append("every pair was disturbed, so the figures are of disturbed pairs")
    elif len(counted) < wanted:
        against.append(f"only {len(counted)} of {wanted} pairs could be used")
    if 0 < len(counted) < MIN_PAIRS:
        against.append(f"{len(counted)} pairs have no 95 % interval, {MIN_PAIRS} would")
    used = [result.blocks[side][pair.blocks[side]] for pair in counted for side in (0, 1)]
    seen = [block for block in used if block.steady is not None]
    steady = sum(bool(block.steady) for block in seen)
    unsteady = (
        []
        if 5 * steady >= 4 * len(seen)
        else [f"only {steady} of {len(seen)} blocks warmed up to a steady state"]
    )
    status: Status = "inconclusive" if against else "unsteady" if unsteady else "valid"
    return status, (*against, *unsteady, *_disturbed(result.pairs), *result.notes)


def _disturbed(pairs: Sequence[Pair]) -> list[str]:
    """How many pairs a witness speaks against, and the first such reason."""
    reasons = [pair.invalid for pair in pairs if pair.invalid is not None]
    if not reasons:
        return []
    told = "does" if len(reasons) == 1 else "do"
    return [f"{len(reasons)} of {len(pairs)} pairs {told} not count, the first because {reasons[0]}"]
