"""Time several things in turn, shortly: to choose among them, not to quote them."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence

from vitbench.measure.block import Refresh
from vitbench.measure.session import OpenSession
from vitbench.measure.take import LinkLost, OutOfReach, Taker
from vitbench.records.schema import Block, Plan


def measure_rounds(
    open_sessions: Sequence[OpenSession],
    plan: Plan,
    *,
    threads: int = 1,
    on_progress: Refresh | None = None,
    sleep: Callable[[float], None] = time.sleep,
) -> tuple[list[list[Block]], Taker]:
    """Take `plan.blocks` rounds; in each, one block of every side, in an order drawn from `plan.seed`.

    Returns:
        The blocks of each side, and the taker, which knows where the time went.

    Raises:
        ToolError, TargetUnreachable: of the first block that could not be taken.
    """
    taker = Taker(plan, threads, on_progress, sleep)
    order = random.Random(f"rounds/{plan.seed}")
    blocks: list[list[Block]] = [[] for _ in open_sessions]
    try:
        for number in range(plan.blocks):
            sides = list(range(len(open_sessions)))
            order.shuffle(sides)
            for place, side in enumerate(sides):
                taken = taker.take(open_sessions[side], number * len(sides) + place)
                blocks[side].append(taken)
                taker.finished(taken)
    except (LinkLost, OutOfReach) as gone:
        raise gone.error from gone
    return blocks, taker
