"""BSRN: super resolution by blueprint separable residual networks (arXiv 2205.05996).

Submodule names are those of the official checkpoints, so the keys are theirs.
"""

from __future__ import annotations

from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from vitbench.catalog.specs import ModelSpec, Resolution, Spec
from vitbench.errors import UsageError
from vitbench.zoo.hyper import Blocks, Channels, read_hyper
from vitbench.zoo.resample import Resize, Size
from vitbench.zoo.wide import narrow, wide

COPIES = 4
DISTILLED = 3
POOL, POOL_STRIDE = 7, 3
# The smallest side that leaves the pool of the spatial attention one place.
SMALLEST = 2 * POOL + 1


class PixelLinear(nn.Linear):
    """Linear layer on the channels of every pixel: a 1x1 convolution whose weight is a matrix."""

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, cin, H, W) to (N, cout, H, W)."""
        return F.conv2d(x, self.weight[:, :, None, None], self.bias)


def pointwise(cin: int, cout: int, *, small: bool) -> nn.Module:
    """1x1 convolution with bias, as the design stores it."""
    return PixelLinear(cin, cout) if small else nn.Conv2d(cin, cout, 1)


class BlueprintConv(nn.Module):
    """Blueprint separable convolution: 1x1, then depthwise 3x3; the small design has a bias between them."""

    def __init__(self, cin: int, cout: int, stride: int = 1, padding: int = 1, *, small: bool) -> None:
        super().__init__()
        self.pw = PixelLinear(cin, cout) if small else nn.Conv2d(cin, cout, 1, bias=False)
        self.dw = nn.Conv2d(cout, cout, 3, stride, padding, groups=cout)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, cin, H, W) to (N, cout, H', W')."""
        return self.dw(self.pw(x))


class SpatialAttention(nn.Module):
    """Enhanced spatial attention (ESA): a gate for every value from a map pooled to about a sixth.

    Args:
        channels: channels in and out; a quarter of them inside.
        size: (height, width) of the map.
    """

    def __init__(self, channels: int, size: Size, *, small: bool) -> None:
        super().__init__()
        inner = channels // 4
        self.conv1 = pointwise(channels, inner, small=small)
        self.conv_f = pointwise(inner, inner, small=small)
        self.pool = nn.MaxPool2d(POOL, POOL_STRIDE)
        self.conv_max = BlueprintConv(inner, inner, small=small)
        self.conv2 = (
            nn.Conv2d(inner, inner, 3, 2) if small else BlueprintConv(inner, inner, 2, 0, small=False)
        )
        self.conv3 = BlueprintConv(inner, inner, small=small)
        self.conv3_ = BlueprintConv(inner, inner, small=small)
        self.conv4 = pointwise(inner, channels, small=small)
        self.act = nn.GELU()
        pooled = (_pooled(size[0]), _pooled(size[1]))
        self.resize = Resize(pooled, size, "bilinear")

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, channels, H, W) to the same shape."""
        reduced = self.conv1(x)
        coarse = self.act(self.conv_max(self.pool(self.conv2(reduced))))
        coarse = self.conv3_(self.act(self.conv3(coarse)))
        return x * torch.sigmoid(self.conv4(self.resize(coarse) + self.conv_f(reduced)))


def _pooled(side: int) -> int:
    """Side of the map behind the stride-2 convolution and the pool of the spatial attention."""
    return ((side - 3) // 2 + 1 - POOL) // POOL_STRIDE + 1


class ContrastAttention(nn.Module):
    """Contrast-aware channel attention (CCA): a gate for every channel from its deviation plus its mean."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        inner = channels // 16
        self.conv_du = nn.Sequential(
            nn.Conv2d(channels, inner, 1), nn.ReLU(), nn.Conv2d(inner, channels, 1), nn.Sigmoid()
        )

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, channels, H, W) to the same shape."""
        values = wide(x)
        mean = values.mean(dim=(2, 3), keepdim=True)
        centred = values - mean
        contrast = (centred * centred).mean(dim=(2, 3), keepdim=True).sqrt() + mean
        return x * self.conv_du(narrow(contrast, x))


class DistillationBlock(nn.Module):
    """Efficient separable distillation block (ESDB): three refinements, of each of which half is kept aside.

    The small design weighs the channels by `cw` and mixes them where the other has contrast attention.
    """

    closing = "c5"

    def __init__(self, channels: int, size: Size, *, small: bool) -> None:
        super().__init__()
        half = channels // 2
        for step in range(1, DISTILLED + 1):
            self.add_module(f"c{step}_d", pointwise(channels, half, small=small))
            self.add_module(f"c{step}_r", BlueprintConv(channels, channels, small=small))
        self.c4 = BlueprintConv(channels, half, small=small)
        self.c5 = pointwise((DISTILLED + 1) * half, channels, small=small)
        self.act = nn.GELU()
        self.esa = SpatialAttention(channels, size, small=small)
        self.small = small
        if small:
            self.cw = nn.Parameter(torch.ones(1, channels))
            self.conv_out = PixelLinear(channels, channels)
        else:
            self.cca = ContrastAttention(channels)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, channels, H, W) to the same shape."""
        kept, refined = [], x
        for step in range(1, DISTILLED + 1):
            kept.append(self.act(getattr(self, f"c{step}_d")(refined)))
            refined = self.act(refined + getattr(self, f"c{step}_r")(refined))
        kept.append(self.act(self.c4(refined)))
        fused = self.esa(self.c5(torch.cat(kept, dim=1)))
        if self.small:
            return x + self.conv_out(fused * self.cw[:, :, None, None])
        return x + self.cca(fused)


