"""Grids of tokens: which sizes a study goes through."""

from __future__ import annotations

import math
from collections.abc import Iterable

from vitbench.catalog import parse_resolution
from vitbench.errors import UsageError

Grid = tuple[int, int]

# Maps of strides 32, 16 and 8 at 224 x 224 (7, 14, 28), of stride 16 at 320 x 320 (20) and of stride 32 at
# 1024 x 2048. More tokens make softmax attention take seconds: those are for a full study.
DEFAULT_GRIDS: tuple[Grid, ...] = ((7, 7), (14, 14), (20, 20), (28, 28), (32, 64))
QUICK_GRIDS: tuple[Grid, ...] = ((7, 7), (14, 14), (28, 28))
FULL_GRIDS: tuple[Grid, ...] = (
    (7, 7),
    (10, 10),
    (14, 14),
    (20, 20),
    (28, 28),
    (32, 32),
    (32, 64),
    (64, 64),
    (64, 128),
)
_HINT = "write grids as HxW, or a square number of tokens: 7x7,14x14,196"


def parse_grids(texts: Iterable[str]) -> tuple[Grid, ...]:
    """Read texts such as `7x7,14x14,196` as grids (rows, columns), each once, with ever more tokens.

    A bare number is one of tokens on a square grid: 196 is 14x14.

    Raises:
        UsageError: not grids, none, or a number of tokens that is no square.
    """
    grids = [parse_grid(part) for text in texts for part in text.split(",") if part.strip()]
    if not grids:
        raise UsageError("no tokens are given", _HINT)
    return tuple(sorted(set(grids), key=lambda grid: (token_count(grid), grid)))


def parse_grid(text: str) -> Grid:
    """Read `32x64`, or the number of tokens of a square grid, as (rows, columns).

    Raises:
        UsageError: neither.
    """
    try:
        rows, columns = parse_resolution(text)
    except UsageError:
        raise UsageError(f"'{text.strip()}' is no grid of tokens", _HINT) from None
    if "x" in text.lower():
        return rows, columns
    side = math.isqrt(rows)
    if side * side != rows:
        raise UsageError(f"{rows} tokens do not form a grid", "write the grid as HxW, for example 14x14")
    return side, side


def token_count(grid: Grid) -> int:
    """Tokens of a grid."""
    return grid[0] * grid[1]
