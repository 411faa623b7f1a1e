"""SwinIR: what the original's fixtures do not see."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tests.support.models import relative_difference
from tests.support.restorers import SHORTER, images, seeded, spec_of
from vitbench import zoo
from vitbench.errors import UsageError
from vitbench.zoo.deploy import to_deploy
from vitbench.zoo.swinir import offset_index, shift_mask
from vitbench.zoo.weights import load_reference_state_dict

NAME = "swinir-light-x2"
SIZE = (24, 32)


def network(size: tuple[int, int], **changes: Any) -> nn.Module:
    return seeded(spec_of(NAME, size, **{**SHORTER[NAME], **changes}))


def test_constants() -> None:
    module = network(SIZE)
    assert {part.eps for part in module.modules() if isinstance(part, nn.LayerNorm)} == {1e-5}
    assert module.mean.flatten().tolist() == pytest.approx([0.4488, 0.4371, 0.4040])


def test_every_second_block_is_shifted_by_half_a_window() -> None:
    module = network(SIZE, depth=[4, 3])
    shifts = [[block.shift for block in group.residual_group.blocks] for group in module.layers]
    assert shifts == [[0, 4, 0, 4], [0, 4, 0]]


def test_pixels_share_an_entry_of_the_table_when_they_are_as_far_apart() -> None:
    index = offset_index(4)
    pixels = [(row, column) for row in range(4) for column in range(4)]
    for i, (row, column) in enumerate(pixels):
        for j, (other_row, other_column) in enumerate(pixels):
            assert index[i, j] == (row - other_row + 3) * 7 + column - other_column + 3


def test_the_mask_keeps_apart_what_the_shift_brings_together() -> None:
    side, size = 4, (8, 12)
    mask = shift_mask(size, side)
    assert mask.shape == (6, 1, 16, 16)
    places = torch.stack(torch.meshgrid(*map(torch.arange, size), indexing="ij"), dim=-1)
    shifted = torch.roll(places, (-2, -2), dims=(0, 1))
    for window in range(6):
        top, left = side * (window // 3), side * (window % 3)
        pixels = shifted[top : top + side, left : left + side].reshape(-1, 2)
        near = (pixels[:, None] - pixels[None]).abs().amax(dim=-1) < side
        assert torch.equal(mask[window, 0] == 0, near)
        assert torch.equal(mask[window, 0] == -100, ~near)


def test_blocks_share_the_memory_of_one_mask_also_in_the_inference_form() -> None:
    for module in (network(SIZE, depth=[4, 4]), to_deploy(network(SIZE, depth=[4, 4]))):
        masks = [tensor for key, tensor in module.named_buffers() if key.endswith("_mask")]
        masks += [part.attn_mask for part in module.modules() if getattr(part, "attn_mask", None) is not None]
        assert len({mask.untyped_storage().data_ptr() for mask in masks}) == 1


@pytest.mark.parametrize("size", [(17, 30), (24, 29), (21, 32)])
def test_a_map_that_windows_do_not_fill_is_continued_by_its_mirror_image(size: tuple[int, int]) -> None:
    module, filled = network(size), network(SIZE)
    x = images(size)
    continued = F.pad(x, (0, SIZE[1] - size[1], 0, SIZE[0] - size[0]), mode="reflect")
    with torch.inference_mode():
        output, whole = module(x), filled(continued)
    assert output.shape == (1, 3, 2 * size[0], 2 * size[1])
    assert relative_difference(output, whole[:, :, : 2 * size[0], : 2 * size[1]]) < 1e-6


@pytest.mark.parametrize("size", [(5, 8), (8, 8), (13, 5)])
def test_the_smallest_sizes_work(size: tuple[int, int]) -> None:
    with torch.inference_mode():
        assert network(size)(images(size)).isfinite().all()


@pytest.mark.parametrize("size", [(4, 8), (8, 3), (1, 1)])
def test_a_size_without_a_mirror_image_is_refused(size: tuple[int, int]) -> None:
    with pytest.raises(UsageError, match=f"cannot be built for {size[0]}x{size[1]}"):
        network(size)


def test_a_checkpoint_of_another_size_is_taken_but_for_its_masks() -> None:
    source, target = network((64, 64)), network(SIZE)
    state: dict[str, Tensor] = {key: tensor.clone() for key, tensor in source.state_dict().items()}
    for key, tensor in state.items():
        if tensor.is_floating_point() and not key.endswith("attn_mask"):
            tensor.mul_(0.9)
    load_reference_state_dict(target, state)
    for key, tensor in target.state_dict().items():
        own = key.endswith("attn_mask")
        assert torch.equal(tensor, shift_mask(SIZE, 8)[:, 0] if own else state[key])
    kept = {key: tensor for key, tensor in state.items() if not key.endswith("attn_mask")}
    load_reference_state_dict(target, kept)


def test_building_on_the_meta_device_keeps_what_the_size_decides() -> None:
    with torch.device("meta"):
        module = zoo.create(spec_of(NAME, SIZE))
    block = module.layers[0].residual_group.blocks[1]
    assert module.conv_first.weight.is_meta
    assert torch.equal(block.attn_mask, shift_mask(SIZE, 8)[:, 0])
    assert torch.equal(block.attn.relative_position_index, offset_index(8))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"heads": 7}, "7 heads do not divide the 60 channels"),
        ({"window": 7}, "window"),
        ({"depth": []}, "depth"),
        ({"scale": 1}, "scale"),
        ({"expand": 2.5}, "expand"),
        ({"shift": 4}, "shift"),
    ],
)
def test_bad_hyper_parameters_are_refused(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        zoo.create(spec_of(NAME, SIZE, **changes))


def test_other_attention_and_other_tasks_are_refused() -> None:
    with pytest.raises(UsageError, match="asks for the attention relu"):
        zoo.create(spec_of(NAME, SIZE).model_copy(update={"attention": "relu"}))
    with pytest.raises(UsageError, match="cls"):
        zoo.create(spec_of(NAME, SIZE).model_copy(update={"task": "cls"}))
