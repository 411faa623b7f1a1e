"""SegFormer (arXiv 2105.15203): a pyramid of spatial-reduction attention, and a head of linear layers.

Submodule names are those of the official checkpoints, so the keys of the train form are theirs. All maps
are kept as (N, C, H, W): a linear layer over tokens is a 1x1 convolution.
"""

from __future__ import annotations

from typing import Annotated

import torch
from torch import Tensor, nn

from vitbench.catalog.specs import ModelSpec
from vitbench.errors import UsageError
from vitbench.zoo.attention import ReducedAttention
from vitbench.zoo.folding import fold_into_previous
from vitbench.zoo.hyper import Channels, read_hyper
from vitbench.zoo.norms import ChannelNorm
from vitbench.zoo.pyramid import (
    LevelFusion,
    MixFeedForward,
    PerStage,
    Pointwise,
    PointwiseConv,
    Pyramid,
    PyramidHyper,
    Segmenter,
    level_sizes,
)
from vitbench.zoo.resample import Size

# The original sets the first for the norms of blocks and stages, and leaves the others at the default.
NORM_EPS = 1e-6
INNER_NORM_EPS = 1e-5
EXPAND = 4
# Input of the classifier that every head of the original has and this one does not use.
UNUSED_WIDTH = 128


class Hyper(PyramidHyper):
    """Hyper-parameters of a SegFormer.

    Per stage: `heads` of the attention, and the factor `reduction` between the grid of the queries and that
    of keys and values. `head` is the width of the segmentation head.
    """

    heads: Annotated[tuple[Channels, ...], PerStage]
    reduction: Annotated[tuple[Channels, ...], PerStage]
    head: Channels


class PatchEmbedding(nn.Module):
    """Strided convolution of overlapping patches, and a norm."""

    def __init__(self, cin: int, cout: int, kernel: int, stride: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(cin, cout, kernel, stride, kernel // 2)
        self.norm = ChannelNorm(cout, eps=INNER_NORM_EPS)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, cin, H, W) to (N, cout, H / stride, W / stride)."""
        return self.norm(self.proj(x))


class Block(nn.Module):
    """Spatial-reduction attention, then a feed-forward: each on a norm, with its residual."""

    def __init__(self, channels: int, heads: int, reduction: int) -> None:
        super().__init__()
        self.norm1 = ChannelNorm(channels, eps=NORM_EPS)
        self.attn = ReducedAttention(
            channels // heads,
            q=Pointwise(channels, channels),
            kv=Pointwise(channels, 2 * channels),
            sr=nn.Conv2d(channels, channels, reduction, reduction) if reduction > 1 else None,
            norm=ChannelNorm(channels, eps=INNER_NORM_EPS) if reduction > 1 else None,
            proj=Pointwise(channels, channels),
        )
        self.norm2 = ChannelNorm(channels, eps=NORM_EPS)
        self.mlp = MixFeedForward(channels, EXPAND * channels, Pointwise)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attn(self.norm1(x))
        return x + self.mlp(self.norm2(x))


class Fusion(LevelFusion):
    """Fusion of all levels, BatchNorm and ReLU."""

    def __init__(self, channels: int, sizes: list[Size]) -> None:
        super().__init__([channels] * len(sizes), channels, sizes, sizes[-1])
        self.bn = nn.BatchNorm2d(channels)

    def forward(self, levels: list[Tensor]) -> Tensor:
        """Map (N, C, *sizes[i]) each to (N, C, *sizes[-1])."""
        x = self.fuse(levels)
        return torch.relu(x if self.bn is None else self.bn(x))

    def fold_(self) -> None:
        """Merge the BatchNorm into the convolution, in place."""
        if self.bn is not None:
            fold_into_previous(self.conv, self.bn)
            self.bn = None


class Head(nn.Module):
    """Every level to one width, all fused at the finest, and a classifier of pixels."""

    def __init__(self, widths: tuple[int, ...], channels: int, classes: int, sizes: list[Size]) -> None:
        super().__init__()
        self.conv_seg = PointwiseConv(UNUSED_WIDTH, classes)
        # Coarsest first: the order of the original's concatenation.
        self.levels = list(range(len(widths), 0, -1))
        for level in self.levels:
            linear = nn.Sequential()
            linear.add_module("proj", Pointwise(widths[level - 1], channels))
            self.add_module(f"linear_c{level}", linear)
        self.linear_fuse = Fusion(channels, [sizes[level - 1] for level in self.levels])
        self.linear_pred = PointwiseConv(channels, classes)

    def forward(self, maps: list[Tensor]) -> Tensor:
        """Map the stages' maps, finest first, to (N, classes, H / 4, W / 4)."""
        levels = [getattr(self, f"linear_c{level}")(maps[level - 1]) for level in self.levels]
        return self.linear_pred(self.linear_fuse(levels))


def build(spec: ModelSpec) -> nn.Module:
    """Build a SegFormer from its spec; `Hyper` says what `spec.hyper` holds.

    Raises:
        UsageError: a hyper-parameter is missing, unknown or out of its range, heads do not divide a width,
            or another attention is asked for.
    """
    hyper = read_hyper(spec, {"seg": Hyper})
    if spec.attention != ReducedAttention.kind:
        raise UsageError(
            f"{spec.name} asks for the attention {spec.attention}, which the segformer builder does not have",
            f'give the family attention = ["{ReducedAttention.kind}"]',
        )
    if any(width % heads for width, heads in zip(hyper.width, hyper.heads, strict=True)):
        raise UsageError(
            f"heads {hyper.heads} of {spec.name} do not divide the widths {hyper.width}",
            "choose for each stage a number of heads that divides its width",
        )
    inputs = (3, *hyper.width[:-1])
    embeddings = [
        PatchEmbedding(cin, cout, 3 if stage else 7, 2 if stage else 4)
        for stage, (cin, cout) in enumerate(zip(inputs, hyper.width, strict=True))
    ]
    blocks = [
        [Block(width, heads, reduction) for _ in range(depth)]
        for width, depth, heads, reduction in zip(
            hyper.width, hyper.depth, hyper.heads, hyper.reduction, strict=True
        )
    ]
    norms = [ChannelNorm(width, eps=NORM_EPS) for width in hyper.width]
    head = Head(hyper.width, hyper.head, hyper.classes, level_sizes(spec.resolution))
    return Segmenter(Pyramid(embeddings, blocks, norms), head)
