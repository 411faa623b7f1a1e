"""Two attention blocks of equal MACs: the smaller one is widened until it computes as much."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from vitbench.catalog import ModelSpec, resolve_model
from vitbench.errors import UsageError

# The family whose variants are HEADSxDIM.
FAMILY = "attention"
TOLERANCE = 0.02


@dataclass(frozen=True)
class Match:
    """Two blocks on the same grid, one of them widened, and the MACs of each."""

    first: ModelSpec
    second: ModelSpec
    first_macs: int
    second_macs: int

    @property
    def ratio(self) -> float:
        """MACs of the second over those of the first."""
        return self.second_macs / self.first_macs

    @property
    def off(self) -> bool:
        """Whether one has over 2 % more MACs than the other: no whole dimension brings them closer."""
        return max(self.ratio, 1 / self.ratio) > 1 + TOLERANCE


def match_macs(first: ModelSpec, second: ModelSpec) -> Match:
    """Widen the heads of whichever block has fewer MACs until they are as near as can be to the other's.

    The number of heads stays, their dimension grows in steps of 1. MACs are those of the reference
    architecture; they grow with the dimension, so the nearest is found by bisection.

    Args:
        first, second: blocks of the family `attention` at one resolution.

    Raises:
        UsageError: another model, two resolutions, or a kind that cannot divide the grid.
    """
    for spec in (first, second):
        if spec.family != FAMILY:
            raise UsageError(
                f"{spec.name} is no attention block, so it cannot be widened",
                f"name blocks as {FAMILY}-HEADSxDIM+kind",
            )
    if first.resolution != second.resolution:
        raise UsageError(
            f"{first.name} and {second.name} are on different grids of tokens", "give both the same one"
        )
    first_macs, second_macs = macs_of(first), macs_of(second)
    if first_macs < second_macs:
        first = widened(first, second_macs)
    elif second_macs < first_macs:
        second = widened(second, first_macs)
    return Match(first, second, macs_of(first), macs_of(second))


def widened(spec: ModelSpec, macs: int) -> ModelSpec:
    """A block with the head dimension, no smaller than its own, whose MACs are nearest to these.

    Of two that are equally near it is the narrower one.
    """
    below, above = spec.hyper["dim"], 2 * spec.hyper["dim"]
    while macs_of(with_dim(spec, above)) < macs:
        below, above = above, 2 * above
    while above - below > 1:
        middle = (below + above) // 2
        below, above = (middle, above) if macs_of(with_dim(spec, middle)) < macs else (below, middle)
    narrower, wider = with_dim(spec, below), with_dim(spec, above)
    return min(narrower, wider, key=lambda each: abs(macs_of(each) - macs))


def with_dim(spec: ModelSpec, dim: int) -> ModelSpec:
    """A block with heads of another dimension."""
    name = f"{FAMILY}-{spec.hyper['heads']}x{dim}+{spec.attention}@{spec.form}"
    return resolve_model(name, resolution=spec.resolution)


def macs_of(spec: ModelSpec) -> int:
    """MACs of a block's reference architecture."""
    return _counted(f"{FAMILY}-{spec.variant}+{spec.attention}", spec.resolution)


@lru_cache(maxsize=4096)
def _counted(name: str, resolution: tuple[int, int]) -> int:
    from vitbench.counting import count_macs

    return count_macs(resolve_model(name, resolution=resolution))
