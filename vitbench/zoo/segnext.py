"""SegNeXt (arXiv 2209.08575): a pyramid of convolutional attention, and a head of matrix decomposition.

Submodule names are those of the official checkpoints, so the keys of the train form are theirs.
"""

from __future__ import annotations

from typing import Annotated

import numpy as np
import torch
from torch import Tensor, nn

from vitbench.catalog.specs import ModelSpec
from vitbench.errors import UsageError
from vitbench.zoo.folding import fold_into_previous
from vitbench.zoo.formulation import Formulated
from vitbench.zoo.hyper import Channels, read_hyper
from vitbench.zoo.norms import ChannelNorm
from vitbench.zoo.pyramid import (
    LevelFusion,
    MixFeedForward,
    PerStage,
    PointwiseConv,
    Pyramid,
    PyramidHyper,
    Segmenter,
    level_sizes,
)
from vitbench.zoo.resample import Size
from vitbench.zoo.wide import GroupNorm, narrow, wide

GROUPS = 32
STRIPS = (7, 11, 21)
STEPS = 7
BASES_SEED = 0


class Hyper(PyramidHyper):
    """Hyper-parameters of a SegNeXt.

    `expand` is the expansion of the feed-forward per stage, `head` the width of the segmentation head, a
    multiple of 32, and `rank` the number of bases of its decomposition.
    """

    expand: Annotated[tuple[Channels, ...], PerStage]
    head: Channels
    rank: Channels


