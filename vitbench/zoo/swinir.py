"""SwinIR: super resolution by attention in shifted windows (arXiv 2108.10257), the lightweight design.

Submodule names are those of the official checkpoints, so the keys of the train form are theirs.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from vitbench.catalog.specs import ModelSpec, Resolution, Spec
from vitbench.errors import UsageError
from vitbench.zoo.attention import Attention
from vitbench.zoo.hyper import Blocks, Channels, check_attention, read_hyper
from vitbench.zoo.wide import LayerNorm
from vitbench.zoo.windows import from_windows, to_windows

# Of the training images; the network sees differences from it.
RGB_MEAN = (0.4488, 0.4371, 0.4040)
# What a pair of pixels that are no neighbours in the image gets added: e^-100 is nothing in a softmax.
FORBIDDEN = -100.0


class WindowAttention(Attention):
    """Softmax attention within each window, with a learned bias for each offset of two pixels.

    Shifted windows hold pixels from opposite borders of the map; a mask keeps those from each other.

    Formulations: `products` adds bias and mask one after the other, each spread over what it does not
    depend on; `fused` hands scaled_dot_product_attention their sum for every window and head, which an
    exported graph holds as a constant: 59 MB for each shifted block at 160x240.
    """

    kind = "window-softmax"
    formulations = ("products", "fused")
    fast = "products"

    def __init__(self, channels: int, heads: int, side: int) -> None:
        super().__init__()
        self.heads = heads
        self.relative_position_bias_table = nn.Parameter(torch.zeros((2 * side - 1) ** 2, heads))
        self.register_buffer("relative_position_index", offset_index(side))
        self.qkv = nn.Linear(channels, 3 * channels)
        self.proj = nn.Linear(channels, channels)

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        """Map (N * windows, pixels, channels) to the same shape; mask (windows, 1, pixels, pixels)."""
        windows, pixels, channels = x.shape
        parts = self.qkv(x)
        query, key, value = (
            parts[..., start : start + channels].reshape(windows, pixels, self.heads, -1).transpose(1, 2)
            for start in range(0, 3 * channels, channels)
        )
        out = self.attend(query, key, value, mask)
        return self.proj(out.transpose(1, 2).reshape(windows, pixels, channels))

    def attend(self, query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None) -> Tensor:
        """Attention of every head; query, key, value (N * windows, heads, pixels, dim)."""
        windows, heads, pixels, dim = query.shape
        bias = self.relative_position_bias_table[self.relative_position_index].permute(2, 0, 1)
        if self.formulation == "fused":
            if mask is not None:
                bias = (bias + mask).repeat(windows // len(mask), 1, 1, 1)
            return F.scaled_dot_product_attention(query, key, value, attn_mask=bias)
        weights = torch.matmul(query * dim**-0.5, key.transpose(-1, -2)) + bias
        if mask is not None:
            weights = weights.reshape(-1, len(mask), heads, pixels, pixels) + mask
            weights = weights.reshape(windows, heads, pixels, pixels)
        return torch.matmul(weights.softmax(dim=-1), value)


def offset_index(side: int) -> Tensor:
    """For each pair of pixels of a window, the place of their offset in the table: (pixels, pixels)."""
    places = torch.arange(side, device="cpu")
    offsets = places[:, None] - places[None] + side - 1
    rows = offsets[:, None, :, None] * (2 * side - 1)
    return (rows + offsets[None, :, None, :]).reshape(side**2, side**2)


def shift_mask(size: Resolution, side: int) -> Tensor:
    """What is added to the products of a shifted map's windows and heads: (windows, 1, pixels, pixels).

    Along each axis the shift by half a window brings the first pixels of the map behind its last ones,
    into the last window. A pair has 0 where both are from one of these parts, on both axes.
    """
    wrapped = [(torch.arange(length, device="cpu") >= length - side // 2).float() for length in size]
    region = 2 * wrapped[0][:, None] + wrapped[1]
    pixels = to_windows(region[None, :, :, None], side)
    return (pixels != pixels.transpose(1, 2))[:, None].float() * FORBIDDEN


class FeedForward(nn.Module):
    """Two linear layers with GELU between them."""

    def __init__(self, channels: int, hidden: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(channels, hidden)
        self.fc2 = nn.Linear(hidden, channels)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc2(F.gelu(self.fc1(x)))


class Block(nn.Module):
    """Attention in windows, shifted where there is a mask, and feed-forward, each with norm and residual."""

    derived = ("attn_mask",)

    def __init__(self, hyper: Hyper, mask: Tensor | None) -> None:
        super().__init__()
        self.window = hyper.window
        self.shift = 0 if mask is None else hyper.window // 2
        # Two views of one memory: as the checkpoints have it, and as it is added.
        self.register_buffer("attn_mask", None if mask is None else mask[:, 0])
        self.register_buffer("spread_mask", mask, persistent=False)
        self.norm1 = LayerNorm(hyper.channels)
        self.attn = WindowAttention(hyper.channels, hyper.heads, hyper.window)
        self.norm2 = LayerNorm(hyper.channels)
        self.mlp = FeedForward(hyper.channels, hyper.channels * hyper.expand)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, H, W, channels) to the same shape."""
        x = x + self._attend(self.norm1(x))
        return x + self.mlp(self.norm2(x))

    def _attend(self, x: Tensor) -> Tensor:
        """Attention of the windows of the map, or of the map shifted up and left."""
        if self.shift:
            x = torch.roll(x, (-self.shift, -self.shift), dims=(1, 2))
        windows = self.attn(to_windows(x, self.window), self.spread_mask)
        x = from_windows(windows, self.window, x.shape[1:3])
        return torch.roll(x, (self.shift, self.shift), dims=(1, 2)) if self.shift else x


