"""VapSR: super resolution by pixel attention with a vast receptive field (arXiv 2210.05960).

Submodule names are those of the official checkpoints, so the keys are theirs.
"""

from __future__ import annotations

from typing import Literal

from torch import Tensor, nn

from vitbench.catalog.specs import ModelSpec, Spec
from vitbench.errors import UsageError
from vitbench.zoo.hyper import Blocks, Channels, read_hyper
from vitbench.zoo.norms import ChannelNorm

SLOPE = 0.1


class LargeKernel(nn.Module):
    """Weights of every pixel and channel from its 17 x 17 neighbourhood, times the pixel itself.

    The neighbourhood is a 1x1 convolution, a depthwise 5x5, and another with dilation 3.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.pointwise = nn.Conv2d(channels, channels, 1)
        self.depthwise = nn.Conv2d(channels, channels, 5, padding=2, groups=channels)
        self.depthwise_dilated = nn.Conv2d(channels, channels, 5, padding=6, dilation=3, groups=channels)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, channels, H, W) to the same shape."""
        return x * self.depthwise_dilated(self.depthwise(self.pointwise(x)))


class PixelAttentionBlock(nn.Module):
    """Pixel attention in `inner` channels between two 1x1 convolutions; the norm stands behind the sum."""

    closing = "proj_2"

    def __init__(self, channels: int, inner: int) -> None:
        super().__init__()
        self.proj_1 = nn.Conv2d(channels, inner, 1)
        self.activation = nn.GELU()
        self.atten_branch = LargeKernel(inner)
        self.proj_2 = nn.Conv2d(inner, channels, 1)
        self.pixel_norm = ChannelNorm(channels)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, channels, H, W) to the same shape."""
        y = self.proj_2(self.atten_branch(self.activation(self.proj_1(x))))
        return self.pixel_norm(x + y)


def upsampler(channels: int, scale: int) -> nn.Sequential:
    """(N, channels, H, W) to (N, 3, scale H, scale W): two shuffles by 2 for x4, else one."""
    if scale == 4:
        first = [nn.Conv2d(channels, 64, 3, padding=1), nn.PixelShuffle(2), nn.LeakyReLU(SLOPE)]
        return nn.Sequential(*first, nn.Conv2d(16, 12, 3, padding=1), nn.PixelShuffle(2))
    return nn.Sequential(
        nn.Conv2d(channels, 56, 3, padding=1),
        nn.LeakyReLU(SLOPE),
        nn.Conv2d(56, 3 * scale**2, 3, padding=1),
        nn.PixelShuffle(scale),
    )


class VapSR(nn.Module):
    """Blocks at the input's resolution, one long skip, pixel shuffle: (N, 3, H, W) to (N, 3, sH, sW)."""

    output_names = ("output",)

    def __init__(self, hyper: Hyper) -> None:
        super().__init__()
        channels = hyper.channels
        self.conv_first = nn.Conv2d(3, channels, 3, padding=1)
        self.body = nn.Sequential(*(PixelAttentionBlock(channels, hyper.inner) for _ in range(hyper.blocks)))
        self.conv_body = nn.Conv2d(channels, channels, 3, padding=1, groups=hyper.groups)
        self.upsampler = upsampler(channels, hyper.scale)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv_first(x)
        return self.upsampler(x + self.conv_body(self.body(x)))


class Hyper(Spec):
    """Channels of the blocks and, inside, of the attention; `groups` of the convolution behind the blocks."""

    channels: Channels
    inner: Channels
    blocks: Blocks
    groups: Channels
    scale: Literal[2, 3, 4]


def build(spec: ModelSpec) -> nn.Module:
    """Build a VapSR from its spec.

    Raises:
        UsageError: hyper-parameters that do not fit.
    """
    hyper = read_hyper(spec, {"sr": Hyper})
    if hyper.channels % hyper.groups:
        raise UsageError(
            f"{hyper.groups} groups do not divide the {hyper.channels} channels of {spec.name}",
            "choose `groups` that divide `channels`",
        )
    return VapSR(hyper)
