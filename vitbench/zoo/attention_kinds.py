"""The kinds of attention that a block of EfficientViT can be built with."""

from __future__ import annotations

from torch import nn

from vitbench.errors import UsageError
from vitbench.zoo import cascade
from vitbench.zoo.attention import (
    ReluAttention,
    SingleScaleReluAttention,
    SoftmaxAttention,
    SpatialReductionAttention,
)
from vitbench.zoo.window_attention import WindowSoftmaxAttention, window_of

TOKEN_KINDS = {
    cls.kind: cls
    for cls in (ReluAttention, SoftmaxAttention, SingleScaleReluAttention, WindowSoftmaxAttention)
}
KINDS = ("relu", "softmax", "relu-single", "sra-softmax", "window-softmax", "cga")
# Of cascaded group attention, as the smallest published network has them at 224 x 224.
CASCADE_WINDOW = 7
CASCADE_KERNEL = 5


def build_attention(
    kind: str,
    channels: int,
    dim: int,
    scales: tuple[int, ...],
    stride: int,
    *,
    norm_eps: float,
    grid: tuple[int, int] | None = None,
) -> nn.Module:
    """Build the attention of one block, which maps (N, channels, H, W) to the same shape.

    The heads of `cga` have a query, a key and a value of `dim` channels each, and the norms' epsilon of the
    original; its windows are of 7 x 7 pixels, or as large as the smaller side of a `grid` smaller than that.

    Args:
        kind: one of `KINDS`.
        channels: channels in and out.
        dim: channels of a head, a divisor of `channels`.
        scales: kernel sizes of the aggregated neighbourhoods, in the kinds that have them.
        stride: pixels of the network's input per pixel of the block's map.
        grid: (H, W) of the map, where it is known.

    Raises:
        UsageError: an unknown kind, heads that do not divide the channels, or a grid that the kind cannot
            divide.
    """
    if channels % dim:
        raise UsageError(
            f"attention heads of dim {dim} do not divide a stage of width {channels}",
            "choose a `dim` that divides the width of every stage with attention",
        )
    if kind in TOKEN_KINDS:
        if grid and kind == WindowSoftmaxAttention.kind:
            window_of(grid)
        return TOKEN_KINDS[kind](channels, dim, scales, norm_eps=norm_eps)
    if kind == SpatialReductionAttention.kind:
        return _reduced(channels, dim, stride, norm_eps, grid)
    if kind == cascade.CascadedGroupAttention.kind:
        heads, side = channels // dim, min((CASCADE_WINDOW, *(grid or ())))
        return cascade.WindowAttention(channels, heads, (CASCADE_KERNEL,) * heads, side, dim)
    raise UsageError(f"unknown attention kind '{kind}'", f"choose one of {', '.join(KINDS)}")


def _reduced(
    channels: int, dim: int, stride: int, norm_eps: float, grid: tuple[int, int] | None
) -> SpatialReductionAttention:
    attention = SpatialReductionAttention(channels, dim, stride, norm_eps=norm_eps)
    least = attention.reduction
    if grid and min(grid) < least:
        raise UsageError(
            f"sra-softmax shrinks a map by {least}, and one of {grid[0]}x{grid[1]} is too small",
            f"give each side at least {least} pixels",
        )
    return attention
