"""Cascaded group attention in windows (arXiv 2305.07027, section 3.1).

Submodule names are those of the official checkpoints.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vitbench.zoo.attention import Attention, softmax_attend
from vitbench.zoo.folding import fold_into_previous
from vitbench.zoo.windows import from_window_maps, to_window_maps

# Of query and key in every published network.
KEY_DIM = 16


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


class CascadedGroupAttention(Attention):
    """Heads that each see their own part of the channels, and what the head before them made of its own.

    A head makes query and key of `key_dim` channels and a value of the width of its part; the query passes a
    depthwise convolution, and the products get a bias for each absolute offset of two pixels. Heads depend
    on one another, so they run one after the other.

    Formulations: `products` writes both products and the softmax, `fused` is the framework's operator.

    Args:
        channels: channels in and out; a multiple of `heads`.
        kernels: sizes of the depthwise convolutions, one for each head.
        side: pixels a side of the maps that come in.
        key_dim: channels of a head's query and key.
    """

    kind = "cga"
    formulations = ("products", "fused")
    fast = "products"
    derived = ("attention_bias_idxs",)

    def __init__(
        self, channels: int, heads: int, kernels: tuple[int, ...], side: int, key_dim: int = KEY_DIM
    ) -> None:
        super().__init__()
        width = channels // heads
        self.key_dim = key_dim
        self.qkvs = nn.ModuleList(NormedConv(width, 2 * key_dim + width) for _ in range(heads))
        self.dws = nn.ModuleList(
            QueryConv(key_dim, key_dim, kernel, groups=key_dim) for kernel in kernels[:heads]
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
        dim = self.key_dim
        query = self.dws[head](qkv[:, :dim])
        query, key, value = (
            tensor.flatten(2).unsqueeze(1) for tensor in (query, qkv[:, dim : 2 * dim], qkv[:, 2 * dim :])
        )
        out = softmax_attend(query, key, value, fused=self.formulation == "fused", bias=bias)
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

    def __init__(
        self, channels: int, heads: int, kernels: tuple[int, ...], side: int, key_dim: int = KEY_DIM
    ) -> None:
        super().__init__()
        self.side = side
        self.attn = CascadedGroupAttention(channels, heads, kernels, side, key_dim)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, channels, H, W) to the same shape."""
        height, width = x.shape[2:]
        below, right = -height % self.side, -width % self.side
        if below or right:
            x = F.pad(x, (0, right, 0, below))
        windows = self.attn(to_window_maps(x, (self.side, self.side)))
        x = from_window_maps(windows, (height + below, width + right))
        return x[:, :, :height, :width] if below or right else x
