"""Inputs that are made up: always the same, each item by itself."""

from typing import Any

import numpy as np
import pytest

from vitbench.catalog.specs import InputSpec
from vitbench.export.inputs import image, made_inputs, run_count, seeded_images

SHAPE = (3, 8, 8)


def of_batch(batch: int) -> list[InputSpec]:
    return [InputSpec(shape=(batch, *SHAPE))]


def test_images_are_seeded_each_by_itself() -> None:
    first = image(SHAPE, 0, 0)
    assert first.dtype == np.float32
    assert first.shape == SHAPE
    np.testing.assert_array_equal(first, image(SHAPE, 0, 0))
    others = [image(SHAPE, 0, 1), image(SHAPE, 1, 0)]
    assert not any(np.array_equal(first, other) for other in others)
    large = image((3, 224, 224), 0, 3)
    assert abs(float(large.mean())) < 0.02
    assert float(large.std()) == pytest.approx(1, abs=0.02)


def test_images_are_the_same_numbers_for_ever() -> None:
    """Records of different days are of the same inputs."""
    np.testing.assert_array_equal(
        image((3,), 0, 1), np.random.RandomState([0, 1]).standard_normal(3).astype(np.float32)
    )


def test_one_image_an_inference_and_the_built_one_last() -> None:
    built = np.full(SHAPE, 7, np.float32)
    made = [each["input"] for each in made_inputs(of_batch(1), run_count(17, 1), 0, built, 16)]
    assert len(made) == 17
    np.testing.assert_array_equal(made[16][0], built)
    np.testing.assert_array_equal(made[15][0], image(SHAPE, 0, 15))


@pytest.mark.parametrize(("batch", "runs"), [(2, 9), (8, 3), (16, 2), (17, 1), (32, 1)])
def test_a_batch_packs_every_image_once_and_is_filled_with_others(batch: int, runs: int) -> None:
    built = np.full(SHAPE, 7, np.float32)
    assert run_count(17, batch) == runs
    images = np.concatenate([made["input"] for made in made_inputs(of_batch(batch), runs, 0, built, 16)])
    assert len(images) == runs * batch
    for index in range(len(images)):
        np.testing.assert_array_equal(images[index], built if index == 16 else image(SHAPE, 0, index))


@pytest.mark.parametrize(
    ("gmacs", "images"), [(0, 16), (0.1, 16), (10, 16), (10.1, 15), (25, 6), (100, 2), (3000, 2)]
)
def test_large_networks_are_compared_on_fewer_images(gmacs: float, images: int) -> None:
    assert seeded_images(int(gmacs * 1e9)) == images


def test_several_inputs_are_drawn_apart() -> None:
    described = [
        InputSpec(name="first", shape=(2, 4, 3)),
        InputSpec(name="second", shape=(2, 4, 3)),
        InputSpec(name="box", shape=(2, 4), values="box"),
        InputSpec(name="mask", shape=(2, 1), dtype="int64", values="zeros"),
        InputSpec(name="scale", shape=()),
    ]
    runs = list(made_inputs(described, 2, 0))
    assert [list(made) for made in runs] == [["first", "second", "box", "mask", "scale"]] * 2
    for made in runs:
        assert not np.array_equal(made["first"], made["second"])
        assert [values.shape for values in made.values()] == [each.shape for each in described]
        assert (made["mask"].dtype, made["mask"].any()) == (np.int64, False)
    for name in ("first", "second", "box", "scale"):
        assert not np.array_equal(runs[0][name], runs[1][name])
    again = list(made_inputs(described, 2, 0))
    for name in runs[0]:
        np.testing.assert_array_equal(runs[1][name], again[1][name])


def test_a_box_has_two_corners_within_the_image() -> None:
    boxes = InputSpec(name="box", shape=(500, 1, 4), values="box")
    (made,) = made_inputs([boxes], 1)
    x0, y0, x1, y1 = np.moveaxis(made["box"], -1, 0)
    assert made["box"].dtype == np.float32
    assert made["box"].min() >= 0
    assert made["box"].max() <= 1024
    assert (x1 - x0).min() >= 15.9
    assert (y1 - y0).min() >= 15.9
    assert (x1 - x0).max() > 900
    assert x0.max() > 700


@pytest.mark.parametrize(("dtype", "least", "most"), [("uint8", 0, 255), ("int8", -128, 127)])
def test_integers_of_8_bits_are_drawn_from_all_of_them(dtype: str, least: int, most: int) -> None:
    pixels = InputSpec(name="pixels", shape=(2, 3, 32, 32), dtype=dtype, values="integers")
    first, second = (made["pixels"] for made in made_inputs([pixels], 2))
    assert (first.dtype, int(first.min()), int(first.max())) == (np.dtype(dtype), least, most)
    assert not np.array_equal(first[0], first[1])
    assert not np.array_equal(first, second)


@pytest.mark.parametrize("values", ["normal", "box", "integers"])
def test_integers_of_any_meaning_are_not_drawn(values: Any) -> None:
    with pytest.raises(ValueError, match=f"input 'ids' is int64, which is not made of '{values}'"):
        InputSpec(name="ids", shape=(1, 8), dtype="int64", values=values)


def test_floats_are_not_drawn_as_integers() -> None:
    with pytest.raises(ValueError, match="which is not made of 'integers'"):
        InputSpec(shape=(1, 8), values="integers")
