"""Find the batch beyond which throughput hardly grows."""

from __future__ import annotations

from collections.abc import Sequence

MIN_GROWTH = 0.03


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