class ResidualGroup(nn.Module):
    """Blocks, every second one shifted, and a 3x3 convolution, with a residual around them."""

    def __init__(self, hyper: Hyper, depth: int, mask: Tensor) -> None:
        super().__init__()
        blocks = nn.Sequential(*(Block(hyper, mask if place % 2 else None) for place in range(depth)))
        self.residual_group = nn.Sequential(OrderedDict(blocks=blocks))
        self.conv = nn.Conv2d(hyper.channels, hyper.channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, H, W, channels) to the same shape."""
        return x + to_pixels(self.conv(to_map(self.residual_group(x))))


def to_map(x: Tensor) -> Tensor:
    """(N, H, W, C) to (N, C, H, W)."""
    return x.permute(0, 3, 1, 2)


def to_pixels(x: Tensor) -> Tensor:
    """(N, C, H, W) to (N, H, W, C)."""
    return x.permute(0, 2, 3, 1)


class SwinIR(nn.Module):
    """Groups of blocks at the input's resolution: (N, 3, *size) to (N, 3, *(scale * size)).

    A map that windows do not fill is continued by its mirror image at the bottom and on the right, and the
    output is cut.
    """

    output_names = ("output",)

    def __init__(self, hyper: Hyper, size: Resolution) -> None:
        super().__init__()
        channels, self.scale, self.size = hyper.channels, hyper.scale, size
        self.missing = (-size[0] % hyper.window, -size[1] % hyper.window)
        filled = (size[0] + self.missing[0], size[1] + self.missing[1])
        mean = torch.tensor(RGB_MEAN, device="cpu").reshape(1, 3, 1, 1)
        self.register_buffer("mean", mean, persistent=False)
        # One tensor for all blocks: 59 MB at 360x640.
        mask = shift_mask(filled, hyper.window)
        self.conv_first = nn.Conv2d(3, channels, 3, padding=1)
        self.patch_embed = nn.Sequential(OrderedDict(norm=LayerNorm(channels)))
        self.layers = nn.Sequential(*(ResidualGroup(hyper, depth, mask) for depth in hyper.depth))
        self.norm = LayerNorm(channels)
        self.conv_after_body = nn.Conv2d(channels, channels, 3, padding=1)
        self.upsample = nn.Sequential(
            nn.Conv2d(channels, 3 * self.scale**2, 3, padding=1), nn.PixelShuffle(self.scale)
        )

    def forward(self, x: Tensor) -> Tensor:
        bottom, right = self.missing
        if bottom or right:
            x = F.pad(x, (0, right, 0, bottom), mode="reflect")
        shallow = self.conv_first(x - self.mean)
        deep = self.norm(self.layers(self.patch_embed(to_pixels(shallow))))
        x = self.upsample(shallow + self.conv_after_body(to_map(deep))) + self.mean
        return x[:, :, : self.scale * self.size[0], : self.scale * self.size[1]]


class Hyper(Spec):
    """Channels, heads, the windows' side and the feed-forward's expansion of all blocks; blocks per group."""

    channels: Channels
    depth: Annotated[tuple[Blocks, ...], Field(min_length=1)]
    heads: Channels
    window: Annotated[int, Field(strict=True, ge=2, le=64, multiple_of=2)]
    expand: Annotated[int, Field(strict=True, ge=1, le=64)]
    scale: Literal[2, 3, 4]


def build(spec: ModelSpec) -> nn.Module:
    """Build a lightweight SwinIR for the resolution of its spec.

    Raises:
        UsageError: hyper-parameters that do not fit, heads that do not divide the channels, another kind of
            attention, or a map too small to be continued to a whole window by its mirror image.
    """
    hyper = read_hyper(spec, {"sr": Hyper})
    check_attention(spec, WindowAttention.kind)
    if hyper.channels % hyper.heads:
        raise UsageError(
            f"{hyper.heads} heads do not divide the {hyper.channels} channels of {spec.name}",
            "choose `heads` that divide `channels`",
        )
    if any(-side % hyper.window >= side for side in spec.resolution):
        raise UsageError(
            f"{spec.name} cannot be built for {spec.resolution[0]}x{spec.resolution[1]}",
            f"give each side more than half of a window of {hyper.window} pixels",
        )
    return SwinIR(hyper, spec.resolution)
