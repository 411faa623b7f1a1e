"""Two blocks beside each other: both processes loaded, timed in turns, so that both see the same machine."""

from __future__ import annotations

from collections.abc import Sequence

from vitbench.measure.block import RunningBlock, Setting
from vitbench.measure.session import Session
from vitbench.measure.witness import beside
from vitbench.records.schema import Block
from vitbench.stats.pairs import log_ratios
from vitbench.stats.quantiles import t_half_width

MIN_TURNS = 10


def run_in_turns(sessions: tuple[Session, Session], settings: tuple[Setting, Setting]) -> tuple[Block, Block]:
    """Warm up one after the other, then time in turns: first, second, second, first, and so on.

    What changes over seconds, as a neighbour's load does, changes both alike. Who goes first must be a fair
    coin: then a difference that only noise made has either sign with the same chance, drift or not. A block
    that has enough goes on until the other has as well; where the plan asks for a ratio alone
    (`turn_ci_width`), both go on until that is known.

    Args:
        sessions: fresh processes of one machine with their models loaded, in the order they begin; a process
            that waits for its turn must not use the machine.
        settings: of either, with one plan.

    Raises:
        ToolError: a runtime or an agent died.
        TargetUnreachable: the link was lost.
        OverLimit: the first of them is the first block, and the cell would take too long.
    """
    first, second = sessions
    before = (first.probe(), second.probe())
    running = [RunningBlock(session, setting) for session, setting in zip(sessions, settings, strict=True)]
    for each in running:
        each.warm_up()
    order = list(running)
    width = settings[0].plan.turn_ci_width
    turns = [each.turn_iterations for each in running]
    if width is not None:
        # Of one length, so that the share of iterations on cold caches is the same.
        turns = [max(turns)] * 2
    length = dict(zip(running, turns, strict=True))
    while not (all(each.enough for each in running) if width is None else _known(running, width)):
        for each in order:
            if not each.capped:
                each.sample(length[each])
        order.reverse()
    after = (first.probe(), second.probe())
    return (
        running[0].finished(beside(before[0], before[1]), beside(after[0], after[1])),
        running[1].finished(beside(before[1], before[0]), beside(after[1], after[0])),
    )


def _known(running: Sequence[RunningBlock], width: float) -> bool:
    """Whether the turns so far tell the ratio as well as is asked for, minima met; or a cap ends them.

    Args:
        running: both blocks.
        width: half of the 95 % interval of the ratio, as a fraction of it: t over the log ratios of turns.
    """
    if not all(each.met_minima or each.capped for each in running):
        return False
    if any(each.capped for each in running):
        return True
    turns = [each.turn_medians_ns for each in running]
    both = min(len(medians) for medians in turns)
    if both < MIN_TURNS:
        return False
    ratios = log_ratios(turns[0][:both], turns[1][:both])
    return t_half_width(float(ratios.std(ddof=1)), both, 0.95) <= width
