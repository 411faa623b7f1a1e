"""The search for a batch."""

from __future__ import annotations

import pytest

from vitbench.measure.batches import auto_batches, next_batch


def saturating(batch: int) -> float:
    """Images per second that grow towards 1000: by 3.1 % from 16 to 32, by 1.5 % from 32 to 64."""
    return 1000 * batch / (batch + 1)


def test_it_doubles_until_growth_ends_and_takes_the_smaller() -> None:
    asked: list[int] = []

    def measure(batch: int) -> float:
        asked.append(batch)
        return saturating(batch)

    found = auto_batches(measure, max_batch=1024)
    assert asked == [1, 2, 4, 8, 16, 32, 64]
    assert found.chosen == 32
    assert found.tried == tuple((batch, saturating(batch)) for batch in asked)


def test_exactly_three_per_cent_is_growth() -> None:
    rates = {1: 100.0, 2: 103.0, 4: 106.0}
    assert auto_batches(rates.__getitem__, max_batch=8).chosen == 2


@pytest.mark.parametrize(("limit", "chosen"), [(1, 1), (2, 2), (3, 2), (100, 64)])
def test_memory_bounds_it(limit: int, chosen: int) -> None:
    assert auto_batches(lambda batch: float(batch), max_batch=limit).chosen == chosen


def test_throughput_that_falls_ends_it_at_once() -> None:
    found = auto_batches(lambda batch: 100.0 / batch, max_batch=64)
    assert found.chosen == 1
    assert [batch for batch, _ in found.tried] == [1, 2]


def test_no_room_for_one() -> None:
    assert next_batch([], max_batch=0) is None
    with pytest.raises(ValueError, match="max_batch"):
        auto_batches(saturating, max_batch=0)
