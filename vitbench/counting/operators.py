"""What each dispatched operator of PyTorch costs in MACs (1 MAC = 1 multiply-add).

Convolution, linear and matmul count; norms, activations, pooling, resize, softmax and element-wise
arithmetic are zero by convention. An operator that is in neither table is unknown. Their bytes are those of
the tensors that go in and come out, but for the tables below.
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


def _passes(reads: int, writes: int) -> Callable[[Args, Tensor], tuple[int, int]]:
    """So many passes over a tensor of the size of the output."""

    def traffic(args: Args, out: Tensor) -> tuple[int, int]:
        size = out.numel() * out.element_size()
        return reads * size, writes * size

    return traffic


def _group_norm_traffic(args: Args, out: Tensor) -> tuple[int, int]:
    """Normalised, then scaled and shifted."""
    passes = 1 + (args[1] is not None) + (args[2] is not None)
    return _passes(passes, passes)(args, out)


def _roll_traffic(args: Args, out: Tensor) -> tuple[int, int]:
    """Cut and put together again along one axis after the other."""
    axes = len(args[1]) if isinstance(args[1], list | tuple) else 1
    return _passes(axes, axes)(args, out)


def _variance_traffic(args: Args, out: Tensor) -> tuple[int, int]:
    """The mean, the differences from it, their squares, and the mean of those."""
    data = args[0]
    size, results = data.numel() * data.element_size(), out.numel() * out.element_size()
    return 4 * size + results, 2 * size + 2 * results


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
        aten._reshape_alias,
        aten._to_copy,
        aten._unsafe_view,
        aten.alias,
        aten.as_strided,
        aten.as_strided_,
        aten.cat,
        aten.channel_shuffle,
        aten.chunk,
        aten.clone,
        aten.col2im,
        aten.constant_pad_nd,
        aten.copy,
        aten.copy_,
        aten.detach,
        aten.diagonal,
        aten.expand,
        aten.flip,
        aten.gather,
        aten.im2col,
        aten.index,
        aten.index_put,
        aten.index_select,
        aten.lift_fresh,
        aten.lift_fresh_copy,
        aten.masked_select,
        aten.movedim,
        aten.narrow,
        aten.native_channel_shuffle,
        aten.permute,
        aten.pixel_shuffle,
        aten.pixel_unshuffle,
        aten.reflection_pad1d,
        aten.reflection_pad2d,
        aten.repeat,
        aten.repeat_interleave,
        aten.replication_pad1d,
        aten.replication_pad2d,
        aten.reshape,
        aten.roll,
        aten.scatter,
        aten.select,
        aten.select_scatter,
        aten.slice,
        aten.slice_scatter,
        aten.split,
        aten.split_with_sizes,
        aten.squeeze,
        aten.squeeze_,
        aten.stack,
        aten.t,
        aten.topk,
        aten.transpose,
        aten.transpose_,
        aten.tril,
        aten.triu,
        aten.unbind,
        aten.unfold,
        aten.unsqueeze,
        aten.unsqueeze_,
        aten.view,
        aten.view_as_complex,
        aten.view_as_real,
        # constants
        aten.arange,
        aten.empty,
        aten.empty_like,
        aten.empty_strided,
        aten.eye,
        aten.fill,
        aten.fill_,
        aten.full,
        aten.full_like,
        aten.linspace,
        aten.new_empty,
        aten.new_full,
        aten.new_ones,
        aten.new_zeros,
        aten.ones,
        aten.ones_like,
        aten.scalar_tensor,
        aten.zero_,
        aten.zeros,
        aten.zeros_like,
        # element-wise arithmetic and activations
        aten._prelu_kernel,
        aten.abs,
        aten.add,
        aten.add_,
        aten.addcdiv,
        aten.addcmul,
        aten.atan,
        aten.atan2,
        aten.bitwise_and,
        aten.bitwise_not,
        aten.bitwise_or,
        aten.ceil,
        aten.celu,
        aten.clamp,
        aten.clamp_,
        aten.clamp_max,
        aten.clamp_min,
        aten.clamp_min_,
        aten.cos,
        aten.cosh,
        aten.div,
        aten.div_,
        aten.elu,
        aten.elu_,
        aten.eq,
        aten.erf,
        aten.exp,
        aten.expm1,
        aten.floor,
        aten.floor_divide,
        aten.fmod,
        aten.ge,
        aten.gelu,
        aten.glu,
        aten.gt,
        aten.hardsigmoid,
        aten.hardsigmoid_,
        aten.hardswish,
        aten.hardswish_,
        aten.hardtanh,
        aten.hardtanh_,
        aten.isinf,
        aten.isnan,
        aten.le,
        aten.leaky_relu,
        aten.leaky_relu_,
        aten.lerp,
        aten.log,
        aten.log1p,
        aten.log2,
        aten.log_sigmoid_forward,
        aten.logical_and,
        aten.logical_not,
        aten.logical_or,
        aten.logit,
        aten.lt,
        aten.masked_fill,
        aten.masked_fill_,
        aten.maximum,
        aten.minimum,
        aten.mish,
        aten.mish_,
        aten.mul,
        aten.mul_,
        aten.ne,
        aten.neg,
        aten.pow,
        aten.reciprocal,
        aten.relu,
        aten.relu6,
        aten.relu_,
        aten.remainder,
        aten.round,
        aten.rsqrt,
        aten.rsub,
        aten.sigmoid,
        aten.sigmoid_,
        aten.sign,
        aten.silu,
        aten.silu_,
        aten.sin,
        aten.sinh,
        aten.softplus,
        aten.softshrink,
        aten.sqrt,
        aten.square,
        aten.sub,
        aten.sub_,
        aten.tan,
        aten.tanh,
        aten.tanh_,
        aten.threshold,
        aten.trunc,
        aten.where,
        aten.xlogy,
        # reductions, norms, softmax, pooling, resize
        aten._adaptive_avg_pool2d,
        aten._batch_norm_no_update,
        aten._fused_rms_norm,
        aten._log_softmax,
        aten._native_batch_norm_legit,
        aten._native_batch_norm_legit_no_training,
        aten._safe_softmax,
        aten._softmax,
        aten._upsample_bicubic2d_aa,
        aten._upsample_bilinear2d_aa,
        aten._upsample_nearest_exact2d,
        aten.adaptive_max_pool2d,
        aten.all,
        aten.amax,
        aten.amin,
        aten.any,
        aten.argmax,
        aten.argmin,
        aten.avg_pool2d,
        aten.avg_pool3d,
        aten.cumprod,
        aten.cumsum,
        aten.grid_sampler_2d,
        aten.linalg_vector_norm,
        aten.logsumexp,
        aten.max,
        aten.max_pool2d_with_indices,
        aten.max_pool3d_with_indices,
        aten.mean,
        aten.min,
        aten.native_batch_norm,
        aten.native_group_norm,
        aten.native_layer_norm,
        aten.norm,
        aten.prod,
        aten.std,
        aten.std_mean,
        aten.sum,
        aten.upsample_bicubic2d,
        aten.upsample_bilinear2d,
        aten.upsample_linear1d,
        aten.upsample_nearest1d,
        aten.upsample_nearest2d,
        aten.var,
        aten.var_mean,
    }
)

# The elements in another order: what a view does for most orders, a copy does for the others.
REARRANGED: frozenset[Any] = frozenset(
    {
        aten.channel_shuffle,
        aten.clone,
        aten.copy,
        aten.flip,
        aten.native_channel_shuffle,
        aten.pixel_shuffle,
        aten.pixel_unshuffle,
    }
)

# Their value is that of no tensor that goes in.
CONSTANTS: frozenset[Any] = frozenset(
    {
        aten.empty_like,
        aten.full_like,
        aten.new_empty,
        aten.new_full,
        aten.new_ones,
        aten.new_zeros,
        aten.ones_like,
        aten.zeros_like,
    }
)

# Only training needs what else they give.
RESULT_FIRST: frozenset[Any] = frozenset(
    {
        aten._fused_rms_norm,
        aten._native_batch_norm_legit,
        aten._native_batch_norm_legit_no_training,
        aten._batch_norm_no_update,
        aten.adaptive_max_pool2d,
        aten.log_sigmoid_forward,
        aten.max_pool2d_with_indices,
        aten.max_pool3d_with_indices,
        aten.native_batch_norm,
        aten.native_layer_norm,
    }
)

# Bytes read and written by those that every graph has as several operators.
TRAFFIC: dict[Any, Callable[[Args, Tensor], tuple[int, int]]] = {
    aten.native_group_norm: _group_norm_traffic,
    aten.roll: _roll_traffic,
    aten.silu: _passes(3, 2),
    aten.std: _variance_traffic,
    aten.var: _variance_traffic,
    aten.var_mean: _variance_traffic,
}
