"""Networks of the catalog, built for a test."""

from __future__ import annotations

import torch
from torch import nn

from vitbench import catalog, zoo
from vitbench.catalog import ModelSpec
from vitbench.zoo.init import seed_weights

CLASSIFIERS = ("b0", "b1", "b2", "b3", "l1", "l2", "l3")
BACKBONES = ("b0", "b1", "b2", "b3", "l0", "l1", "l2", "l3")
KINDS = ("relu", "softmax", "relu-single", "sra-softmax", "window-softmax", "cga")


def spec_of(name: str, side: int | None = None) -> ModelSpec:
    """Spec of `effvit-<name>`, on a square of `side` pixels."""
    return catalog.resolve_model(f"effvit-{name}", resolution=(side, side) if side else None)


def on_meta(name: str, side: int | None = None) -> nn.Module:
    """The network in train form, without memory."""
    with torch.device("meta"):
        return zoo.create(spec_of(name, side))


def seeded(name: str, side: int | None = None, seed: int = 0) -> nn.Module:
    """The network in train form with seeded weights."""
    module = zoo.create(spec_of(name, side))
    seed_weights(module, seed)
    return module


def images(side: int, batch: int = 1, seed: int = 0) -> torch.Tensor:
    """Standard normal images."""
    return torch.randn((batch, 3, side, side), generator=torch.Generator().manual_seed(seed))


def relative_difference(value: torch.Tensor, reference: torch.Tensor) -> float:
    """Largest difference over the reference's largest magnitude."""
    return float((value - reference).abs().max() / reference.abs().max())
