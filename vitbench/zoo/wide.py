"""Islands of float32 in networks that run in half precision.

Half ends at 65,504. A sum over the pixels of a large map, or over squares, leaves that range although what is
computed from it does not. Such a sum is computed in float32 and its result handed on in half.
In a network that runs in float32 nothing here does anything.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F


def wide(x: Tensor) -> Tensor:
    """The tensor in float32 where it is in half precision; else the tensor itself."""
    return x.float() if x.dtype == torch.float16 else x


def narrow(x: Tensor, like: Tensor) -> Tensor:
    """The tensor in the type of another; the tensor itself where it has it already."""
    return x if x.dtype == like.dtype else x.to(like.dtype)


def mean_of_map(x: Tensor, *, keepdim: bool = False) -> Tensor:
    """Mean over the pixels: (N, C, H, W) to (N, C), or to (N, C, 1, 1)."""
    return narrow(wide(x).mean(dim=(2, 3), keepdim=keepdim), x)


class LayerNorm(nn.LayerNorm):
    """LayerNorm that sums, squares and divides in float32."""

    def forward(self, x: Tensor) -> Tensor:
        weight, bias = (wide(each) for each in (self.weight, self.bias))
        return narrow(F.layer_norm(wide(x), self.normalized_shape, weight, bias, self.eps), x)


class GroupNorm(nn.GroupNorm):
    """GroupNorm that sums, squares and divides in float32."""

    def forward(self, x: Tensor) -> Tensor:
        weight, bias = (wide(each) for each in (self.weight, self.bias))
        return narrow(F.group_norm(wide(x), self.num_groups, weight, bias, self.eps), x)
