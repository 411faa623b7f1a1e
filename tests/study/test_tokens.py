"""Grids of tokens from text."""

import pytest

from vitbench.errors import UsageError
from vitbench.study.tokens import (
    DEFAULT_GRIDS,
    FULL_GRIDS,
    QUICK_GRIDS,
    parse_grid,
    parse_grids,
    token_count,
)
from vitbench.zoo.window_attention import window_of


@pytest.mark.parametrize(
    ("text", "grids"),
    [
        ("7x7,14x14,196", ((7, 7), (14, 14))),
        ("64x32, 49", ((7, 7), (64, 32))),
        ("1", ((1, 1),)),
        ("32X64,64x32,2x1024", ((2, 1024), (32, 64), (64, 32))),
        ("784,49,", ((7, 7), (28, 28))),
    ],
)
def test_grids_are_read_in_order_and_once(text: str, grids: tuple[tuple[int, int], ...]) -> None:
    assert parse_grids([text]) == grids


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("197", "197 tokens do not form a grid", "HxW"),
        ("7x7,50", "50 tokens do not form a grid", "HxW"),
        ("", "no tokens are given", "7x7,14x14,196"),
        (" , ", "no tokens are given", "7x7,14x14,196"),
        ("many", "'many' is no grid of tokens", "7x7,14x14,196"),
        ("7x7x7", "'7x7x7' is no grid of tokens", "7x7,14x14,196"),
        ("0x7", "'0x7' is no grid of tokens", "7x7,14x14,196"),
        ("-49", "'-49' is no grid of tokens", "7x7,14x14,196"),
    ],
)
def test_what_is_no_grid_is_refused(text: str, message: str, hint: str) -> None:
    with pytest.raises(UsageError, match=message) as caught:
        parse_grids([text])
    assert hint in (caught.value.hint or "")


def test_one_grid() -> None:
    assert parse_grids(["14x14", "7x7,196"]) == ((7, 7), (14, 14))
    assert parse_grid(" 14x7 ") == (14, 7)
    assert parse_grid("1024") == (32, 32)


def test_the_offered_grids_grow_and_every_kind_can_divide_them() -> None:
    for grids in (QUICK_GRIDS, DEFAULT_GRIDS, FULL_GRIDS):
        counts = [token_count(grid) for grid in grids]
        assert counts == sorted(set(counts))
        assert all(window_of(grid) for grid in grids)
    assert set(QUICK_GRIDS) <= set(DEFAULT_GRIDS) <= set(FULL_GRIDS)
    assert (len(QUICK_GRIDS), len(DEFAULT_GRIDS)) == (3, 5)
