"""Measure one cell: fresh processes one after another, until the plan has its blocks."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Literal

from vitbench.errors import TargetUnreachable, ToolError, VitbenchError
from vitbench.measure.block import CellProgress, OverLimit, Refresh, Setting, run_block
from vitbench.measure.result import CellResult, conclude
from vitbench.measure.session import OpenSession, Readings, Session
from vitbench.measure.witness import highest_clock_mhz, temperature_c
from vitbench.records.schema import Block, Plan
from vitbench.stats.blocks import MIN_BATCHES
from vitbench.stats.quantiles import t_quantile

WARMER_C = 3.0
COOLING_LIMIT_S = 120.0
COOLING_STEP_S = 2.0
BACKOFF_S = (1.0, 2.0, 4.0, 8.0, 16.0)
# Two processes that die before any block is finished: the third would die as well.
HOPELESS_CRASHES = 2


def measure_cell(
    open_session: OpenSession,
    plan: Plan,
    *,
    metric: str = "latency",
    batch: int = 1,
    threads: int = 1,
    clock_max_mhz: float | None = None,
    on_progress: Refresh | None = None,
    on_block: Callable[[Block], None] | None = None,
    sleep: Callable[[float], None] = time.sleep,
) -> CellResult:
    """Run the plan's blocks, each in a fresh process, and estimate.

    A block that an external witness voids, or that lost its link, is replaced, up to 20 % of the plan's
    blocks. A process that dies costs its block. A link that is gone is tried again with growing pauses; when
    it stays away the finished blocks stand and the rest are missing. A cell that would take longer than the
    plan allows has no blocks, and an estimate of its iterations among its reasons.

    Args:
        open_session: starts the process of a block, its model loaded; given the number of the attempt from 0.
        plan: how much to sample.
        metric: `latency` or `throughput`.
        batch: images an iteration.
        threads: threads of the runtime.
        clock_max_mhz: highest clock that earlier cells saw on this device.
        on_progress: refreshes the screen; called between requests only.
        on_block: called with each finished block, invalid ones included, after its process has ended.
        sleep: how to wait, in seconds; a device on simulated time passes one that returns at once.

    Raises:
        ToolError: every process died; the first one's error.
        TargetUnreachable: the device could not be reached and no block was finished.
        UsageError: the agent refused a request.
        KeyboardInterrupt: as it came; `on_block` has had every finished block.
    """
    # The quantile imports scipy: before anything is timed.
    t_quantile(0.975, MIN_BATCHES - 1)
    cell = _Cell(open_session, plan, threads, on_progress, on_block, sleep, clock_max_mhz)
    try:
        cell.run()
    except OverLimit as over:
        return CellResult(blocks=(), estimate=None, status="inconclusive", reasons=(str(over),))
    return conclude(
        cell.blocks,
        plan,
        metric=metric,
        batch=batch,
        lost=cell.lost,
        notes=cell.notes,
        clock_max_mhz=cell.clock_max_mhz,
    )


class _OutOfReach(Exception):
    """The device cannot be reached (any more); the cause says why."""

    def __init__(self, error: TargetUnreachable) -> None:
        super().__init__(error.message)
        self.error = error


@dataclass
class _Cell:
    """The state of one cell while its blocks are taken."""

    open_session: OpenSession
    plan: Plan
    threads: int
    refresh: Refresh | None
    on_block: Callable[[Block], None] | None
    sleep: Callable[[float], None]
    clock_max_mhz: float | None
    blocks: list[Block] = field(default_factory=list)
    lost: int = 0
    failures: list[VitbenchError] = field(default_factory=list)
    crashes: int = 0
    notes: list[str] = field(default_factory=list)
    attempts: int = 0
    first_temp_c: float | None = None

    def run(self) -> None:
        """Take every block of the plan, or as many as can be had."""
        replacements_left = self.plan.blocks // 5
        slots_left = self.plan.blocks
        while slots_left:
            try:
                void = self._take()
            except _OutOfReach as gone:
                self.failures.append(gone.error)
                self.notes.append(f"the device went out of reach: {gone.error.message}")
                break
            except ToolError as crash:
                self._crashed(crash)
                void = None
            if void is not None:
                self.notes.append(f"block {self.attempts - 1} does not count: {void}")
            if void is not None and replacements_left:
                replacements_left -= 1
            else:
                slots_left -= 1
        if not self.blocks:
            raise self.failures[0]

    def _take(self) -> str | None:
        """One attempt at a block. Why it does not count, or None where it does."""
        index = self.attempts
        self.attempts += 1
        self._show(index, "opening")
        try:
            with ExitStack() as stack:
                session = self._connect(stack, index)
                block = self._block(session, index)
        except TargetUnreachable as error:
            if not error.transient:
                raise _OutOfReach(error) from error
            self.lost += 1
            self.failures.append(error)
            return f"the link was lost: {error.message}"
        self.blocks.append(block)
        self.clock_max_mhz = highest_clock_mhz(
            self.clock_max_mhz, block.before.clock_mhz, block.after.clock_mhz
        )
        if self.on_block is not None:
            self.on_block(block)
        self._show(index, "done")
        return block.invalid

    def _connect(self, stack: ExitStack, index: int) -> Session:
        """Open a session, trying again with growing pauses while the link is down."""
        for pause_s in (*BACKOFF_S, None):
            try:
                return stack.enter_context(self.open_session(index))
            except TargetUnreachable as error:
                if pause_s is None or not error.transient:
                    raise _OutOfReach(error) from error
                self.sleep(pause_s)
        raise AssertionError("unreachable")

    def _block(self, session: Session, index: int) -> Block:
        before = self._cool(session, index)
        setting = Setting(
            self.plan, index, self.threads, self.clock_max_mhz, self.refresh, self._finished_ms()
        )
        self._show(index, "warm-up")
        return run_block(session, before, setting)

    def _cool(self, session: Session, index: int) -> Readings:
        """Wait until the device is no warmer than at the first block, by 3 C; give up after two minutes."""
        readings = session.probe()
        if self.first_temp_c is None:
            self.first_temp_c = temperature_c(readings)
        waited_s = 0.0
        while self._is_warm(readings) and waited_s < COOLING_LIMIT_S:
            self._show(index, "cooling")
            self.sleep(COOLING_STEP_S)
            waited_s += COOLING_STEP_S
            readings = session.probe()
        if self._is_warm(readings):
            self.notes.append(
                f"block {index} started at {temperature_c(readings):.0f} C, "
                f"the first at {self.first_temp_c:.0f} C: it did not cool down in {COOLING_LIMIT_S:.0f} s"
            )
        return readings

    def _is_warm(self, readings: Readings) -> bool:
        temp_c = temperature_c(readings)
        return temp_c is not None and self.first_temp_c is not None and temp_c > self.first_temp_c + WARMER_C

    def _crashed(self, crash: ToolError) -> None:
        self.crashes += 1
        self.failures.append(crash)
        if not self.blocks and self.crashes >= HOPELESS_CRASHES:
            raise self.failures[0]
        self.notes.append(f"block {self.attempts - 1} failed: {crash.message}")

    def _finished_ms(self) -> tuple[float, ...]:
        return tuple(block.median_ms for block in self.blocks if block.invalid is None)

    def _show(self, index: int, phase: Literal["opening", "cooling", "warm-up", "done"]) -> None:
        if self.refresh is not None:
            self.refresh(CellProgress(index, self.plan.blocks, phase, finished_ms=self._finished_ms()))
