"""Inference form."""

import pytest
import torch
from torch import nn

from tests.support.models import images, on_meta, relative_difference, seeded
from vitbench import zoo
from vitbench.zoo.attention import Attention
from vitbench.zoo.blocks import ConvLayer, hardswish
from vitbench.zoo.deploy import to_deploy

NAMES = ["b0", "b1+softmax", "b0+relu-single", "b0+sra-softmax", "b2-backbone", "l0-backbone"]


@pytest.mark.parametrize("name", NAMES)
def test_folding_changes_nothing_in_float64(name: str) -> None:
    module = seeded(name, 64).double()
    x = images(64).double()
    assert relative_difference(to_deploy(module)(x), module(x)) < 1e-9


@pytest.mark.parametrize("name", NAMES)
def test_every_batch_norm_is_folded_and_the_original_is_untouched(name: str) -> None:
    module = on_meta(name)
    keys = list(module.state_dict())
    deployed = to_deploy(module)
    assert not any(isinstance(part, nn.BatchNorm2d) for part in deployed.modules())
    assert any(isinstance(part, nn.BatchNorm2d) for part in module.modules())
    assert list(module.state_dict()) == keys
    assert all(part.formulation == part.fast for part in zoo.formulated(deployed))
    assert all(part.formulation == part.formulations[0] for part in zoo.formulated(module))


def test_folding_a_convolution_that_has_a_bias() -> None:
    torch.manual_seed(0)
    layer = ConvLayer(3, 4, 3, bias=True, norm_eps=1e-3, act=hardswish).double().eval().requires_grad_(False)
    for tensor in (layer.conv.bias, layer.norm.weight, layer.norm.bias, layer.norm.running_mean):
        tensor.normal_()
    layer.norm.running_var.uniform_(0.1, 2)
    x = torch.randn(2, 3, 8, 8, dtype=torch.float64)
    expected = layer(x)
    layer.fold_()
    assert layer.norm is None
    assert relative_difference(layer(x), expected) < 1e-12
    layer.fold_()
    assert relative_difference(layer(x), expected) < 1e-12


def test_a_layer_without_a_norm_stays_as_it_is() -> None:
    layer = ConvLayer(3, 4, norm_eps=None)
    layer.fold_()
    assert layer.conv.bias is None


def test_formulations_are_reported_and_chosen_by_kind() -> None:
    module = on_meta("b0")
    assert zoo.formulations(module) == {"relu": "ones-pad"}
    zoo.set_formulation(module, {"relu": "ones-concat"})
    assert {part.formulation for part in module.modules() if isinstance(part, Attention)} == {"ones-concat"}
    assert zoo.formulations(to_deploy(module)) == {"relu": "key-sum"}
