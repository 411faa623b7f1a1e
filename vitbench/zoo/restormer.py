"""Restormer: attention between channels for image restoration (arXiv 2111.09881).

Submodule names are those of the official checkpoints, so the keys are theirs.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from vitbench.catalog.specs import ModelSpec, Spec
from vitbench.errors import UsageError
from vitbench.zoo.attention import Attention
from vitbench.zoo.hyper import Blocks, Channels, check_attention, read_hyper
from vitbench.zoo.norms import ChannelNorm
from vitbench.zoo.wide import narrow, wide

LEVELS = 4


class TransposedAttention(Attention):
    """Attention between the channels of a head over all pixels (MDTA): linear in the pixels.

    softmax(t cos(q_i, k_j)) v_j for channels i, j of one head, with a learned temperature t for each head;
    query, key and value are a 1x1 convolution and a depthwise 3x3.

    Formulations: `products` divides queries and keys by their norms, then multiplies; `late-norm`
    multiplies first and divides the channels x channels products; `fused` is `products` through
    scaled_dot_product_attention.
    """

    kind = "mdta"
    formulations = ("products", "late-norm", "fused")
    fast = "late-norm"
    eps = 1e-12

    def __init__(self, channels: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.temperature = nn.Parameter(torch.ones(heads, 1, 1))
        self.qkv = nn.Conv2d(channels, 3 * channels, 1, bias=False)
        self.qkv_dwconv = nn.Conv2d(3 * channels, 3 * channels, 3, padding=1, groups=3 * channels, bias=False)
        self.project_out = nn.Conv2d(channels, channels, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, channels, H, W) to the same shape."""
        batch, channels, height, width = x.shape
        qkv = self.qkv_dwconv(self.qkv(x))
        qkv = wide(qkv)  # sums over all pixels leave the range of half
        qkv = qkv.reshape(batch, 3 * self.heads, channels // self.heads, height * width)
        query, key = qkv[:, : self.heads], qkv[:, self.heads : 2 * self.heads]
        out = narrow(self.attend(query, key, qkv[:, 2 * self.heads :]), x)
        return self.project_out(out.reshape(batch, channels, height, width))

    def attend(self, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        """Attention of every head; all tensors (N, heads, channels, pixels)."""
        temperature = narrow(self.temperature, query)
        if self.formulation == "late-norm":
            norms = self._norms(query) * self._norms(key).transpose(-1, -2)
            weights = torch.matmul(query, key.transpose(-1, -2)) * (temperature / norms)
            return torch.matmul(weights.softmax(dim=-1), value)
        query, key = query / self._norms(query), key / self._norms(key)
        if self.formulation == "fused":
            return F.scaled_dot_product_attention(query * temperature, key, value, scale=1.0)
        weights = torch.matmul(query, key.transpose(-1, -2)) * temperature
        return torch.matmul(weights.softmax(dim=-1), value)

    def _norms(self, x: Tensor) -> Tensor:
        """Length of every channel over the pixels, (N, heads, channels, 1), never zero."""
        return torch.linalg.vector_norm(x, dim=-1, keepdim=True).clamp(min=self.eps)


class GatedFeedForward(nn.Module):
    """1x1 expansion and depthwise 3x3 (GDFN); one half goes through GELU and gates the other; 1x1 back."""

    def __init__(self, channels: int, hidden: int) -> None:
        super().__init__()
        self.hidden = hidden
        self.project_in = nn.Conv2d(channels, 2 * hidden, 1, bias=False)
        self.dwconv = nn.Conv2d(2 * hidden, 2 * hidden, 3, padding=1, groups=2 * hidden, bias=False)
        self.project_out = nn.Conv2d(hidden, channels, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, channels, H, W) to the same shape."""
        x = self.dwconv(self.project_in(x))
        return self.project_out(F.gelu(x[:, : self.hidden]) * x[:, self.hidden :])


def norm(channels: int) -> nn.Module:
    """LayerNorm over the channels under the name `body`."""
    return nn.Sequential(OrderedDict(body=ChannelNorm(channels)))


class Block(nn.Module):
    """Attention and feed-forward, each with its norm before and its residual around."""

    def __init__(self, channels: int, heads: int, expand: float) -> None:
        super().__init__()
        self.norm1 = norm(channels)
        self.attn = TransposedAttention(channels, heads)
        self.norm2 = norm(channels)
        self.ffn = GatedFeedForward(channels, int(channels * expand))

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, channels, H, W) to the same shape."""
        x = x + self.attn(self.norm1(x))
        return x + self.ffn(self.norm2(x))


def rescale(channels: int, shuffle: nn.Module, factor: float) -> nn.Module:
    """3x3 convolution to `factor` times the channels and a (un)shuffle by 2, under the name `body`."""
    convolution = nn.Conv2d(channels, int(channels * factor), 3, padding=1, bias=False)
    return nn.Sequential(OrderedDict(body=nn.Sequential(convolution, shuffle)))


class Restormer(nn.Module):
    """U-shaped network of four levels, plus its input: (N, 3, H, W) to the same shape; 8 divides H and W.

    The channels double from level to level. On the way up, the map of the way down is concatenated and the
    channels are halved again, but for the first level: there they stay doubled.
    """

    output_names = ("output",)

    def __init__(self, hyper: Hyper) -> None:
        super().__init__()
        widths = [hyper.channels * 2**level for level in range(LEVELS)]

        def blocks(width: int, level: int, count: int) -> nn.Module:
            return nn.Sequential(*(Block(width, hyper.heads[level], hyper.expand) for _ in range(count)))

        self.patch_embed = nn.Sequential(OrderedDict(proj=nn.Conv2d(3, widths[0], 3, padding=1, bias=False)))
        for level in range(LEVELS - 1):
            number = level + 1
            inner = widths[max(level, 1)]
            count = hyper.depth[level]
            self.add_module(f"encoder_level{number}", blocks(widths[level], level, count))
            self.add_module(f"down{number}_{number + 1}", rescale(widths[level], nn.PixelUnshuffle(2), 0.5))
            self.add_module(f"up{number + 1}_{number}", rescale(widths[level + 1], nn.PixelShuffle(2), 2))
            if level:
                reduce = nn.Conv2d(widths[level + 1], inner, 1, bias=False)
                self.add_module(f"reduce_chan_level{number}", reduce)
            self.add_module(f"decoder_level{number}", blocks(inner, level, count))
        self.latent = blocks(widths[-1], LEVELS - 1, hyper.depth[-1])
        self.refinement = blocks(widths[1], 0, hyper.refinement)
        self.output = nn.Conv2d(widths[1], 3, 3, padding=1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        maps, features = [], self.patch_embed(x)
        for number in range(1, LEVELS):
            maps.append(getattr(self, f"encoder_level{number}")(features))
            features = getattr(self, f"down{number}_{number + 1}")(maps[-1])
        features = self.latent(features)
        for number in range(LEVELS - 1, 0, -1):
            features = getattr(self, f"up{number + 1}_{number}")(features)
            features = torch.cat([features, maps[number - 1]], dim=1)
            if number > 1:
                features = getattr(self, f"reduce_chan_level{number}")(features)
            features = getattr(self, f"decoder_level{number}")(features)
        return x + self.output(self.refinement(features))


class Hyper(Spec):
    """Channels of the first level; blocks and heads of each level, the first at full resolution.

    The feed-forward is `expand` times as wide as its level, rounded down; `refinement` blocks follow the
    last level.
    """

    channels: Annotated[Channels, Field(multiple_of=2)]
    depth: Annotated[tuple[Blocks, ...], Field(min_length=LEVELS, max_length=LEVELS)]
    refinement: Blocks
    heads: Annotated[tuple[Channels, ...], Field(min_length=LEVELS, max_length=LEVELS)]
    expand: Annotated[float, Field(ge=1, le=64)]


def build(spec: ModelSpec) -> nn.Module:
    """Build a Restormer from its spec.

    Raises:
        UsageError: hyper-parameters that do not fit, heads that do not divide the channels of a level, or
            another kind of attention.
    """
    hyper = read_hyper(spec, {"restoration": Hyper})
    check_attention(spec, TransposedAttention.kind)
    for level, heads in enumerate(hyper.heads):
        if hyper.channels * 2**level % heads:
            raise UsageError(
                f"{heads} heads do not divide the {hyper.channels * 2**level} channels of level {level + 1}"
                f" of {spec.name}",
                "choose `heads` that divide `channels`, twice, four and eight times `channels`",
            )
    return Restormer(hyper)
