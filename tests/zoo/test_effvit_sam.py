"""SAM's image encoders."""

import pytest
import torch
from torch import nn

from tests.support.models import on_meta
from tests.support.references import checkpoint_entries
from vitbench.zoo.attention import ReluAttention
from vitbench.zoo.weights import load_reference_state_dict


@pytest.mark.parametrize(("name", "scales"), [("sam-l0", 5), ("sam-xl0", 3)])
def test_epsilons_and_scales(name: str, scales: int) -> None:
    parts = list(on_meta(name).modules())
    norms = [part for part in parts if isinstance(part, (nn.BatchNorm2d, nn.LayerNorm))]
    assert {part.eps for part in norms} == {1e-6}
    attentions = [part for part in parts if isinstance(part, ReluAttention)]
    assert {part.aggreg[0][0].kernel_size for part in attentions} == {(scales, scales)}


@pytest.mark.parametrize(
    ("name", "side", "sizes"),
    [
        ("sam-l2", 512, [(16, 16), (32, 32), (64, 64)]),
        ("sam-xl1", 1024, [(16, 16), (32, 32), (64, 64)]),
        ("sam-l0", 1024, [(32, 32), (64, 64), (128, 128)]),
    ],
)
def test_the_embedding_is_64x64_at_any_resolution(name: str, side: int, sizes: list[tuple[int, int]]) -> None:
    module = on_meta(name, side)
    assert [chain.op_list[1].size for chain in module.neck.input_ops] == sizes
    assert module(torch.empty((1, 3, side, side), device="meta")).shape == (1, 256, 64, 64)
    assert module.output_names == ("image_embedding",)


def test_the_whole_checkpoint_loads_and_the_rest_of_it_is_passed_over() -> None:
    module = on_meta("sam-l0").to_empty(device="cpu")
    entries = checkpoint_entries("sam_l0")
    weights = {key: torch.full(shape, 0.5) for key, (shape, _) in entries.items()}
    assert any(key.startswith("mask_decoder.") for key in weights)
    load_reference_state_dict(module, weights)
    assert all((tensor == 0.5).all() for tensor in module.parameters())
