"""What the pyramid networks share."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from tests.support.models import relative_difference
from vitbench.zoo.pyramid import LevelFusion, Pointwise, level_sizes


def test_level_sizes() -> None:
    assert level_sizes((64, 96)) == [(16, 24), (8, 12), (4, 6), (2, 3)]


def test_pointwise_is_a_linear_layer_of_every_pixel() -> None:
    layer = Pointwise(5, 7)
    x = torch.randn(2, 5, 3, 4)
    expected = F.linear(x.permute(0, 2, 3, 1), layer.weight, layer.bias).permute(0, 3, 1, 2)
    torch.testing.assert_close(layer(x), expected)
    assert isinstance(layer, nn.Linear)


@pytest.mark.parametrize("bias", [False, True])
def test_fusing_before_or_after_resizing_is_one_function(bias: bool) -> None:
    widths, sizes = (6, 2, 4), [(2, 3), (4, 6), (8, 12)]
    fusion = LevelFusion(widths, 5, sizes, sizes[-1]).double()
    if bias:  # as a folded norm leaves it
        fusion.conv.bias = nn.Parameter(torch.randn(5, dtype=torch.float64))
    levels = [torch.randn(2, width, *size).double() for width, size in zip(widths, sizes, strict=True)]
    values = {}
    for name in fusion.formulations:
        fusion.formulation = name
        with torch.inference_mode():
            values[name] = fusion.fuse(levels)
    assert values["concat"].shape == (2, 5, 8, 12)
    assert relative_difference(values["slices"], values["concat"]) < 1e-12


def test_levels_are_not_interchangeable() -> None:
    fusion = LevelFusion((3, 3), 4, [(2, 2), (2, 2)], (2, 2))
    first, second = torch.randn(2, 1, 3, 2, 2)
    for name in fusion.formulations:
        fusion.formulation = name
        with torch.inference_mode():
            one, other = fusion.fuse([first, second]), fusion.fuse([second, first])
        assert relative_difference(one, other) > 0.01
