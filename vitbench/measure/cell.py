"""Measure one cell: fresh processes one after another, until the plan has its blocks."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from vitbench.measure.block import OverLimit, Refresh
from vitbench.measure.result import CellResult, conclude
from vitbench.measure.session import OpenSession
from vitbench.measure.take import Attempts, Taker
from vitbench.records.schema import Block, Plan
from vitbench.stats.blocks import MIN_BATCHES
from vitbench.stats.quantiles import t_quantile


def measure_cell(
    open_session: OpenSession,
    plan: Plan,
    *,
    metric: str = "latency",
    batch: int = 1,
    overlap: bool = False,
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
        batch: images a sample.
        overlap: whether samples are rounds of requests that overlap.
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
    taker = Taker(plan, threads, on_progress, sleep, clock_max_mhz)
    cell, attempts = _Cell(open_session, taker, on_block), Attempts(taker, "block")
    try:
        attempts.fill(plan.blocks, cell.take)
    except OverLimit as over:
        return CellResult(blocks=(), estimate=None, status="inconclusive", reasons=(str(over),))
    return conclude(
        cell.blocks,
        plan,
        metric=metric,
        batch=batch,
        overlap=overlap,
        lost=attempts.lost,
        notes=taker.notes,
        clock_max_mhz=taker.clock_max_mhz,
    )


@dataclass
class _Cell:
    """The state of one cell while its blocks are taken."""

    open_session: OpenSession
    taker: Taker
    on_block: Callable[[Block], None] | None
    blocks: list[Block] = field(default_factory=list)

    def take(self, index: int) -> str | None:
        """Take the block of this number. Why it does not count, or None where it does."""
        block = self.taker.take(self.open_session, index)
        self.blocks.append(block)
        if self.on_block is not None:
            self.on_block(block)
        self.taker.finished(block)
        if block.invalid is not None:
            self.taker.notes.append(f"block {index} does not count: {block.invalid}")
        return block.invalid
