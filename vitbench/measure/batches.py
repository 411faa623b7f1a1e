"""Find the batch beyond which throughput hardly grows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

MIN_GROWTH = 0.03


@dataclass(frozen=True)
class BatchSearch:
    """What a search for a batch tried, in order: (batch, images per second), and which it chose."""

    chosen: int
    tried: tuple[tuple[int, float], ...]


def next_batch(tried: Sequence[tuple[int, float]], *, max_batch: int) -> int | None:
    """The batch to try next: 1, then twice the last while the last doubling gained 3 % in images per second.

    Args:
        tried: (batch, images per second), in the order they were tried.
        max_batch: largest batch that fits in memory.

    Returns:
        None when the search has ended.
    """
    if not tried:
        return 1 if max_batch >= 1 else None
    if len(tried) > 1 and tried[-1][1] < tried[-2][1] * (1 + MIN_GROWTH):
        return None
    doubled = 2 * tried[-1][0]
    return doubled if doubled <= max_batch else None


def auto_batches(measure: Callable[[int], float], *, max_batch: int) -> BatchSearch:
    """Double the batch from 1 until images per second grow by less than 3 %, or the limit is reached.

    The batch chosen is the last that was worth doubling to: the smaller of the two when growth ends.

    Args:
        measure: images per second at a batch; called once for each batch tried.
        max_batch: largest batch that fits in memory, at least 1.

    Raises:
        ValueError: a limit below 1.
    """
    if max_batch < 1:
        raise ValueError("max_batch must be at least 1")
    tried: list[tuple[int, float]] = []
    while (batch := next_batch(tried, max_batch=max_batch)) is not None:
        tried.append((batch, measure(batch)))
    grew = len(tried) == 1 or tried[-1][1] >= tried[-2][1] * (1 + MIN_GROWTH)
    return BatchSearch(tried[-1 if grew else -2][0], tuple(tried))
