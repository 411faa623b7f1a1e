"""What the blocks of a cell are worth together. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from vitbench.measure.estimates import estimate
from vitbench.measure.plan import is_slow
from vitbench.records.schema import Block, Estimate, Plan, Status

NS_PER_MS = 1e6


@dataclass(frozen=True)
class CellResult:
    """Blocks in the order they ran, invalid ones among them, and what the valid ones are worth.

    Attributes:
        estimate: None where no block could be used.
        status: of the measurement alone: parity is judged elsewhere.
        reasons: what stands behind the status, and what else a reader should know.
        clock_max_mhz: highest clock seen, to hand to the next cell of the same device.
    """

    blocks: tuple[Block, ...]
    estimate: Estimate | None
    status: Status
    reasons: tuple[str, ...]
    clock_max_mhz: float | None = None


def conclude(
    blocks: Sequence[Block],
    plan: Plan,
    *,
    metric: str = "latency",
    batch: int = 1,
    overlap: bool = False,
    lost: int = 0,
    notes: Sequence[str] = (),
    clock_max_mhz: float | None = None,
) -> CellResult:
    """Judge whatever blocks there are; also what an interrupted run left behind.

    `inconclusive`: a block of the plan is missing, the preset is `quick`, or the iterations are slow (over
    0.15 s) and fewer than 80 % of the blocks reached the width asked for; fast blocks that did not are told
    among the reasons. `unsteady`: fewer than 80 % of the blocks warmed up to a steady state. Otherwise
    `valid`, provided parity.

    Args:
        blocks: valid and invalid ones.
        plan: what was asked for.
        metric: `latency` or `throughput`.
        batch: images a sample.
        overlap: whether samples are rounds of requests that overlap.
        lost: blocks that were lost with their link and left nothing.
        notes: reasons gathered on the way; they decide nothing.
        clock_max_mhz: passed through.
    """
    used = [block for block in blocks if block.invalid is None]
    too_wide, slow = _too_wide(used, plan)
    against = [*_incomplete(used, plan), *(too_wide if slow else [])]
    unsteady = _unsteady(used)
    status: Status = "inconclusive" if against else "unsteady" if unsteady else "valid"
    return CellResult(
        blocks=tuple(blocks),
        estimate=estimate(blocks, metric=metric, batch=batch, overlap=overlap, lost=lost),
        status=status,
        reasons=(*against, *unsteady, *([] if slow else too_wide), *notes),
        clock_max_mhz=clock_max_mhz,
    )


def _incomplete(used: Sequence[Block], plan: Plan) -> list[str]:
    reasons = []
    if not used:
        reasons.append("every block was disturbed, so the figures are of disturbed blocks")
    elif len(used) < plan.blocks:
        reasons.append(f"only {len(used)} of {plan.blocks} blocks could be used")
    if plan.preset == "quick":
        reasons.append("a quick run is never valid")
    return reasons


def _too_wide(used: Sequence[Block], plan: Plan) -> tuple[list[str], bool]:
    """Whether too few blocks reached the width asked for, in words, and whether those iterations are slow."""
    used = [block for block in used if block.told is None]
    wide = [block for block in used if block.ci_half_width is None or block.ci_half_width > plan.ci_width]
    if _most(len(used) - len(wide), len(used)):
        return [], False
    widths = [block.ci_half_width for block in wide if block.ci_half_width is not None]
    reached = f"within {max(widths):.2%}" if len(widths) == len(wide) else "without an interval"
    reason = f"{len(wide)} of {len(used)} blocks ended at a cap {reached}, not within {plan.ci_width:.2%}"
    return [reason], any(is_slow(plan, block.median_ms * NS_PER_MS) for block in wide)


def _unsteady(used: Sequence[Block]) -> list[str]:
    seen = [block for block in used if block.steady is not None]
    steady = sum(bool(block.steady) for block in seen)
    if _most(steady, len(seen)):
        return []
    return [f"only {steady} of {len(seen)} blocks warmed up to a steady state"]


def _most(part: int, whole: int) -> bool:
    """Whether the part is at least 80 % of the whole."""
    return 5 * part >= 4 * whole
