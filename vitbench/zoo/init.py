"""Seeded weights for networks that are timed, not used: deterministic and not degenerate."""

from __future__ import annotations

import hashlib
import math

import numpy as np
import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from vitbench.zoo.hooks import hooked
from vitbench.zoo.weights import derived_keys

GAIN = 1.5
SMALL = 0.2


def seed_weights(module: nn.Module, seed: int) -> None:
    """Fill every parameter and buffer of a network in train form, in place.

    A value depends on the seed, its key and its shape, and on whether it closes a residual branch or makes
    queries: not on the process, the order of construction, or other keys. Weights with an input dimension
    are normal with variance 1.5 / fan-in, and a fifth of that deviation in a layer that closes a residual
    branch without a norm; norm scales and running variances are uniform in 0.5..1.5; layer scales, and the
    scale of the norm that closes a residual branch or makes queries, in 0.1..0.3; everything else (biases,
    running means, tables) is normal with deviation 0.1. Integer buffers stay as built, but for the count of
    batches: 0; so does what the network derives from its size. Where a branch multiplies its input by itself
    (a module's attribute `quadratic`), layer scales are in 0.01..0.03: blocks would double its exponent.

    Norm scales of parallel branches are smaller, so that their sum is of the magnitude of one of them.

    The figures keep every stage's map near 1 in magnitude, as training does: then outputs follow the
    input, and a softmax over products does not collapse to its largest entry.

    A network with an attribute `own_weights` keeps those.
    """
    if getattr(module, "own_weights", False):
        return
    small_scales, shares, derived = _small_scales(module), _shares(module), derived_keys(module)
    quadratic = tuple(f"{name}." for name, part in hooked(module, "quadratic") if part.quadratic)
    for key, tensor in module.state_dict(keep_vars=True).items():
        if key.endswith("num_batches_tracked"):
            tensor.data.zero_()
        elif tensor.is_floating_point() and key not in derived:
            small = key in small_scales or "layer_scale" in key
            values = _values(key, tuple(tensor.shape), seed, small=small)
            if "layer_scale" in key and key.startswith(quadratic):
                values *= np.float32(0.1)
            values *= np.float32(shares.get(key, 1.0))
            tensor.data.copy_(torch.from_numpy(values))


def _small_scales(module: nn.Module) -> set[str]:
    """Keys of the scale of the last BatchNorm in each branch that is added to its input or makes queries.

    Such a branch is a module whose attribute `residual` or `query` is true. A branch that no BatchNorm closes
    has the weight of the layer that its module names in the attribute `closing`. Large queries make a softmax
    choose one key, and two nearly equal ones then change places by rounding.
    """
    keys = {f"{name}.{part.closing}.weight" for name, part in hooked(module, "closing")}
    for hook in ("residual", "query"):
        for name, part in hooked(module, hook):
            norms = [inner for inner, norm in part.named_modules() if isinstance(norm, _BatchNorm)]
            if getattr(part, hook):
                keys.update(f"{name}.{inner}.weight" for inner in norms[-1:])
    return keys


def _shares(module: nn.Module) -> dict[str, float]:
    """What the scale of a BatchNorm is multiplied with where parallel branches are summed, by key.

    It is the attribute `share` of the module that sums them.
    """
    return {
        f"{name}.{inner}.weight": part.share
        for name, part in hooked(module, "share")
        for inner, norm in part.named_modules()
        if isinstance(norm, _BatchNorm)
    }


def _values(key: str, shape: tuple[int, ...], seed: int, *, small: bool) -> np.ndarray:
    """Values for one key, float32; `small` ones are those of residual branches."""
    digest = hashlib.sha256(f"{seed}:{key}".encode()).digest()
    generator = np.random.Generator(np.random.PCG64(int.from_bytes(digest[:16], "little")))
    leaf = key.rsplit(".", 1)[-1]
    matrix = leaf == "weight" and len(shape) > 1
    if small and not matrix:
        return generator.uniform(0.1, 0.3, shape).astype(np.float32)
    if leaf == "running_var" or (leaf in ("weight", "gamma") and not matrix):
        return generator.uniform(0.5, 1.5, shape).astype(np.float32)
    values = generator.standard_normal(shape, dtype=np.float32)
    deviation = math.sqrt(GAIN / math.prod(shape[1:])) * (SMALL if small else 1) if matrix else 0.1
    return values * np.float32(deviation)
