"""Branches that merge: one convolution is their sum, whatever the branches are."""

from collections.abc import Callable

import pytest
import torch
from torch import nn

from tests.support.forms import randomised
from tests.support.models import relative_difference
from vitbench.zoo.deploy import merge_branches
from vitbench.zoo.reparam import ConvNorm, LargeKernelConv, MobileOneBlock, RepMixer, SqueezeExcite

BUILDERS: dict[str, Callable[[], nn.Module]] = {
    "dense": lambda: MobileOneBlock(4, 6, 3, 2),
    "depthwise": lambda: MobileOneBlock(4, 4, 3, groups=4),
    "groups of two": lambda: MobileOneBlock(8, 8, 3, groups=4, branches=2),
    "pointwise": lambda: MobileOneBlock(4, 4, branches=4, act=nn.GELU),
    "excited": lambda: MobileOneBlock(4, 32, 3, groups=4, excite=True, act=nn.ReLU),
    "norm": lambda: MobileOneBlock(4, 4, 3, groups=4, branches=0, scale=False),
    "large": lambda: LargeKernelConv(4, 8, 7, 2, groups=4, small_kernel=3),
    "mixer": lambda: RepMixer(4),
}


@pytest.mark.parametrize("kind", BUILDERS)
def test_merged_branches_are_one_convolution_of_the_same_value(kind: str) -> None:
    module = randomised(BUILDERS[kind]())
    x = torch.randn(2, 8 if kind == "groups of two" else 4, 9, 7, dtype=torch.float64)
    expected = module(x)
    gates = 2 if kind == "excited" else 0
    for _ in range(2):  # what is merged stays as it is
        merge_branches(module)
        assert relative_difference(module(x), expected) < 1e-12
        assert sum(isinstance(part, nn.Conv2d) for part in module.modules()) == 1 + gates
        assert not any(isinstance(part, nn.BatchNorm2d) for part in module.modules())


@pytest.mark.parametrize("kind", BUILDERS)
def test_merging_keeps_type_and_shapes_without_memory(kind: str) -> None:
    real, empty = BUILDERS[kind](), BUILDERS[kind]().to("meta")
    merge_branches(real)
    merge_branches(empty)
    shapes = {key: (value.shape, value.dtype) for key, value in real.state_dict().items()}
    assert {key: (value.shape, value.dtype) for key, value in empty.state_dict().items()} == shapes
    assert all(value.is_meta for value in empty.state_dict().values())
    assert {dtype for _, dtype in shapes.values()} == {torch.float32}


def test_merging_draws_no_random_numbers() -> None:
    module = BUILDERS["mixer"]()
    torch.manual_seed(5)
    merge_branches(module)
    after = torch.rand(1)
    torch.manual_seed(5)
    assert torch.equal(after, torch.rand(1))


def test_a_pointwise_block_has_no_scale_branch_and_a_strided_one_no_skip() -> None:
    pointwise, strided = MobileOneBlock(4, 4), MobileOneBlock(4, 4, 3, 2)
    assert (pointwise.rbr_scale, strided.rbr_skip) == (None, None)
    assert pointwise.rbr_skip is not None
    assert strided.rbr_scale is not None


def test_norm_folds_into_its_convolution() -> None:
    layer = randomised(ConvNorm(3, 4, 3, 2))
    x = torch.randn(1, 3, 8, 8, dtype=torch.float64)
    expected = layer(x)
    for _ in range(2):
        layer.fold_()
        assert layer.bn is None
        assert relative_difference(layer(x), expected) < 1e-12


def test_gate_sees_the_mean_of_the_map() -> None:
    gate = randomised(SqueezeExcite(32))
    x = torch.randn(1, 32, 5, 3, dtype=torch.float64)
    shuffled = x.flatten(2)[:, :, torch.randperm(15)].reshape(x.shape)
    assert gate.reduce.out_channels == 2
    assert relative_difference(gate(x) / x, gate(shuffled) / shuffled) < 1e-12
    assert bool(((gate(x) / x > 0) & (gate(x) / x < 1)).all())


def test_seeded_branches_share_a_magnitude() -> None:
    block = MobileOneBlock(16, 16, 3, branches=4)
    assert block.share == pytest.approx(6**-0.5)
    assert LargeKernelConv(4, 8, 7, 2, groups=4, small_kernel=3).share == pytest.approx(2**-0.5)
