"""Seeded weights for networks that are timed, not used: deterministic and not degenerate."""

from __future__ import annotations

import hashlib
import math

import numpy as np
import torch
from torch import nn


def seed_weights(module: nn.Module, seed: int) -> None:
    """Fill every parameter and buffer in place from `seed` and its key alone.

    A value depends on nothing but (seed, key, shape): not on the process, nor on the order of construction,
    nor on the other keys. Weights with an input dimension are normal with variance 2 / fan-in; norm scales,
    and running variances uniform in 0.5..1.5, layer scales in 0.1..0.5; everything else (biases, running
    means, tables) is normal with deviation 0.1. Integer buffers stay as built, but for the count of batches.
    """
    for key, tensor in module.state_dict(keep_vars=True).items():
        if key.endswith("num_batches_tracked"):
            tensor.data.zero_()
        elif tensor.is_floating_point():
            values = torch.from_numpy(_values(key, tuple(tensor.shape), seed))
            tensor.data.copy_(values)


def _values(key: str, shape: tuple[int, ...], seed: int) -> np.ndarray:
    """Values for one key, float32."""
    digest = hashlib.sha256(f"{seed}:{key}".encode()).digest()
    generator = np.random.Generator(np.random.PCG64(int.from_bytes(digest[:16], "little")))
    leaf = key.rsplit(".", 1)[-1]
    if "layer_scale" in key:
        return generator.uniform(0.1, 0.5, shape).astype(np.float32)
    if leaf == "running_var" or (leaf in ("weight", "gamma") and len(shape) < 2):
        return generator.uniform(0.5, 1.5, shape).astype(np.float32)
    values = generator.standard_normal(shape, dtype=np.float32)
    scale = math.sqrt(2 / math.prod(shape[1:])) if leaf == "weight" else 0.1
    return values * np.float32(scale)
