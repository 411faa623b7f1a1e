"""Blocks widened to equal MACs."""

import time
from itertools import pairwise

import pytest

from vitbench import catalog
from vitbench.catalog import ModelSpec
from vitbench.counting import count_model
from vitbench.errors import UsageError
from vitbench.study.matching import macs_of, match_macs, widened, with_dim

KINDS = ("relu", "softmax", "relu-single", "sra-softmax", "window-softmax", "cga")


def block(kind: str, grid: str = "14x14", width: str = "8x16") -> ModelSpec:
    return catalog.resolve_model(f"attention-{width}+{kind}:{grid}")


@pytest.mark.parametrize(
    ("grid", "first", "second"),
    [
        ("14x14", "softmax", "relu"),
        ("32x64", "softmax", "relu"),
        ("64x128", "softmax", "relu"),
        ("7x7", "softmax", "cga"),
        ("28x28", "softmax", "cga"),
        ("14x14", "sra-softmax", "relu"),
    ],
)
def test_typical_rows_are_within_two_per_cent_either_way_round(grid: str, first: str, second: str) -> None:
    match = match_macs(block(first, grid), block(second, grid))
    assert abs(match.ratio - 1) <= 0.02
    assert not match.off
    swapped = match_macs(block(second, grid), block(first, grid))
    assert (swapped.first, swapped.second) == (match.second, match.first)
    assert swapped.ratio == pytest.approx(1 / match.ratio)


def test_only_the_smaller_side_is_widened_and_keeps_its_heads() -> None:
    softmax, relu = block("softmax"), block("relu")
    assert macs_of(relu) < macs_of(softmax)
    match = match_macs(softmax, relu)
    assert match.first == softmax
    assert match.second.name == "attention-8x22"
    assert match.second.hyper["heads"] == 8
    assert match.second.channels == 8 * 22
    assert match.second.resolution == (14, 14)


@pytest.mark.parametrize("kind", KINDS)
def test_macs_are_the_counters_and_grow_with_the_dimension(kind: str) -> None:
    spec = block(kind, "7x7", "4x8")
    assert macs_of(spec) == count_model(spec).macs
    counts = [macs_of(with_dim(spec, dim)) for dim in (1, 2, 3, 7, 8, 9, 48, 49, 50, 51)]
    assert all(one < other for one, other in pairwise(counts))


@pytest.mark.parametrize("kind", ["relu", "cga"])
def test_no_other_dimension_is_nearer(kind: str) -> None:
    macs = macs_of(block("softmax"))
    chosen = widened(block(kind), macs)
    dim = chosen.hyper["dim"]
    distances = {near: abs(macs_of(with_dim(chosen, near)) - macs) for near in (dim - 1, dim, dim + 1)}
    assert distances[dim] == min(distances.values())


def test_equal_blocks_stay_as_they_are() -> None:
    match = match_macs(block("relu"), block("relu"))
    assert match.first == match.second == block("relu")
    assert (match.ratio, match.off) == (1, False)


def test_steps_that_are_too_coarse_are_marked() -> None:
    match = match_macs(block("softmax", width="8x2"), block("relu-single", width="8x2"))
    assert match.off
    assert abs(match.ratio - 1) > 0.02


def test_the_form_stays() -> None:
    match = match_macs(block("softmax@train"), block("relu@train"))
    assert {match.first.form, match.second.form} == {"train"}


def test_what_cannot_be_matched_is_refused() -> None:
    with pytest.raises(UsageError, match="effvit-b0 is no attention block") as caught:
        match_macs(catalog.resolve_model("effvit-b0"), block("relu"))
    assert "attention-HEADSxDIM" in (caught.value.hint or "")
    with pytest.raises(UsageError, match="different grids"):
        match_macs(block("softmax", "7x7"), block("relu", "14x14"))
    with pytest.raises(UsageError, match="map of 13x14"):
        match_macs(block("window-softmax", "13x14"), block("relu", "13x14"))


def test_a_row_takes_less_than_a_second() -> None:
    macs_of(block("relu", "10x10"))  # the first count imports torch
    begun = time.process_time()
    match_macs(block("softmax", "20x20"), block("cga", "20x20"))
    assert time.process_time() - begun < 1
