"""The fixtures' weights: what each state-dict entry holds, from its key and shape alone."""

from __future__ import annotations

import math
import zlib
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import nn

DERIVED = ("num_batches_tracked", "attention_bias_idxs", "relative_position_index", "attn_mask")


def fixture_array(key: str, shape: tuple[int, ...]) -> np.ndarray:
    """Entry `key` of the fixtures' state dicts.

    One draw per key from a legacy generator seeded with the key's CRC-32, in float64 and then rounded to
    float32: variances and norm scales uniform in 0.5..1.5, layer scales in 0.01..0.03, weights with an input
    dimension normal with variance 1 / fan-in (a quarter of it in parallel branches, a hundredth in
    squeeze-and-excitation), everything else normal with deviation 0.1.
    """
    draw = np.random.RandomState(zlib.crc32(key.encode()))
    entry = key.rpartition(".")[2]
    scale = entry == "temperature" or (entry in ("weight", "gamma") and len(shape) <= 1)
    if "layer_scale" in key:
        values = draw.uniform(0.01, 0.03, shape)
    elif entry == "running_var" or scale:
        values = draw.uniform(0.5, 1.5, shape)
    elif entry == "weight":
        values = draw.standard_normal(shape) / np.sqrt(math.prod(shape[1:]))
        values *= 0.5 if ".m." in key or ".rbr_conv." in key else 0.1 if ".se." in key else 1.0
    else:
        values = 0.1 * draw.standard_normal(shape)
    return np.asarray(values, dtype=np.float32)


def fixture_weights(module: nn.Module) -> Mapping[str, Any]:
    """A state dict for the module as the fixtures fill it, under the keys of the whole network's checkpoint.

    What the network derives by itself is left as built.
    """
    prefix = getattr(module, "checkpoint_prefix", "")
    return {
        prefix + key: tensor
        if key.rpartition(".")[2] in DERIVED
        else fixture_array(prefix + key, tuple(tensor.shape))
        for key, tensor in module.state_dict().items()
    }


def fixture_input(shape: tuple[int, ...]) -> torch.Tensor:
    """The fixtures' input."""
    return torch.from_numpy(np.random.RandomState(0).standard_normal(shape).astype(np.float32))
