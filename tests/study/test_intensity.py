"""MACs for each byte."""

import pytest

from vitbench import catalog
from vitbench.counting import count_model
from vitbench.study.intensity import intensity


def test_it_is_macs_over_bytes_of_what_runs() -> None:
    counts = count_model(catalog.resolve_model("attention-8x16:14x14"))
    by_hand = counts.macs_artifact / (counts.bytes_read + counts.bytes_written)
    assert intensity(counts) == pytest.approx(by_hand)
    assert 3 < intensity(counts) < 4


def test_wider_heads_compute_more_for_each_byte() -> None:
    narrow, wide = (count_model(catalog.resolve_model(f"attention-8x{dim}:14x14")) for dim in (16, 64))
    assert intensity(wide) > 2 * intensity(narrow)


def test_nothing_moved_is_no_intensity() -> None:
    class Nothing:
        macs_artifact = bytes_read = bytes_written = 0

    assert intensity(Nothing()) == 0
