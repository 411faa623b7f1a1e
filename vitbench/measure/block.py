"""Run one block through a session: warm-up, timed iterations, witnesses before and after."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Literal

import numpy as np

from vitbench.measure.plan import (
    UNTIMED_AFTER_PAUSE,
    expected_s,
    fitting_iterations,
    timed_pace,
    turn_iterations,
    untimed_iterations,
    warmup_pace,
)
from vitbench.measure.session import Batch, Readings, Session
from vitbench.measure.stopping import at_cap, look, next_request
from vitbench.measure.warmup import JUDGED_WINDOWS, warmup_ended
from vitbench.measure.witness import judge
from vitbench.records.schema import Block, Pause, Plan, Samples
from vitbench.stats.blocks import BlockInterval, block_interval

NS_PER_S = 1_000_000_000
NS_PER_MS = 1_000_000
# The screen is refreshed at most this often on the device's clock, so that untimed iterations stay few.
REFRESH_S = 1.0
REFRESH_ITERATIONS = 25


@dataclass(frozen=True)
class CellProgress:
    """Where a cell stands. Times in ms.

    Attributes:
        block: number of the block at work, from 0; replaced blocks count.
        blocks: how many the plan asks for.
        phase: what the block is doing; `done` right after it.
        iterations: of that phase.
        median_ms: of the timed iterations so far, None before the first look.
        ci_half_width: of its 95 % interval, as a fraction of it.
        finished_ms: medians of the blocks that are finished and valid.
    """

    block: int
    blocks: int
    phase: Literal["opening", "cooling", "warm-up", "timed", "done"]
    iterations: int = 0
    median_ms: float | None = None
    ci_half_width: float | None = None
    finished_ms: tuple[float, ...] = ()


Refresh = Callable[[CellProgress], None]


@dataclass(frozen=True)
class Setting:
    """What a block is told beside its session.

    Attributes:
        plan: how much to sample.
        index: number of the block.
        threads: threads of the runtime, to judge what other processes took.
        clock_max_mhz: highest clock seen in this session before the block; None where unknown.
        refresh: called between requests only, never while one is under way; None for no screen.
        finished_ms: medians of the blocks before this one, for the screen.
    """

    plan: Plan
    index: int
    threads: int
    clock_max_mhz: float | None = None
    refresh: Refresh | None = None
    finished_ms: tuple[float, ...] = ()


class OverLimit(Exception):
    """The first iteration of a cell says that the cell would take longer than its plan allows."""

    def __init__(self, iteration_s: float, needed_s: float, limit_s: float) -> None:
        super().__init__(
            f"not measured: an iteration takes about {iteration_s * 1e3:,.0f} ms, so the cell would take "
            f"{needed_s:,.0f} s, more than its limit of {limit_s:,.0f} s"
        )


@dataclass
class _Series:
    """Iterations of one phase, as they come in."""

    total_ns: list[int] = field(default_factory=list)
    h2d_ns: list[int] = field(default_factory=list)
    compute_ns: list[int] = field(default_factory=list)
    d2h_ns: list[int] = field(default_factory=list)
    elapsed_ns: int = 0

    def add(self, batch: Batch) -> None:
        self.total_ns.extend(batch.total_ns)
        self.h2d_ns.extend(batch.h2d_ns)
        self.compute_ns.extend(batch.compute_ns)
        self.d2h_ns.extend(batch.d2h_ns)
        self.elapsed_ns += batch.elapsed_ns

    @property
    def elapsed_s(self) -> float:
        return self.elapsed_ns / NS_PER_S

    def median_ns(self, last: int = 0) -> float:
        """Median of the last so many iterations, of all by default."""
        return float(np.median(self.total_ns[-last:]))

    def samples(self) -> Samples:
        return Samples(
            total_ns=tuple(self.total_ns),
            h2d_ns=tuple(self.h2d_ns),
            compute_ns=tuple(self.compute_ns),
            d2h_ns=tuple(self.d2h_ns),
        )


class _Screen:
    """Decides when the screen may be refreshed, and times how long that took on this machine."""

    def __init__(self, setting: Setting, phase: Literal["warm-up", "timed"]) -> None:
        self._setting = setting
        self._phase = phase
        self._last_s = 0.0

    def refresh(self, series: _Series, interval: BlockInterval | None) -> int | None:
        """Refresh if it is time to; how long that took in ns, else None."""
        wait_s = max(REFRESH_S, REFRESH_ITERATIONS * series.median_ns() / NS_PER_S)
        if self._setting.refresh is None or series.elapsed_s - self._last_s < wait_s:
            return None
        self._last_s = series.elapsed_s
        begin = time.perf_counter_ns()
        self._setting.refresh(
            CellProgress(
                block=self._setting.index,
                blocks=self._setting.plan.blocks,
                phase=self._phase,
                iterations=len(series.total_ns),
                median_ms=interval.median / NS_PER_MS if interval else None,
                ci_half_width=interval.half_width if interval else None,
                finished_ms=self._setting.finished_ms,
            )
        )
        return time.perf_counter_ns() - begin


def run_block(session: Session, before: Readings, setting: Setting) -> Block:
    """Warm up until steady or capped, time until narrow or capped, and judge the witnesses.

    Args:
        session: a fresh process with its model loaded.
        before: readings taken just before.
        setting: the plan and what else the block must know.

    Raises:
        ToolError: the runtime or the agent died.
        TargetUnreachable: the link was lost.
        OverLimit: it is the first block, and the cell would take too long.
    """
    running = RunningBlock(session, setting)
    running.warm_up()
    running.sample()
    return running.finished(before, session.probe())


class RunningBlock:
    """One block while it runs: `warm_up`, then `sample` once or turn by turn, then `finished`.

    Attributes:
        turn_iterations: timed iterations of a turn beside another block; known once it is warm.
        turn_medians_ns: of each turn so far.
        capped: whether a cap of the plan is reached, after which nothing more is timed.

    Raises (`warm_up` and `sample`):
        ToolError: the runtime or the agent died.
        TargetUnreachable: the link was lost.
        OverLimit: it is the first block, and the cell would take too long.
    """

    turn_iterations: int

    def __init__(self, session: Session, setting: Setting) -> None:
        self._session = session
        self._setting = setting
        self._started = datetime.now(UTC).isoformat(timespec="milliseconds")
        self._timed = _Series()
        self._screen = _Screen(setting, "timed")
        self._pauses: list[Pause] = []
        self._turns: list[int] = []
        self.turn_medians_ns: list[float] = []
        self._untimed_ns = 0
        self._interval: BlockInterval | None = None
        self._narrow = False
        self.capped = False

    @property
    def enough(self) -> bool:
        """Whether its interval has been narrow enough, or a cap is reached."""
        return self._narrow or self.capped

    @property
    def met_minima(self) -> bool:
        """Whether it has timed what the plan asks for at least."""
        pace, timed = self._pace, self._timed
        return len(timed.total_ns) >= pace.min_iterations and timed.elapsed_s >= pace.min_s

    def warm_up(self) -> None:
        """Until steady or capped."""
        plan = self._setting.plan
        self._warmup, self._steady = _warm_up(self._session, self._setting)
        self._iteration_ns = self._warmup.median_ns(last=JUDGED_WINDOWS * plan.window)
        self._pace = timed_pace(plan, self._iteration_ns)
        self._batch = self._pace.window
        self.turn_iterations = turn_iterations(plan, self._iteration_ns)
        self._left_ns = time.perf_counter_ns()

    def sample(self, turn: int | None = None) -> None:
        """Time until there is enough; or for one turn, which goes on where only the other block needs it.

        A refresh of the screen, and the time between two turns, are recorded and followed by a few untimed
        iterations.

        Args:
            turn: iterations at most; None for a block on its own.
        """
        left, had_enough = math.inf if turn is None else turn, self.enough
        ends_when_known = self._setting.plan.turn_ci_width is None
        if turn is not None:
            self._turns.append(len(self._timed.total_ns))
            self._resume(time.perf_counter_ns() - self._left_ns, untimed_iterations(turn))
        while True:
            left -= self._request(left)
            if self.capped or left <= 0 or (ends_when_known and self.enough and not had_enough):
                break
            paused_ns = self._screen.refresh(self._timed, self._interval)
            if paused_ns is not None:
                self._resume(paused_ns, UNTIMED_AFTER_PAUSE)
        self._left_ns = time.perf_counter_ns()
        if turn is not None:
            self.turn_medians_ns.append(
                self._timed.median_ns(last=len(self._timed.total_ns) - self._turns[-1])
            )

    def finished(self, before: Readings, after: Readings) -> Block:
        """The block, by what was timed and what the witnesses say round it."""
        setting, timed = self._setting, self._timed
        judged = judge(before, after, threads=setting.threads, clock_max_mhz=setting.clock_max_mhz)
        interval = block_interval(timed.total_ns, self._batch)
        peak = after.get("peak_rss_bytes")
        return Block(
            index=setting.index,
            started_utc=self._started,
            duration_s=(self._warmup.elapsed_ns + timed.elapsed_ns + self._untimed_ns) / NS_PER_S,
            steady=self._steady,
            warmup=self._warmup.samples(),
            samples=timed.samples(),
            batch_iterations=interval.batch,
            median_ms=interval.median / NS_PER_MS,
            ci_half_width=interval.half_width,
            load_ms=self._session.loaded.load_ns / NS_PER_MS,
            first_inference_ms=self._warmup.total_ns[0] / NS_PER_MS,
            peak_memory_mb=None if peak is None else float(peak) / 2**20,
            pauses=tuple(self._pauses),
            turns=tuple(self._turns),
            before=judged.before,
            after=judged.after,
            invalid=judged.invalid,
        )

    def _request(self, most: float) -> int:
        """Time some more iterations, `most` at most, and look at what there is; how many it were."""
        timed, pace, done = self._timed, self._pace, len(self._timed.total_ns)
        iteration_s = (timed.elapsed_ns / done if done else self._iteration_ns) / NS_PER_S
        wanted = int(min(most, next_request(done, timed.elapsed_s, iteration_s, self._batch, pace)))
        timed.add(self._session.measure(wanted))
        seen = look(timed.total_ns, timed.elapsed_s, self._batch, self._setting.plan.ci_width, pace)
        self._narrow = self._narrow or seen.stop == "width"
        self.capped = at_cap(len(timed.total_ns), timed.elapsed_s, pace)
        self._batch, self._interval = seen.batch, seen.interval or self._interval
        return wanted

    def _resume(self, paused_ns: int, untimed: int) -> None:
        """Record a pause, and run a few iterations that are not timed."""
        self._untimed_ns += self._session.warm(untimed).elapsed_ns
        self._pauses.append(
            Pause(
                after_iterations=len(self._timed.total_ns),
                duration_ms=paused_ns / NS_PER_MS,
                untimed_iterations=untimed,
            )
        )


def _warm_up(session: Session, setting: Setting) -> tuple[_Series, bool]:
    """The warm-up and whether it became steady.

    It begins with one iteration, then two: nothing is known yet of how long one takes.
    """
    plan, series, screen = setting.plan, _Series(), _Screen(setting, "warm-up")
    series.add(session.warm(1))
    if setting.index == 0:
        refuse_what_takes_too_long(plan, series.elapsed_s, session.loaded.load_ns / NS_PER_S)
    while True:
        iteration_ns = series.median_ns()
        pace = warmup_pace(plan, iteration_ns)
        ended = warmup_ended(series.total_ns, series.elapsed_s, pace)
        if ended is not None:
            return series, ended
        screen.refresh(series, None)
        done = len(series.total_ns)
        wanted = 2 if done == 1 else pace.window - done % pace.window
        series.add(session.warm(fitting_iterations(pace, wanted, series.elapsed_s, iteration_ns / NS_PER_S)))


def refuse_what_takes_too_long(plan: Plan, iteration_s: float, load_s: float) -> None:
    """Compare what a cell would take with the limit of its plan.

    Raises:
        OverLimit: it is more.
    """
    needed_s = expected_s(plan, iteration_s, load_s)
    if plan.cell_limit_s is not None and needed_s > plan.cell_limit_s:
        raise OverLimit(iteration_s, needed_s, plan.cell_limit_s)
