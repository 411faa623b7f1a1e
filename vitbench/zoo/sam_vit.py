"""SAM's image encoders: plain ViTs with attention in windows (arXiv 2304.02643, 2203.16527).

Submodule names are those of the official checkpoints, so the keys of the train form are theirs.
"""

from __future__ import annotations

import torch
from pydantic import model_validator
from torch import Tensor, nn
from torch.nn import functional as F

from vitbench.catalog.specs import ModelSpec, Spec
from vitbench.zoo.attention import Attention
from vitbench.zoo.hyper import Blocks, Channels, read_hyper
from vitbench.zoo.norms import ChannelNorm
from vitbench.zoo.resample import Size
from vitbench.zoo.wide import LayerNorm
from vitbench.zoo.windows import from_windows, to_windows

PATCH = 16
WINDOW = 14
NECK = 256
EXPAND = 4
NORM_EPS = 1e-6


class RelativeAttention(Attention):
    """Softmax attention over a map, with a bias of the query for each row and each column of the keys.

    The bias of a pair is query . row_table[rows apart] + query . column_table[columns apart]: two products
    with a gathered table, the first of them the same for all keys of a row, the second for those of a column.

    Args:
        channels: channels in and out; a multiple of `heads`.
        size: (height, width) of the maps that come in.
    """

    kind = "relative"
    formulations = ("products",)
    fast = "products"

    def __init__(self, channels: int, heads: int, size: Size) -> None:
        super().__init__()
        self.heads, self.size = heads, size
        self.dim = channels // heads
        self.qkv = nn.Linear(channels, 3 * channels)
        self.proj = nn.Linear(channels, channels)
        self.rel_pos_h = nn.Parameter(torch.zeros(2 * size[0] - 1, self.dim))
        self.rel_pos_w = nn.Parameter(torch.zeros(2 * size[1] - 1, self.dim))
        self.register_buffer("row_offsets", _offsets(size[0]), persistent=False)
        self.register_buffer("column_offsets", _offsets(size[1]), persistent=False)
        self.register_buffer("row_table", None, persistent=False)
        self.register_buffer("column_table", None, persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, H * W, channels), the pixels of maps of `size`, to the same shape."""
        qkv = self.qkv(x)
        width = qkv.shape[-1] // 3
        # Slices of the channels: a selected part of a five-dimensional tensor is gathered in ONNX.
        query, key, value = (
            qkv[:, :, start : start + width].unflatten(2, (self.heads, self.dim)).transpose(1, 2)
            for start in (0, width, 2 * width)
        )
        rows, columns = self._biases(query)
        weights = torch.matmul(query * self.dim**-0.5, key.transpose(-1, -2)).unflatten(-1, self.size)
        # Each sum lets go of the one before it: one of them in a global block of ViT-H takes 1 GB.
        weights = weights + rows[..., :, None]
        weights = weights + columns[..., None, :]
        out = torch.matmul(weights.flatten(-2).softmax(dim=-1), value)
        return self.proj(out.transpose(1, 2).flatten(2))

    def _biases(self, query: Tensor) -> tuple[Tensor, Tensor]:
        """Biases of queries (N, heads, H * W, dim), by rows (..., H) and by columns (..., W) of the keys."""
        rows, columns = self._tables()
        grid = query.unflatten(2, self.size)
        by_row = _lookup(grid.permute(2, 0, 1, 3, 4), rows).permute(1, 2, 0, 3, 4)
        by_column = _lookup(grid.permute(3, 0, 1, 2, 4), columns).permute(1, 2, 3, 0, 4)
        return by_row.flatten(2, 3), by_column.flatten(2, 3)

    def _tables(self) -> tuple[Tensor, Tensor]:
        """Weights of the biases for each pair of rows, (H, dim, H), and of columns, (W, dim, W)."""
        if self.row_table is not None:
            return self.row_table, self.column_table
        rows, columns = self.rel_pos_h[self.row_offsets], self.rel_pos_w[self.column_offsets]
        return rows.transpose(1, 2), columns.transpose(1, 2)

    def fold_(self) -> None:
        """Gather the tables once; they stay as parameters, as the original has no inference form."""
        self.row_table, self.column_table = (table.contiguous() for table in self._tables())


def _lookup(queries: Tensor, table: Tensor) -> Tensor:
    """Products of queries (L, N, heads, M, dim) with a table (L, dim, L): (L, N, heads, M, L).

    One product for each of the L rows or columns: the table is never repeated for batch and heads.
    """
    products = torch.matmul(queries.flatten(1, 3), table)
    return products.unflatten(1, queries.shape[1:4])


def _offsets(side: int) -> Tensor:
    """Place in a table of 2 side - 1 offsets of each pair (query, key) along one axis."""
    place = torch.arange(side, device="cpu")
    return place[:, None] - place[None, :] + side - 1


class FeedForward(nn.Module):
    """Two linear layers with exact GELU between."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.lin1 = nn.Linear(channels, EXPAND * channels)
        self.lin2 = nn.Linear(EXPAND * channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        return self.lin2(F.gelu(self.lin1(x)))


class Block(nn.Module):
    """Attention and feed-forward, each behind a norm and added to its input.

    Attention is among all pixels where `window` is None; else within windows, for which the map is padded
    with zeros to whole windows.
    """

    def __init__(self, channels: int, heads: int, size: Size, window: int | None) -> None:
        super().__init__()
        self.size, self.window = size, window
        self.norm1 = LayerNorm(channels, eps=NORM_EPS)
        self.attn = RelativeAttention(channels, heads, size if window is None else (window, window))
        self.norm2 = LayerNorm(channels, eps=NORM_EPS)
        self.mlp = FeedForward(channels)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, H, W, channels) to the same shape."""
        x = x + self._attend(self.norm1(x))
        return x + self.mlp(self.norm2(x))

    def _attend(self, x: Tensor) -> Tensor:
        if self.window is None:
            return self.attn(x.flatten(1, 2)).unflatten(1, self.size)
        height, width = self.size
        below, right = -height % self.window, -width % self.window
        windows = to_windows(F.pad(x, (0, 0, 0, right, 0, below)), self.window)
        x = from_windows(self.attn(windows), self.window, (height + below, width + right))
        return x[:, :height, :width]


class PatchEmbedding(nn.Module):
    """Patches of 16 x 16 pixels as vectors: (N, 3, H, W) to (N, H / 16, W / 16, channels)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(3, channels, PATCH, PATCH)

    def forward(self, x: Tensor) -> Tensor:
        return self.proj(x).permute(0, 2, 3, 1)


