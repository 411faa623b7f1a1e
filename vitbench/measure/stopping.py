"""When a block has been timed for long enough."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from vitbench.measure.plan import Pace, fitting_iterations
from vitbench.stats.blocks import MIN_BATCHES, BlockInterval, block_interval

LOOK_BATCHES = 5


@dataclass(frozen=True)
class Look:
    """What the stopping rule saw.

    Attributes:
        stop: why the block ends here, None to go on.
        batch: iterations a batch from here on.
        interval: of the block's median, None between looks.
    """

    stop: Literal["width", "cap"] | None
    batch: int
    interval: BlockInterval | None


def look(total_ns: Sequence[int], elapsed_s: float, batch: int, ci_width: float, pace: Pace) -> Look:
    """Judge the timed part so far.

    The interval is looked at from ten batches on, every five, and once more at a cap. It ends the block when
    its half-width is within `ci_width` and the minima are met; a cap ends it regardless of both.

    Args:
        total_ns: timed iterations so far, at least one.
        elapsed_s: the time they took, on the device's clock.
        batch: iterations a batch, as the last look left it.
        ci_width: half-width asked for, as a fraction of the median.
        pace: what the timed part follows.
    """
    n = len(total_ns)
    capped = at_cap(n, elapsed_s, pace)
    due = n >= MIN_BATCHES * batch and n % (LOOK_BATCHES * batch) == 0
    if not (capped or due):
        return Look(None, batch, None)
    interval = block_interval(total_ns, batch)
    narrow = interval.half_width is not None and interval.half_width <= ci_width
    enough = n >= pace.min_iterations and elapsed_s >= pace.min_s
    if narrow and enough and interval.batches >= MIN_BATCHES:
        return Look("width", interval.batch, interval)
    return Look("cap" if capped else None, interval.batch, interval)


def at_cap(done: int, elapsed_s: float, pace: Pace) -> bool:
    """Whether so many timed iterations, or the time they took, reach a cap."""
    return done >= pace.max_iterations or elapsed_s >= pace.cap_s


def next_request(done: int, elapsed_s: float, iteration_s: float, batch: int, pace: Pace) -> int:
    """How many iterations to ask for next: up to the next look, but at most five windows, and to the caps.

    Args:
        done: timed iterations so far.
        elapsed_s: the time they took, on the device's clock.
        iteration_s: what one is expected to take.
        batch: iterations a batch.
        pace: what the timed part follows.
    """
    stride = LOOK_BATCHES * batch
    wanted = min(stride - done % stride, LOOK_BATCHES * pace.window, pace.max_iterations - done)
    return fitting_iterations(pace, wanted, elapsed_s, iteration_s)
