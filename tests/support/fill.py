"""The fixtures' weights: what each state-dict entry holds, from its key and shape alone."""

from __future__ import annotations

import math
import zlib
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import nn


def fixture_array(key: str, shape: tuple[int, ...]) -> np.ndarray:
    """Entry `key` of the fixtures' state dicts.

    One draw per key from a legacy generator seeded with the key's CRC-32, in float64 and then rounded to
    float32: variances and norm scales uniform in 0.5..1.5, weights with an input dimension normal with
    variance 1 / fan-in, everything else normal with deviation 0.1.
    """
    draw = np.random.RandomState(zlib.crc32(key.encode()))
    entry = key.rpartition(".")[2]
    if entry == "running_var" or (entry == "weight" and len(shape) <= 1):
        values = draw.uniform(0.5, 1.5, shape)
    elif entry == "weight":
        values = draw.standard_normal(shape) / np.sqrt(math.prod(shape[1:]))
    else:
        values = 0.1 * draw.standard_normal(shape)
    return values.astype(np.float32)


def fixture_weights(module: nn.Module) -> Mapping[str, Any]:
    """A state dict for the module as the fixtures fill it; the counts of batches are left out."""
    return {
        key: fixture_array(key, tuple(tensor.shape))
        for key, tensor in module.state_dict().items()
        if tensor.is_floating_point()
    }


def fixture_input(shape: tuple[int, ...]) -> torch.Tensor:
    """The fixtures' input."""
    return torch.from_numpy(np.random.RandomState(0).standard_normal(shape).astype(np.float32))
