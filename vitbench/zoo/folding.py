"""Arithmetic of the inference form: a BatchNorm is a scale and a shift, which a neighbour can take over.

All of it is done in float64 and rounded once.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

Layer = nn.Conv2d | nn.Linear


def gain_and_shift(norm: _BatchNorm) -> tuple[Tensor, Tensor]:
    """The norm as y = gain x + shift per channel: gain = gamma / sqrt(var + eps), both (C,) in float64."""
    gain = norm.weight.double() / torch.sqrt(norm.running_var.double() + norm.eps)
    return gain, norm.bias.double() - norm.running_mean.double() * gain


def set_weights(layer: Layer, weight: Tensor, bias: Tensor) -> None:
    """Replace a layer's weight and bias, in its own type and without gradients."""
    dtype = layer.weight.dtype
    layer.weight = nn.Parameter(weight.to(dtype), requires_grad=False)
    layer.bias = nn.Parameter(bias.to(dtype), requires_grad=False)


def fold_into_previous(layer: Layer, norm: _BatchNorm) -> None:
    """Let a layer do the norm that follows it: w' = gain w, b' = gain b + shift."""
    gain, shift = gain_and_shift(norm)
    bias = 0.0 if layer.bias is None else layer.bias.double()
    weight = layer.weight.double() * gain.view(-1, *[1] * (layer.weight.dim() - 1))
    set_weights(layer, weight, shift + bias * gain)


def fold_into_next(norm: _BatchNorm, layer: Layer) -> None:
    """Let a layer do the norm before it: w' = w gain, b' = b + w shift.

    The layer is linear or a convolution without groups and without padding: a padded zero is no longer the
    zero of the norm.
    """
    gain, shift = gain_and_shift(norm)
    weight = layer.weight.double()
    others = [1] * (weight.dim() - 2)
    moved = (weight * shift.view(1, -1, *others)).flatten(1).sum(dim=1)
    bias = moved if layer.bias is None else moved + layer.bias.double()
    set_weights(layer, weight * gain.view(1, -1, *others), bias)