class Stem(nn.Module):
    """Two 3x3 convolutions of stride 2, each with BatchNorm, and a GELU between: stride 4 together."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.proj = nn.Sequential(
            nn.Conv2d(3, channels // 2, 3, 2, 1),
            nn.BatchNorm2d(channels // 2),
            nn.GELU(),
            nn.Conv2d(channels // 2, channels, 3, 2, 1),
            nn.BatchNorm2d(channels),
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.proj(x)

    def fold_(self) -> None:
        """Merge each BatchNorm into the convolution before it, in place."""
        for at, norm in enumerate(self.proj):
            if isinstance(norm, nn.BatchNorm2d):
                fold_into_previous(self.proj[at - 1], norm)
                self.proj[at] = nn.Identity()


class Downsampling(nn.Module):
    """3x3 convolution of stride 2 with BatchNorm."""

    def __init__(self, cin: int, cout: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(cin, cout, 3, 2, 1)
        self.norm = nn.BatchNorm2d(cout)

    def forward(self, x: Tensor) -> Tensor:
        x = self.proj(x)
        return x if self.norm is None else self.norm(x)

    def fold_(self) -> None:
        """Merge the BatchNorm into the convolution, in place."""
        if self.norm is not None:
            fold_into_previous(self.proj, self.norm)
            self.norm = None


class Gate(nn.Module):
    """Multiply a map by what its neighbourhood says.

    A depthwise 5x5, plus that seen through depthwise strips (1 x k, then k x 1) of 7, 11 and 21 pixels, and a
    1x1 convolution over the sum.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv0 = nn.Conv2d(channels, channels, 5, padding=2, groups=channels)
        for number, length in enumerate(STRIPS):
            for part, axis in ((1, (0, 1)), (2, (1, 0))):
                kernel = tuple(length if along else 1 for along in axis)
                padding = tuple(side // 2 for side in kernel)
                strip = nn.Conv2d(channels, channels, kernel, padding=padding, groups=channels)
                self.add_module(f"conv{number}_{part}", strip)
        self.conv3 = PointwiseConv(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        near = self.conv0(x)
        total = near
        for number in range(len(STRIPS)):
            strips = getattr(self, f"conv{number}_1"), getattr(self, f"conv{number}_2")
            total = total + strips[1](strips[0](near))
        return self.conv3(total) * x


class ConvolutionalAttention(nn.Module):
    """1x1 convolution, GELU, gate and 1x1 convolution, with a residual of its own."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.proj_1 = PointwiseConv(channels, channels)
        self.act = nn.GELU()
        self.spatial_gating_unit = Gate(channels)
        self.proj_2 = PointwiseConv(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.proj_2(self.spatial_gating_unit(self.act(self.proj_1(x))))


class Block(nn.Module):
    """Convolutional attention, then a feed-forward: each on a BatchNorm, scaled, with its residual.

    The norms stay in the inference form: what they read is also added to the result.
    """

    quadratic = True

    def __init__(self, channels: int, expand: int) -> None:
        super().__init__()
        self.layer_scale_1 = nn.Parameter(torch.empty(channels))
        self.layer_scale_2 = nn.Parameter(torch.empty(channels))
        self.norm1 = nn.BatchNorm2d(channels)
        self.attn = ConvolutionalAttention(channels)
        self.norm2 = nn.BatchNorm2d(channels)
        self.mlp = MixFeedForward(channels, expand * channels, PointwiseConv)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.layer_scale_1[:, None, None] * self.attn(self.norm1(x))
        return x + self.layer_scale_2[:, None, None] * self.mlp(self.norm2(x))


class MatrixDecomposition(Formulated):
    """Low-rank approximation of a map that is >= 0: X ~ B C by multiplicative updates, B and C >= 0.

    X is (D, P), channels by pixels; B (D, rank); C (rank, P). C starts as softmax(B^T X) over the rank; a
    step is C <- C B^T X / (B^T B C), then B <- B X C^T / (B C C^T); after the last, C is updated once more.
    Source: Hamburger, arXiv 2109.04553, with the 7 steps that SegNeXt takes in inference.

    The original draws B uniformly in 0..1 at every call, and scales its columns to length 1. Here one draw of
    a fixed seed serves every call and every image.

    Formulations: `products` writes out all of them, as the original does. The scaled bases are computed, not
    stored, and so are the original's: products with them are products of two activations. `constant-start`
    does not compute B^T X twice, which start and first step have in common, nor the first B for every image;
    an exporter finds that B and the first B^T B do not depend on the input.
    """

    kind = "nmf"
    formulations = ("products", "constant-start")
    fast = "constant-start"
    eps = 1e-6

    def __init__(self, channels: int, rank: int) -> None:
        super().__init__()
        drawn = np.random.RandomState(BASES_SEED).uniform(size=(1, channels, rank)).astype(np.float32)
        self.register_buffer("drawn", torch.from_numpy(drawn), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, D, P) to its approximation, the same shape."""
        given, x = x, wide(x)  # sums over all pixels leave the range of half
        drawn = wide(self.drawn)
        bases = drawn / torch.linalg.vector_norm(drawn, dim=1, keepdim=True)
        if self.formulation == "products":
            bases = bases.repeat(len(x), 1, 1)
        likeness = torch.matmul(bases.transpose(1, 2), x)
        codes = likeness.softmax(dim=1)
        if self.formulation == "products":
            likeness = torch.matmul(bases.transpose(1, 2), x)
        for _ in range(STEPS):
            codes = self._codes(bases, codes, likeness)
            bases = self._bases(x, bases, codes)
            likeness = torch.matmul(bases.transpose(1, 2), x)
        return narrow(torch.matmul(bases, self._codes(bases, codes, likeness)), given)

    def _codes(self, bases: Tensor, codes: Tensor, likeness: Tensor) -> Tensor:
        """C <- C B^T X / (B^T B C), `likeness` being B^T X."""
        projected = torch.matmul(torch.matmul(bases.transpose(1, 2), bases), codes)
        return codes * likeness / (projected + self.eps)

    def _bases(self, x: Tensor, bases: Tensor, codes: Tensor) -> Tensor:
        """B <- B X C^T / (B C C^T)."""
        turned = codes.transpose(1, 2)
        projected = torch.matmul(bases, torch.matmul(codes, turned))
        return bases * torch.matmul(x, turned) / (projected + self.eps)


class GroupConv(nn.Module):
    """1x1 convolution without bias, and GroupNorm."""

    def __init__(self, cin: int, cout: int) -> None:
        super().__init__()
        self.conv = PointwiseConv(cin, cout, bias=False)
        self.gn = GroupNorm(GROUPS, cout)

    def forward(self, x: Tensor) -> Tensor:
        return self.gn(self.conv(x))


class Squeeze(LevelFusion):
    """Fusion of levels, GroupNorm and ReLU."""

    def __init__(self, widths: tuple[int, ...], cout: int, sizes: list[Size]) -> None:
        super().__init__(widths, cout, sizes, sizes[0])
        self.gn = GroupNorm(GROUPS, cout)

    def forward(self, levels: list[Tensor]) -> Tensor:
        """Map (N, widths[i], *sizes[i]) each to (N, cout, *sizes[0])."""
        return torch.relu(self.gn(self.fuse(levels)))


class Hamburger(nn.Module):
    """Decomposition between two 1x1 convolutions, with a residual and ReLU."""

    def __init__(self, channels: int, rank: int) -> None:
        super().__init__()
        self.ham_in = nn.Sequential()
        self.ham_in.add_module("conv", PointwiseConv(channels, channels))
        self.ham = MatrixDecomposition(channels, rank)
        self.ham_out = GroupConv(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        lower = torch.relu(self.ham_in(x))
        approximation = self.ham(lower.flatten(2)).reshape(lower.shape)
        return torch.relu(x + self.ham_out(approximation))


class Head(nn.Module):
    """The levels from stride 8 on fused at stride 8, decomposed, and a classifier of pixels."""

    def __init__(self, hyper: Hyper, sizes: list[Size]) -> None:
        super().__init__()
        channels = hyper.head
        self.squeeze = Squeeze(hyper.width[1:], channels, sizes[1:])
        self.hamburger = Hamburger(channels, hyper.rank)
        self.align = GroupConv(channels, channels)
        self.conv_seg = PointwiseConv(channels, hyper.classes)

    def forward(self, maps: list[Tensor]) -> Tensor:
        """Map the stages' maps, finest first, to (N, classes, H / 8, W / 8)."""
        x = self.hamburger(self.squeeze(maps[1:]))
        return self.conv_seg(torch.relu(self.align(x)))


def build(spec: ModelSpec) -> nn.Module:
    """Build a SegNeXt from its spec; `Hyper` says what `spec.hyper` holds.

    Raises:
        UsageError: a hyper-parameter is missing, unknown or out of its range, or a width does not divide.
    """
    hyper = read_hyper(spec, {"seg": Hyper})
    if hyper.head % GROUPS:
        raise UsageError(
            f"`head` of {spec.name} is {hyper.head}, no multiple of {GROUPS}",
            f"its channels are normed in {GROUPS} groups",
        )
    if hyper.width[0] % 2:
        raise UsageError(
            f"the first `width` of {spec.name} is {hyper.width[0]}, an odd number",
            "the first convolution of the stem has half of these channels",
        )
    embeddings = [Stem(hyper.width[0])]
    for cin, cout in zip(hyper.width[:-1], hyper.width[1:], strict=True):
        embeddings.append(Downsampling(cin, cout))
    blocks = [
        [Block(width, expand) for _ in range(depth)]
        for width, depth, expand in zip(hyper.width, hyper.depth, hyper.expand, strict=True)
    ]
    norms = [ChannelNorm(width) for width in hyper.width]
    return Segmenter(Pyramid(embeddings, blocks, norms), Head(hyper, level_sizes(spec.resolution)))
