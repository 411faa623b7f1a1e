"""Restormer: what the original's fixtures do not see."""

from typing import Any

import pytest
import torch
from torch import nn

from tests.support.restorers import SHORTER, images, seeded, spec_of
from vitbench import zoo
from vitbench.errors import UsageError
from vitbench.zoo.restormer import TransposedAttention

SIZE = (16, 24)
NAME = "restormer"


def attention(formulation: str = "products") -> TransposedAttention:
    torch.manual_seed(0)
    part = TransposedAttention(12, 3).eval().requires_grad_(False)
    part.temperature.copy_(torch.tensor([0.5, 1.0, 4.0])[:, None, None])
    part.formulation = formulation
    return part


def test_constants() -> None:
    with torch.device("meta"):
        parts = list(zoo.create(spec_of(NAME, SIZE)).modules())
    assert {part.eps for part in parts if isinstance(part, nn.LayerNorm)} == {1e-5}
    assert {part.eps for part in parts if isinstance(part, TransposedAttention)} == {1e-12}
    assert not [part for part in parts if isinstance(part, nn.Conv2d) and part.bias is not None]


@pytest.mark.parametrize("formulation", TransposedAttention.formulations)
def test_attention_ignores_the_length_of_queries_and_keys_but_not_of_values(formulation: str) -> None:
    part = attention(formulation)
    query, key, value = torch.randn(3, 1, 3, 4, 30)
    out = part.attend(query, key, value)
    assert torch.allclose(part.attend(7 * query, 0.1 * key, value), out, atol=1e-5)
    assert torch.allclose(part.attend(query, key, 7 * value), 7 * out, atol=1e-5)
    cosines = torch.cosine_similarity(query[:, :, :, None], key[:, :, None], dim=-1)
    expected = (cosines * part.temperature).softmax(dim=-1) @ value
    assert torch.allclose(out, expected, atol=1e-5)


@pytest.mark.parametrize("formulation", TransposedAttention.formulations)
def test_channels_of_zeros_give_the_mean_of_the_values(formulation: str) -> None:
    part = attention(formulation)
    zeros, value = torch.zeros(1, 3, 4, 30), torch.randn(1, 3, 4, 30)
    mean = value.mean(dim=2, keepdim=True).expand_as(value)
    assert torch.allclose(part.attend(zeros, zeros, value), mean, atol=1e-6)


def test_half_precision_is_left_for_sums_over_all_pixels() -> None:
    part = attention().half()
    seen = []
    part.attend = lambda query, key, value: seen.append(query.dtype) or value
    assert part(torch.randn(1, 12, 4, 4).half()).dtype == torch.float16
    assert seen == [torch.float32]


def test_the_input_is_added_to_the_output() -> None:
    module = seeded(spec_of(NAME, SIZE, **SHORTER[NAME]))
    module.output.weight.zero_()
    x = images(SIZE)
    with torch.inference_mode():
        assert torch.equal(module(x), x)


def test_hidden_channels_are_rounded_down() -> None:
    with torch.device("meta"):
        module = zoo.create(spec_of(NAME, SIZE))
    assert [module.encoder_level1[0].ffn.hidden, module.latent[0].ffn.hidden] == [127, 1021]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"heads": [1, 2, 5, 8]}, "5 heads do not divide the 192 channels of level 3"),
        ({"heads": [1, 2, 4]}, "heads"),
        ({"depth": [1, 1, 1, 1, 1]}, "depth"),
        ({"channels": 47}, "channels"),
        ({"expand": 0.5}, "expand"),
        ({"window": 8}, "window"),
    ],
)
def test_bad_hyper_parameters_are_refused(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError, match=words), torch.device("meta"):
        zoo.create(spec_of(NAME, SIZE, **changes))


def test_other_attention_is_refused() -> None:
    with pytest.raises(UsageError, match="asks for the attention relu"), torch.device("meta"):
        zoo.create(spec_of(NAME, SIZE).model_copy(update={"attention": "relu"}))
