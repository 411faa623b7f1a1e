"""Inputs that are made up, the same on every machine: what an artifact is compared and timed on.

Item `index` of an input is drawn from the seed, the index and the input's position alone. A batch packs
several items into an input.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from vitbench.catalog.specs import Values

SEED = 0
SEEDED_IMAGES = 16
FEWEST_IMAGES = 2
MAC_BUDGET = 160_000_000_000
BOX_IMAGE = 1024
SMALLEST_BOX = 16

Array = NDArray[Any]


class Described(Protocol):
    """The part of a description that values are made from; the shape has the batch first."""

    @property
    def name(self) -> str: ...
    @property
    def dtype(self) -> str: ...
    @property
    def shape(self) -> tuple[int, ...]: ...
    @property
    def values(self) -> Values: ...


def image(shape: tuple[int, ...], seed: int, index: int) -> NDArray[np.float32]:
    """Image `index` of a seed: standard normal, float32, of shape (channels, height, width)."""
    return _drawn("normal", shape, [seed, index])


def seeded_images(macs: int) -> int:
    """How many seeded images an artifact is compared on: 16, and fewer where they would take minutes.

    Sixteen inferences are made as long as they stay under 160 GMACs; a larger network gets as many as do,
    and never fewer than two. That departs from the method's 16 for everybody: a network of 1000 GMACs would
    be compared for longer than it is measured, and its outputs are large: two of them already have hundreds
    of thousands of values or more. How many there were is recorded.

    Args:
        macs: of the inference of one image.
    """
    return max(FEWEST_IMAGES, min(SEEDED_IMAGES, MAC_BUDGET // max(macs, 1)))


def run_count(images: int, batch: int) -> int:
    """How many inferences of `batch` images see so many images."""
    return math.ceil(images / batch)


def zero_inputs(inputs: Sequence[Described]) -> list[str]:
    """Names of the inputs that hold nothing but zeros."""
    return [each.name for each in inputs if each.values == "zeros"]


def made_inputs(
    inputs: Sequence[Described],
    runs: int,
    seed: int = SEED,
    special: Array | None = None,
    special_index: int | None = None,
) -> Iterator[dict[str, Array]]:
    """Make the inputs of `runs` inferences one after the other, by name.

    Floats are drawn as float32; integers, and zeros, have the type of the input.

    Args:
        special: item that takes the place `special_index` of the first input.
    """
    for run in range(runs):
        made = {}
        for position, each in enumerate(inputs):
            place = None if position or special is None or special_index is None else special_index
            made[each.name] = _batch(each, position, run, seed, special, place)
        yield made


def _batch(
    given: Described, position: int, run: int, seed: int, special: Array | None, place: int | None
) -> Array:
    """What stands in one input in one run."""
    if given.values == "zeros":
        return np.zeros(given.shape, given.dtype)
    suffix = [position] if position else []
    values = np.dtype(given.dtype) if given.values == "integers" else given.values
    if not given.shape:
        return _drawn(values, (), [seed, run, *suffix])
    batch, *shape = given.shape
    return np.stack(
        [
            special
            if special is not None and index == place
            else _drawn(values, tuple(shape), [seed, index, *suffix])
            for index in range(run * batch, (run + 1) * batch)
        ]
    )


def _drawn(values: Values | np.dtype[Any], shape: tuple[int, ...], words: list[int]) -> Array:
    """Numbers drawn from a generator that starts at these words; of an integer type, any of its range."""
    generator = np.random.RandomState(words)
    if isinstance(values, np.dtype):
        bounds = np.iinfo(values)
        return np.asarray(generator.randint(bounds.min, bounds.max + 1, shape), values)
    if values == "normal":
        # A shape of () gives a plain number.
        return np.asarray(generator.standard_normal(shape), np.float32)
    share = generator.uniform(size=(*shape[:-1], 2, 2))
    size = SMALLEST_BOX + share[..., 0, :] * (BOX_IMAGE - SMALLEST_BOX)
    corner = share[..., 1, :] * (BOX_IMAGE - size)
    return np.concatenate([corner, corner + size], axis=-1).astype(np.float32)
