"""One attention interface, and its kinds that see the whole map.

Every kind maps (N, C, H, W) to (N, C, H, W). `kind` says which function of the input is computed,
`formulation` how.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vitbench.zoo.blocks import ConvLayer
from vitbench.zoo.formulation import Formulated
from vitbench.zoo.norms import ChannelNorm
from vitbench.zoo.wide import narrow, wide

NORMALISER_EPS = 1e-15


class Attention(Formulated):
    """Base of all kinds."""


class TokenAttention(Attention):
    """Tokens, heads and output projection that the published kinds share.

    A 1x1 convolution makes query, key and value; each scale adds the same of a neighbourhood (depthwise
    scale x scale, then 1x1 within each head's query, key or value), as further heads. Heads are
    interleaved on channels, each [query | key | value] of `dim` channels.

    Args:
        channels: channels in and out; a multiple of `dim`.
        dim: channels of a head.
        scales: kernel sizes of the aggregated neighbourhoods.
        norm_eps: epsilon of the BatchNorm behind the projection.

    Attributes:
        sums_pixels: the kind adds up products over all pixels, which leave the range of half; a softmax is
            a mean of them.
    """

    sums_pixels = False

    def __init__(self, channels: int, dim: int, scales: tuple[int, ...], *, norm_eps: float) -> None:
        super().__init__()
        self.dim = dim
        heads = channels // dim
        total = heads * dim
        self.qkv = ConvLayer(channels, 3 * total, norm_eps=None)
        self.aggreg = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(3 * total, 3 * total, scale, padding=scale // 2, groups=3 * total, bias=False),
                nn.Conv2d(3 * total, 3 * total, 1, groups=3 * heads, bias=False),
            )
            for scale in scales
        )
        self.proj = ConvLayer(total * (1 + len(scales)), channels, norm_eps=norm_eps)

    def joined(self, x: Tensor) -> Tensor:
        """Query, key and value of every head on channels, (N, heads * 3 * dim, H, W)."""
        qkv = self.qkv(x)
        if self.aggreg:
            qkv = torch.cat([qkv, *(scale(qkv) for scale in self.aggreg)], dim=1)
        return qkv

    def heads(self, qkv: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Query, key and value of every head of what `joined` gives, each (N, heads, dim, H*W)."""
        batch, _, height, width = qkv.shape
        qkv = qkv.reshape(batch, -1, 3 * self.dim, height * width)
        if self.sums_pixels:
            qkv = wide(qkv)
        # Slices: a split becomes a sequence of tensors in an unoptimised ONNX graph.
        return qkv[:, :, : self.dim], qkv[:, :, self.dim : 2 * self.dim], qkv[:, :, 2 * self.dim :]

    def tokens(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Query, key and value of every head, each (N, heads, dim, H*W)."""
        return self.heads(self.joined(x))

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C, H, W) to the same shape."""
        batch, _, height, width = x.shape
        out = narrow(self.attend(*self.tokens(x)), x)
        return self.proj(out.reshape(batch, -1, height, width))

    def attend(self, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        """Attention of every head; all tensors (N, heads, dim, pixels)."""
        raise NotImplementedError


class ReluAttention(TokenAttention):
    """ReLU linear attention (LiteMLA): out_i = sum_j v_j (k_j . q_i) / sum_j (k_j . q_i), q and k after ReLU.

    Summed over j first, the cost is linear in the pixels. Maps of at most `dim` pixels take the quadratic
    order, as the original does. Source: EfficientViT, arXiv 2205.14756, section 3.1.

    The original adds `eps` to the denominator. Here it is the lower bound of the denominator: exporters
    drop an addition of 1e-15, and then a pixel without any positive query is 0/0. Every term of the
    denominator is >= 0, so wherever it is 0 the numerator is 0 as well, and both guards give 0;
    wherever it is d > 0 the two differ by the factor 1 + eps/d, under half a unit of float32 from
    d = 2e-8 on.

    Formulations: `ones-pad` pads the value with a row of ones, whose output is the denominator;
    `ones-concat` concatenates that row; `key-sum` takes the denominator as q . sum_j k_j.
    """

    kind = "relu"
    sums_pixels = True
    formulations = ("ones-pad", "ones-concat", "key-sum")
    fast = "key-sum"
    eps = NORMALISER_EPS

    def attend(self, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        query, key = F.relu(query), F.relu(key)
        if query.shape[-1] <= self.dim:
            return self._quadratic(query, key, value)
        if self.formulation == "key-sum":
            total = key.sum(dim=-1).unsqueeze(2)  # a row: transposing a column is slower in ONNX Runtime
            numerator = torch.matmul(torch.matmul(value, key.transpose(-1, -2)), query)
            return numerator / torch.matmul(total, query).clamp(min=self.eps)
        if self.formulation == "ones-pad":
            value = F.pad(value, (0, 0, 0, 1), value=1.0)
        else:
            value = torch.cat([value, torch.ones_like(value[:, :, :1])], dim=2)
        out = torch.matmul(torch.matmul(value, key.transpose(-1, -2)), query)
        return out[:, :, : self.dim] / out[:, :, self.dim :].clamp(min=self.eps)

    def _quadratic(self, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        """The same value through the pixels x pixels map, indexed [key, query]."""
        weights = torch.matmul(key.transpose(-1, -2), query)
        weights = weights / weights.sum(dim=2, keepdim=True).clamp(min=self.eps)
        return torch.matmul(value, weights)

    def normaliser(self, x: Tensor) -> Tensor:
        """Denominators before the guard, (N, heads, H*W), for the module's input `x`."""
        query, key, _ = self.tokens(x)
        return torch.einsum("nhdp,nhd->nhp", F.relu(query), F.relu(key).sum(dim=-1))


class SingleScaleReluAttention(ReluAttention):
    """ReLU linear attention without the multi-scale branch; its projection reads the plain heads only."""

    kind = "relu-single"

    def __init__(self, channels: int, dim: int, scales: tuple[int, ...], *, norm_eps: float) -> None:
        super().__init__(channels, dim, (), norm_eps=norm_eps)


def softmax_attend(
    query: Tensor, key: Tensor, value: Tensor, *, fused: bool, bias: Tensor | None = None
) -> Tensor:
    """softmax(q k^T / sqrt(dim) + bias) v over the keys, (N, heads, dim, Q).

    Query (N, heads, dim, Q), key and value (N, heads, dim, K), bias (Q, K) or with batch and heads before.
    Unfused, the scale is folded into the query: Q x dim multiplications in place of Q x K.
    """
    if fused:
        rows = (tensor.transpose(-1, -2) for tensor in (query, key, value))
        return F.scaled_dot_product_attention(*rows, attn_mask=bias).transpose(-1, -2)
    scaled = query * (1.0 / math.sqrt(query.shape[2]))
    weights = torch.matmul(scaled.transpose(-1, -2), key)
    weights = (weights if bias is None else weights + bias).softmax(dim=-1)
    # Transposing the result instead of the weights: ONNX Runtime is slow on the transposed Q x K factor.
    return torch.matmul(weights, value.transpose(-1, -2)).transpose(-1, -2)


class SoftmaxAttention(TokenAttention):
    """Softmax similarity on the same tokens, heads, scales and parameters as ReLU linear attention.

    Formulations: `products` writes both products and the softmax, `fused` is the framework's operator.
    """

    kind = "softmax"
    formulations = ("products", "fused")
    fast = "products"

    def attend(self, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        return softmax_attend(query, key, value, fused=self.formulation == "fused")


class ReducedAttention(Attention):
    """Softmax attention with keys and values on a coarser grid (SegFormer, arXiv 2105.15203, section 3.1).

    Args:
        dim: channels of a head.
        q: makes the queries of a map.
        kv: makes keys and values, [keys | values] on channels, each head after head.
        sr: shrinks the map that keys and values are made of; None where they are of the map itself.
        norm: norm of the shrunk map.
        proj: projection of the result.
    """

    kind = "sra-softmax"
    formulations = ("products", "fused")
    fast = "products"

    def __init__(
        self,
        dim: int,
        *,
        q: nn.Module,
        kv: nn.Module,
        sr: nn.Module | None,
        norm: nn.Module | None,
        proj: nn.Module,
    ) -> None:
        super().__init__()
        self.dim = dim
        self.q, self.kv, self.sr, self.norm, self.proj = q, kv, sr, norm, proj

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C, H, W) to the same shape."""
        batch, _, height, width = x.shape
        coarse = x if self.sr is None else self.norm(self.sr(x))
        query = self.q(x).reshape(batch, -1, self.dim, height * width)
        rows, columns = coarse.shape[2:]
        pairs = self.kv(coarse).reshape(batch, 2, -1, self.dim, rows * columns)
        out = softmax_attend(query, pairs[:, 0], pairs[:, 1], fused=self.formulation == "fused")
        return self.proj(out.reshape(batch, -1, height, width))


class SpatialReductionAttention(ReducedAttention):
    """Spatial-reduction attention in the place of EfficientViT's.

    As in SegFormer: keys and values come from the grid of stride 32 at every stage, by a convolution with
    kernel = stride = 32 / stride of the stage and a LayerNorm over channels (eps 1e-5); at stride 32 both
    are absent. As in EfficientViT: heads of `dim` channels, 1x1 convolutions without bias for query, key
    and value, and a projection with BatchNorm. There is no multi-scale branch. The convolution leaves out
    the last rows and columns of a map whose sides it does not divide.
    """

    def __init__(self, channels: int, dim: int, stride: int, *, norm_eps: float) -> None:
        total = channels // dim * dim
        reduction = max(1, 32 // stride)
        super().__init__(
            dim,
            q=ConvLayer(channels, total, norm_eps=None),
            kv=ConvLayer(channels, 2 * total, norm_eps=None),
            sr=nn.Conv2d(channels, channels, reduction, reduction) if reduction > 1 else None,
            norm=ChannelNorm(channels, eps=1e-5) if reduction > 1 else None,
            proj=ConvLayer(total, channels, norm_eps=norm_eps),
        )
        self.reduction = reduction
