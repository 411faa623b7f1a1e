"""MetaFormer (arXiv 2111.11418) with one of two token mixers: pooling, which is PoolFormer, or RepMixer.

Submodule names of the pooling network are those of timm's checkpoints (PoolFormer's first version).

A GroupNorm of one group sums a whole map. ONNX Runtime 1.31 rounds that sum: outputs at 1024 x 1024 are
5e-5 of their magnitude off, half of what parity allows. Means by channel first would be exact, and the
norm 10 to 30 % slower.
"""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor, nn

from vitbench.catalog.specs import ModelSpec
from vitbench.errors import UsageError
from vitbench.zoo.hyper import read_hyper
from vitbench.zoo.norms import ChannelNorm
from vitbench.zoo.pyramid import PyramidHyper
from vitbench.zoo.reparam import RepMixer
from vitbench.zoo.wide import GroupNorm, mean_of_map

MIXERS = ("pool", "repmixer")


class Pooling(nn.Module):
    """Mean of the 3x3 neighbours within the map, minus the pixel itself."""

    def __init__(self) -> None:
        super().__init__()
        self.pool = nn.AvgPool2d(3, stride=1, padding=1, count_include_pad=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.pool(x) - x


class LayerScale(nn.Module):
    """A learned factor for each channel of (N, C, H, W)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(channels))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.scale[:, None, None]


class Mlp(nn.Module):
    """Two pointwise convolutions with GELU between."""

    def __init__(self, channels: int, expand: int) -> None:
        super().__init__()
        self.fc1 = nn.Conv2d(channels, expand * channels, 1)
        self.act = nn.GELU()
        self.fc2 = nn.Conv2d(expand * channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc2(self.act(self.fc1(x)))


class Block(nn.Module):
    """Token mixer, then two pointwise convolutions; GroupNorm of one group, layer scale and residual each.

    RepMixer brings norm, layer scale and residual of its own, which take the place of the block's: that is
    how FastViT uses it, and only so does it merge into one convolution.
    """

    def __init__(self, channels: int, expand: int, mixer: str) -> None:
        super().__init__()
        pools = mixer == "pool"
        self.norm1 = GroupNorm(1, channels) if pools else None
        self.token_mixer = Pooling() if pools else RepMixer(channels)
        self.layer_scale1 = LayerScale(channels) if pools else None
        self.norm2 = GroupNorm(1, channels)
        self.mlp = Mlp(channels, expand)
        self.layer_scale2 = LayerScale(channels)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C, H, W) to the same shape."""
        if self.norm1 is None:
            x = self.token_mixer(x)
        else:
            x = x + self.layer_scale1(self.token_mixer(self.norm1(x)))
        return x + self.layer_scale2(self.mlp(self.norm2(x)))


class Embedding(nn.Module):
    """A convolution with bias that makes the map smaller."""

    def __init__(self, cin: int, cout: int, kernel: int, stride: int, padding: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(cin, cout, kernel, stride, padding)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x)


class Stage(nn.Module):
    """Blocks on one map, which is first halved where asked for."""

    def __init__(self, cin: int, cout: int, depth: int, expand: int, mixer: str, *, halve: bool) -> None:
        super().__init__()
        self.downsample = Embedding(cin, cout, 3, 2, 1) if halve else None
        self.blocks = nn.Sequential(*(Block(cout, expand, mixer) for _ in range(depth)))

    def forward(self, x: Tensor) -> Tensor:
        return self.blocks(x if self.downsample is None else self.downsample(x))


class Head(nn.Module):
    """Mean over the pixels, LayerNorm, linear.

    So in timm, whose checkpoints these are. The authors' own code takes GroupNorm of the map and then the
    mean: the same parameters and MACs, and another function.
    """

    def __init__(self, channels: int, classes: int) -> None:
        super().__init__()
        self.norm = ChannelNorm(channels, eps=1e-6)
        self.fc = nn.Linear(channels, classes)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.norm(mean_of_map(x, keepdim=True)).flatten(1))


class MetaFormer(nn.Module):
    """Embedding of stride 4, stages of strides 4 to 32, head: (N, 3, H, W) to (N, classes) logits."""

    output_names = ("logits",)

    def __init__(self, hyper: Hyper, mixer: str) -> None:
        super().__init__()
        self.stem = Embedding(3, hyper.width[0], 7, 4, 2)
        stages = []
        cin = hyper.width[0]
        for index, (width, depth) in enumerate(zip(hyper.width, hyper.depth, strict=True)):
            stages.append(Stage(cin, width, depth, hyper.expand, mixer, halve=index > 0))
            cin = width
        self.stages = nn.Sequential(*stages)
        self.head = Head(cin, hyper.classes)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.stages(self.stem(x)))


class Hyper(PyramidHyper):
    """Hyper-parameters of a MetaFormer: those of a pyramid, and the expansion of the channel mixer."""

    expand: Annotated[int, Field(strict=True, gt=0, le=64)]


def build(spec: ModelSpec) -> nn.Module:
    """Build a MetaFormer from its spec; `Hyper` says what `spec.hyper` holds, `spec.attention` the mixer.

    Without a kind it is pooling.

    Raises:
        UsageError: a hyper-parameter is missing, unknown or out of its range, the task is not `cls`, or the
            token mixer is unknown.
    """
    hyper = read_hyper(spec, {"cls": Hyper})
    mixer = spec.attention or MIXERS[0]
    if mixer not in MIXERS:
        raise UsageError(f"unknown token mixer '{mixer}'", f"choose one of {', '.join(MIXERS)}")
    return MetaFormer(hyper, mixer)