class Tail(nn.Module):
    """3x3 convolution and pixel shuffle: (N, channels, H, W) to (N, 3, scale H, scale W)."""

    def __init__(self, channels: int, scale: int) -> None:
        super().__init__()
        self.upsampleOneStep = nn.Sequential(
            nn.Conv2d(channels, 3 * scale**2, 3, padding=1), nn.PixelShuffle(scale)
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.upsampleOneStep(x)


class BSRN(nn.Module):
    """Blocks at the input's resolution, whose outputs are all joined: (N, 3, H, W) to (N, 3, sH, sW).

    The image enters as four copies of itself.
    """

    output_names = ("output",)

    def __init__(self, hyper: Hyper, size: Resolution) -> None:
        super().__init__()
        channels, small = hyper.channels, hyper.design == "small"
        self.fea_conv = BlueprintConv(3 * COPIES, channels, small=small)
        self.blocks = tuple(f"B{number}" for number in range(1, hyper.blocks + 1))
        for name in self.blocks:
            self.add_module(name, DistillationBlock(channels, size, small=small))
        self.c1 = pointwise(hyper.blocks * channels, channels, small=small)
        self.act = nn.GELU()
        self.c2 = BlueprintConv(channels, channels, small=small)
        self.upsampler = Tail(channels, hyper.scale)

    def forward(self, x: Tensor) -> Tensor:
        shallow = self.fea_conv(torch.cat([x] * COPIES, dim=1))
        maps = [shallow]
        for name in self.blocks:
            maps.append(getattr(self, name)(maps[-1]))
        deep = self.c2(self.act(self.c1(torch.cat(maps[1:], dim=1))))
        return self.upsampler(deep + shallow)


class Hyper(Spec):
    """`design` is `full` (BSRN) or `small` (BSRN-S, of the NTIRE 2022 challenge)."""

    design: Literal["full", "small"]
    channels: Annotated[Channels, Field(ge=16)]
    blocks: Annotated[Blocks, Field(ge=1)]
    scale: Literal[2, 3, 4]


def build(spec: ModelSpec) -> nn.Module:
    """Build a BSRN for the resolution of its spec.

    Raises:
        UsageError: hyper-parameters that do not fit, or a resolution under 15 x 15.
    """
    hyper = read_hyper(spec, {"sr": Hyper})
    if min(spec.resolution) < SMALLEST:
        raise UsageError(
            f"{spec.name} cannot be built for {spec.resolution[0]}x{spec.resolution[1]}",
            f"its spatial attention pools maps of {SMALLEST} pixels a side or more",
        )
    return BSRN(hyper, spec.resolution)
