"""EfficientViT of Microsoft: cascaded group attention (arXiv 2305.07027).

Submodule names are those of the official checkpoints, so the keys of the train form are theirs.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn
from torch.nn import functional as F

from vitbench.catalog.specs import ModelSpec, Spec
from vitbench.zoo.attention import Attention, softmax_attend
from vitbench.zoo.folding import fold_into_next, fold_into_previous
from vitbench.zoo.hyper import Blocks, Channels, read_hyper
from vitbench.zoo.windows import from_windows, to_windows

KEY_DIM = 16
# The largest that fit the maps of a 224 x 224 image, of 14, 7 and 4 pixels a side.
WINDOWS = (7, 7, 4)
STAGES = len(WINDOWS)


class NormedConv(nn.Module):
    """Convolution with 'same' padding and no bias, then BatchNorm."""

    def __init__(self, cin: int, cout: int, kernel: int = 1, stride: int = 1, *, groups: int = 1) -> None:
        super().__init__()
        self.c = nn.Conv2d(cin, cout, kernel, stride, kernel // 2, groups=groups, bias=False)
        self.bn: nn.BatchNorm2d | None = nn.BatchNorm2d(cout)

    def forward(self, x: Tensor) -> Tensor:
        x = self.c(x)
        return x if self.bn is None else self.bn(x)

    def fold_(self) -> None:
        """Merge the BatchNorm into the convolution, in place."""
        if self.bn is not None:
            fold_into_previous(self.c, self.bn)
            self.bn = None


class QueryConv(NormedConv):
    """The convolution that queries come out of."""

    query = True


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


class CascadedGroupAttention(Attention):
    """Heads that each see their own part of the channels, and what the head before them made of its own.

    A head makes query and key of 16 channels and a value of the width of its part; the query passes a
    depthwise convolution, and the products get a bias for each absolute offset of two pixels. Heads depend
    on one another, so they run one after the other.

    Args:
        channels: channels in and out; a multiple of `heads`.
        kernels: sizes of the depthwise convolutions, one for each head.
        side: pixels a side of the maps that come in.
    """

    kind = "cga"
    formulations = ("products",)
    fast = "products"
    derived = ("attention_bias_idxs",)

    def __init__(self, channels: int, heads: int, kernels: tuple[int, ...], side: int) -> None:
        super().__init__()
        width = channels // heads
        self.qkvs = nn.ModuleList(NormedConv(width, 2 * KEY_DIM + width) for _ in range(heads))
        self.dws = nn.ModuleList(
            QueryConv(KEY_DIM, KEY_DIM, kernel, groups=KEY_DIM) for kernel in kernels[:heads]
        )
        self.proj = nn.Sequential(nn.ReLU(), NormedConv(channels, channels))
        self.attention_biases = nn.Parameter(torch.zeros(heads, side * side))
        self.register_buffer("attention_bias_idxs", offset_indices(side))
        self.register_buffer("bias_map", None, persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, channels, side, side) to the same shape."""
        bias = self._bias_map() if self.bias_map is None else self.bias_map
        parts = x.chunk(len(self.qkvs), dim=1)
        outputs: list[Tensor] = []
        for head, part in enumerate(parts):
            outputs.append(self._attend(head, part + outputs[-1] if outputs else part, bias[head]))
        return self.proj(torch.cat(outputs, dim=1))

    def _attend(self, head: int, x: Tensor, bias: Tensor) -> Tensor:
        """One head, on its part of the channels."""
        qkv = self.qkvs[head](x)
        query = self.dws[head](qkv[:, :KEY_DIM])
        query, key, value = (
            tensor.flatten(2).unsqueeze(1)
            for tensor in (query, qkv[:, KEY_DIM : 2 * KEY_DIM], qkv[:, 2 * KEY_DIM :])
        )
        out = softmax_attend(query, key, value, fused=False, bias=bias)
        return out.reshape(x.shape)

    def _bias_map(self) -> Tensor:
        """Bias of every pair of pixels, (heads, side^2, side^2)."""
        return self.attention_biases[:, self.attention_bias_idxs]

    def fold_(self) -> None:
        """Look the biases up once; the table stays, as a parameter of the original's inference form."""
        self.bias_map = self._bias_map()


def offset_indices(side: int) -> Tensor:
    """Number of the absolute offset of each pair of pixels, |rows apart| side + |columns apart|."""
    place = torch.arange(side, device="cpu")
    apart = (place[:, None] - place[None, :]).abs()
    index = side * apart[:, None, :, None] + apart[None, :, None, :]
    return index.reshape(side * side, side * side)


class WindowAttention(nn.Module):
    """Cascaded group attention within windows; the map is padded with zeros to whole windows."""

    def __init__(self, channels: int, heads: int, kernels: tuple[int, ...], side: int) -> None:
        super().__init__()
        self.side = side
        self.attn = CascadedGroupAttention(channels, heads, kernels, side)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, channels, H, W) to the same shape."""
        height, width = x.shape[2:]
        below, right = -height % self.side, -width % self.side
        if below or right:
            x = F.pad(x, (0, right, 0, below))
        size = (height + below, width + right)
        if size == (self.side, self.side):
            x = self.attn(x)
        else:
            windows = to_windows(x.permute(0, 2, 3, 1), self.side)
            windows = windows.transpose(1, 2).reshape(-1, x.shape[1], self.side, self.side)
            windows = self.attn(windows).flatten(2).transpose(1, 2)
            x = from_windows(windows, self.side, size).permute(0, 3, 1, 2)
        return x[:, :, :height, :width] if below or right else x


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
        means = x.mean(dim=(2, 3), keepdim=True)
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
        return self.head(x.mean(dim=(2, 3)))


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
