"""What each dispatched operator of PyTorch costs in MACs (1 MAC = 1 multiply-add).

Convolution, linear and matmul count; norms, activations, pooling, resize, softmax and element-wise
arithmetic are zero by convention. An operator that is in neither table is unknown.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

aten = torch.ops.aten
Args = tuple[Any, ...]


def _convolution(args: Args, out: Tensor) -> int:
    """Every output (of a transposed one: input) element meets one filter."""
    data, weight, transposed = args[0], args[1], args[6]
    moved = data if transposed else out
    return int(moved.numel() * math.prod(weight.shape[1:]))


def _product(first: int, second: int) -> Callable[[Args, Tensor], int]:
    """(..., m, k) x (..., k, n) or (..., k), the operands standing at these positions."""

    def macs(args: Args, out: Tensor) -> int:
        return int(out.numel() * args[first].shape[-1])

    macs.operands = (first, second)  # type: ignore[attr-defined]
    return macs


def _attention(args: Args, out: Tensor) -> int:
    """Both products of softmax(q k^T) v."""
    query, key, value = args[:3]
    pairs = math.prod(query.shape[:-1]) * key.shape[-2]
    return int(pairs * (query.shape[-1] + value.shape[-1]))


_attention.operands = (0, 1)  # type: ignore[attr-defined]

MACS: dict[Any, Callable[[Args, Tensor], int]] = {
    aten.convolution: _convolution,
    aten.mm: _product(0, 1),
    aten.bmm: _product(0, 1),
    aten.mv: _product(0, 1),
    aten.dot: _product(0, 1),
    aten.addmm: _product(1, 2),
    aten.addmv: _product(1, 2),
    aten.baddbmm: _product(1, 2),
    aten._scaled_dot_product_flash_attention_for_cpu: _attention,
    aten._scaled_dot_product_flash_attention: _attention,
    aten._scaled_dot_product_efficient_attention: _attention,
    aten._scaled_dot_product_cudnn_attention: _attention,
    aten._scaled_dot_product_attention_math: _attention,
}

ZERO: frozenset[Any] = frozenset(
    {
        # views and copies
        aten.alias,
        aten.as_strided,
        aten.cat,
        aten.clone,
        aten.constant_pad_nd,
        aten.copy_,
        aten.detach,
        aten.expand,
        aten.flip,
        aten.index,
        aten.index_select,
        aten.lift_fresh,
        aten.permute,
        aten.pixel_shuffle,
        aten.pixel_unshuffle,
        aten.reflection_pad2d,
        aten.repeat,
        aten.replication_pad2d,
        aten.reshape,
        aten.roll,
        aten.select,
        aten.slice,
        aten.split,
        aten.split_with_sizes,
        aten.squeeze,
        aten.squeeze_,
        aten.stack,
        aten.t,
        aten.transpose,
        aten.unbind,
        aten.unfold,
        aten.unsqueeze,
        aten.unsqueeze_,
        aten.view,
        aten._reshape_alias,
        aten._to_copy,
        aten._unsafe_view,
        # constants
        aten.arange,
        aten.empty,
        aten.full,
        aten.full_like,
        aten.new_full,
        aten.new_ones,
        aten.new_zeros,
        aten.ones,
        aten.ones_like,
        aten.scalar_tensor,
        aten.zeros,
        aten.zeros_like,
        # element-wise arithmetic and activations
        aten.abs,
        aten.add,
        aten.add_,
        aten.clamp,
        aten.clamp_min,
        aten.cos,
        aten.div,
        aten.elu,
        aten.eq,
        aten.erf,
        aten.exp,
        aten.ge,
        aten.gelu,
        aten.gt,
        aten.hardsigmoid,
        aten.hardswish,
        aten.hardswish_,
        aten.hardtanh,
        aten.leaky_relu,
        aten.log,
        aten.lt,
        aten.masked_fill,
        aten.maximum,
        aten.minimum,
        aten.mul,
        aten.mul_,
        aten.neg,
        aten.pow,
        aten.reciprocal,
        aten.relu,
        aten.relu_,
        aten.rsqrt,
        aten.rsub,
        aten.sigmoid,
        aten.silu,
        aten.sin,
        aten.sqrt,
        aten.sub,
        aten.tanh,
        aten.where,
        # reductions, norms, softmax, pooling, resize
        aten._adaptive_avg_pool2d,
        aten._log_softmax,
        aten._native_batch_norm_legit_no_training,
        aten._safe_softmax,
        aten._softmax,
        aten.amax,
        aten.amin,
        aten.any,
        aten.avg_pool2d,
        aten.linalg_vector_norm,
        aten.max_pool2d_with_indices,
        aten.mean,
        aten.native_batch_norm,
        aten.native_group_norm,
        aten.native_layer_norm,
        aten.sum,
        aten.upsample_bicubic2d,
        aten.upsample_bilinear2d,
        aten.upsample_nearest2d,
        aten.var,
        aten.var_mean,
    }
)