class ImageEncoder(nn.Module):
    """ViT and neck: (N, 3, H, W) to an embedding (N, 256, H / 16, W / 16)."""

    output_names = ("image_embedding",)
    checkpoint_prefix = "image_encoder."

    def __init__(self, hyper: Hyper, size: Size) -> None:
        super().__init__()
        channels = hyper.width
        self.patch_embed = PatchEmbedding(channels)
        self.pos_embed = nn.Parameter(torch.zeros(1, *size, channels))
        self.blocks = nn.ModuleList(
            Block(channels, hyper.heads, size, None if index in hyper.global_blocks else WINDOW)
            for index in range(hyper.depth)
        )
        self.neck = nn.Sequential(
            nn.Conv2d(channels, NECK, 1, bias=False),
            ChannelNorm(NECK, eps=NORM_EPS),
            nn.Conv2d(NECK, NECK, 3, padding=1, bias=False),
            ChannelNorm(NECK, eps=NORM_EPS),
        )

    def forward(self, x: Tensor) -> Tensor:
        x = self.patch_embed(x) + self.pos_embed
        for block in self.blocks:
            x = block(x)
        return self.neck(x.permute(0, 3, 1, 2))


class Hyper(Spec):
    """Hyper-parameters: `depth` blocks, of which `global_blocks`, counted from 0, attend to the whole map."""

    width: Channels
    depth: Blocks
    heads: Channels
    global_blocks: tuple[Blocks, ...]

    @model_validator(mode="after")
    def _fits(self) -> Hyper:
        if self.width % self.heads:
            raise ValueError(f"{self.heads} heads do not divide a width of {self.width}")
        if any(block >= self.depth for block in self.global_blocks):
            raise ValueError(f"global_blocks name block {max(self.global_blocks)} of {self.depth}")
        return self


def build(spec: ModelSpec) -> nn.Module:
    """Build an image encoder from its spec; `Hyper` says what `spec.hyper` holds.

    As in the original, tables of positions have the size of the map, so a checkpoint fits at one resolution.

    Raises:
        UsageError: a hyper-parameter is missing, unknown or out of its range, or the task is another.
    """
    hyper = read_hyper(spec, {"sam": Hyper})
    return ImageEncoder(hyper, (spec.resolution[0] // PATCH, spec.resolution[1] // PATCH))
