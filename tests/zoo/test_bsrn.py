"""BSRN: what the original's fixtures do not see, and the small network, of which there is none."""

from typing import Any

import pytest
import torch
from torch.nn import functional as F

from tests.support.models import relative_difference
from tests.support.restorers import images, seeded, spec_of
from vitbench import zoo
from vitbench.errors import UsageError
from vitbench.zoo.bsrn import BlueprintConv, ContrastAttention, PixelLinear

SIZE = (32, 40)


def test_a_pixel_linear_layer_is_a_linear_layer_on_channels_last() -> None:
    torch.manual_seed(0)
    layer, x = PixelLinear(5, 7), torch.randn(2, 5, 3, 4)
    expected = F.linear(x.permute(0, 2, 3, 1), layer.weight, layer.bias).permute(0, 3, 1, 2)
    assert torch.allclose(layer(x), expected, atol=1e-6)


def test_the_small_design_has_a_bias_before_the_depthwise_convolution() -> None:
    small = [part for part in seeded(spec_of("bsrn-s-x4", SIZE)).modules() if isinstance(part, BlueprintConv)]
    full = [part for part in seeded(spec_of("bsrn-x4", SIZE)).modules() if isinstance(part, BlueprintConv)]
    assert all(part.pw.bias is not None for part in small)
    assert all(part.pw.bias is None for part in full)
    assert all(part.dw.bias is not None for part in (*small, *full))


def test_channels_of_a_small_block_are_weighed_before_they_are_mixed() -> None:
    block = seeded(spec_of("bsrn-s-x4", SIZE)).B1
    x = torch.randn(1, 48, *SIZE, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        before = block(x)
        block.conv_out.weight.mul_(block.cw)
        block.cw.fill_(1.0)
        assert relative_difference(block(x), before) < 1e-6


def test_contrast_is_deviation_plus_mean() -> None:
    part = ContrastAttention(16)
    seen = []
    part.conv_du.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    x = 3 + 2 * torch.randn(1, 16, 9, 11, generator=torch.Generator().manual_seed(0))
    part(x)
    expected = x.std(dim=(2, 3), correction=0) + x.mean(dim=(2, 3))
    assert torch.allclose(seen[0][:, :, 0, 0], expected, atol=1e-5)


def test_statistics_of_large_maps_in_half_precision_are_finite() -> None:
    part = ContrastAttention(16).half()
    seen = []
    part.conv_du.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    x = torch.full((1, 16, 4, 4), 300.0)
    x[:, :, ::2] *= -1
    part(x.half())
    assert torch.allclose(seen[0].float(), torch.tensor(300.0))


@pytest.mark.parametrize("size", [(15, 15), (15, 64), (16, 17), (37, 50)])
def test_odd_sizes_and_the_smallest_work(size: tuple[int, int]) -> None:
    module = seeded(spec_of("bsrn-x2", size, blocks=1))
    with torch.inference_mode():
        assert module(images(size)).shape == (1, 3, 2 * size[0], 2 * size[1])


@pytest.mark.parametrize("size", [(14, 64), (64, 14), (1, 1)])
def test_smaller_sizes_are_refused(size: tuple[int, int]) -> None:
    with pytest.raises(UsageError, match=f"cannot be built for {size[0]}x{size[1]}"):
        zoo.create(spec_of("bsrn-x2", size))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"design": "large"}, "design"),
        ({"channels": 8}, "channels"),
        ({"blocks": 0}, "blocks"),
        ({"scale": 5}, "scale"),
        ({"width": 3}, "width"),
    ],
)
def test_bad_hyper_parameters_are_refused(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        zoo.create(spec_of("bsrn-x2", SIZE, **changes))
