"""The search for a batch."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from vitbench.measure import next_batch


def search(rate: Callable[[int], float], *, max_batch: int) -> list[int]:
    """Every batch that is tried when images per second follow `rate`."""
    tried: list[tuple[int, float]] = []
    while (batch := next_batch(tried, max_batch=max_batch)) is not None:
        tried.append((batch, rate(batch)))
    return [batch for batch, _ in tried]


def test_it_doubles_until_growth_ends() -> None:
    # Grows by 3.1 % from 16 to 32, by 1.5 % from 32 to 64.
    assert search(lambda batch: 1000 * batch / (batch + 1), max_batch=1024) == [1, 2, 4, 8, 16, 32, 64]


def test_exactly_three_per_cent_is_growth() -> None:
    assert search({1: 100.0, 2: 103.0, 4: 106.0}.__getitem__, max_batch=8) == [1, 2, 4]


@pytest.mark.parametrize(("limit", "last"), [(1, 1), (2, 2), (3, 2), (100, 64)])
def test_memory_bounds_it(limit: int, last: int) -> None:
    assert search(float, max_batch=limit)[-1] == last


def test_throughput_that_falls_ends_it_at_once() -> None:
    assert search(lambda batch: 100.0 / batch, max_batch=64) == [1, 2]


def test_no_room_for_one() -> None:
    assert search(float, max_batch=0) == []
