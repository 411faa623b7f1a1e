"""EfficientViT of Microsoft: cascaded group attention (arXiv 2305.07027).

Submodule names are those of the official checkpoints, so the keys of the train form are theirs.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated

from pydantic import Field, model_validator
from torch import Tensor, nn
from torch.nn import functional as F

from vitbench.catalog.specs import ModelSpec, Spec
from vitbench.zoo.cascade import NormedConv, WindowAttention
from vitbench.zoo.folding import fold_into_next
from vitbench.zoo.hyper import Blocks, Channels, read_hyper
from vitbench.zoo.wide import mean_of_map

# The largest that fit the maps of a 224 x 224 image, of 14, 7 and 4 pixels a side.
WINDOWS = (7, 7, 4)
STAGES = len(WINDOWS)


class NormedLinear(nn.Module):
    """BatchNorm, then a linear layer with bias: (N, cin) to (N, cout)."""

    def __init__(self, cin: int, cout: int) -> None:
        super().__init__()
        self.bn: nn.BatchNorm1d | None = nn.BatchNorm1d(cin)
        self.l = nn.Linear(cin, cout)

    def forward(self, x: Tensor) -> Tensor:
        return self.l(x if self.bn is None else self.bn(x))

    def fold_(self) -> None:
        """Merge the BatchNorm into the linear layer, in place."""
        if self.bn is not None:
            fold_into_next(self.bn, self.l)
            self.bn = None


class Residual(nn.Module):
    """A block under the name `m`, added to its input."""

    residual = True

    def __init__(self, m: nn.Module) -> None:
        super().__init__()
        self.m = m

    def forward(self, x: Tensor) -> Tensor:
        return x + self.m(x)


class FeedForward(nn.Module):
    """1x1 expansion by two, ReLU, 1x1 projection."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.pw1 = NormedConv(channels, 2 * channels)
        self.pw2 = NormedConv(2 * channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        return self.pw2(F.relu(self.pw1(x)))


class Block(nn.Module):
    """Attention between two pairs of depthwise convolution and feed-forward, each added to its input."""

    def __init__(self, channels: int, heads: int, kernels: tuple[int, ...], side: int) -> None:
        super().__init__()
        self.dw0 = Residual(NormedConv(channels, channels, 3, groups=channels))
        self.ffn0 = Residual(FeedForward(channels))
        self.mixer = Residual(WindowAttention(channels, heads, kernels, side))
        self.dw1 = Residual(NormedConv(channels, channels, 3, groups=channels))
        self.ffn1 = Residual(FeedForward(channels))

    def forward(self, x: Tensor) -> Tensor:
        x = self.mixer(self.ffn0(self.dw0(x)))
        return self.ffn1(self.dw1(x))


class SqueezeExcite(nn.Module):
    """Channels weighted by a gate that sees their means."""

    def __init__(self, channels: int, hidden: int) -> None:
        super().__init__()
        self.fc1 = nn.Conv2d(channels, hidden, 1)
        self.fc2 = nn.Conv2d(hidden, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        means = mean_of_map(x, keepdim=True)
        return x * self.fc2(F.relu(self.fc1(means))).sigmoid()


class PatchMerging(nn.Module):
    """Halve a map: an inverted bottleneck of expansion 4 with squeeze and excitation."""

    def __init__(self, cin: int, cout: int) -> None:
        super().__init__()
        hidden = 4 * cin
        self.conv1 = NormedConv(cin, hidden)
        self.conv2 = NormedConv(hidden, hidden, 3, 2, groups=hidden)
        self.se = SqueezeExcite(hidden, hidden // 4)
        self.conv3 = NormedConv(hidden, cout)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, cin, H, W) to (N, cout, ceil(H / 2), ceil(W / 2))."""
        x = F.relu(self.conv2(F.relu(self.conv1(x))))
        return self.conv3(self.se(x))


class Classifier(nn.Module):
    """Three stages of strides 16, 32 and 64, and a linear classifier: (N, 3, H, W) to (N, classes) logits."""

    output_names = ("logits",)

    def __init__(self, hyper: Hyper) -> None:
        super().__init__()
        self.patch_embed = _stem(hyper.width[0])
        self.blocks1 = _stage(hyper, 0)
        self.blocks2 = _stage(hyper, 1)
        self.blocks3 = _stage(hyper, 2)
        self.head = NormedLinear(hyper.width[-1], hyper.classes)

    def forward(self, x: Tensor) -> Tensor:
        x = self.blocks3(self.blocks2(self.blocks1(self.patch_embed(x))))
        return self.head(mean_of_map(x))


def _stem(width: int) -> nn.Sequential:
    """Four convolutions of stride 2 with ReLU between: (N, 3, H, W) to (N, width, H / 16, W / 16)."""
    layers: list[nn.Module] = []
    for cin, cout in pairwise((3, width // 8, width // 4, width // 2, width)):
        layers += [NormedConv(cin, cout, 3, 2), nn.ReLU()]
    return nn.Sequential(*layers[:-1])


def _stage(hyper: Hyper, index: int) -> nn.Sequential:
    """Blocks of one stage, behind the halving of the map from the second on."""
    width = hyper.width[index]
    layers: list[nn.Module] = []
    if index:
        before = hyper.width[index - 1]
        layers = [_local(before), PatchMerging(before, width), _local(width)]
    for _ in range(hyper.depth[index]):
        layers.append(Block(width, hyper.heads[index], hyper.kernels, WINDOWS[index]))
    return nn.Sequential(*layers)


def _local(channels: int) -> nn.Sequential:
    """Depthwise convolution and feed-forward, each added to its input."""
    depthwise = NormedConv(channels, channels, 3, groups=channels)
    return nn.Sequential(Residual(depthwise), Residual(FeedForward(channels)))


class Hyper(Spec):
    """Hyper-parameters: `width`, `depth` (blocks) and `heads` per stage, `kernels` per head."""

    width: Annotated[tuple[Channels, ...], Field(min_length=STAGES, max_length=STAGES)]
    depth: Annotated[tuple[Blocks, ...], Field(min_length=STAGES, max_length=STAGES)]
    heads: Annotated[tuple[Channels, ...], Field(min_length=STAGES, max_length=STAGES)]
    kernels: tuple[Channels, ...]
    classes: Channels

    @model_validator(mode="after")
    def _fits(self) -> Hyper:
        if self.width[0] % 8:
            raise ValueError(f"the first width, {self.width[0]}, must be a multiple of 8: the stem halves it")
        for width, heads in zip(self.width, self.heads, strict=True):
            if width % heads:
                raise ValueError(f"{heads} heads do not divide a stage of width {width}")
        if len(self.kernels) < max(self.heads):
            raise ValueError(f"{len(self.kernels)} kernels are too few for {max(self.heads)} heads")
        if not all(kernel % 2 for kernel in self.kernels):
            raise ValueError("kernels must be odd")
        return self


def build(spec: ModelSpec) -> nn.Module:
    """Build a classifier from its spec; `Hyper` says what `spec.hyper` holds.

    Windows are those of a 224 x 224 image at every resolution, as in the original's backbone for
    detection, so a checkpoint fits at all of them.

    Raises:
        UsageError: a hyper-parameter is missing, unknown or out of its range, or the task is another.
    """
    return Classifier(read_hyper(spec, {"cls": Hyper}))
