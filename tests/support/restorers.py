"""Networks that make images of images, small enough for a test."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from vitbench import catalog, zoo
from vitbench.catalog import ModelSpec
from vitbench.zoo.init import seed_weights

# Fewer blocks than published, and every kind of block that there is.
SHORTER: dict[str, dict[str, Any]] = {
    "swinir-light-x2": {"depth": [2, 1]},
    "swinir-light-x4": {"depth": [2]},
    "restormer": {"channels": 16, "depth": [1, 1, 1, 1], "refinement": 1},
    "vapsr-x2": {"blocks": 2},
    "vapsr-x4": {"blocks": 2},
    "vapsr-s-x4": {"blocks": 2},
    "bsrn-x2": {"blocks": 2},
    "bsrn-x4": {"blocks": 1},
    "bsrn-s-x4": {"blocks": 2},
}


def spec_of(name: str, size: tuple[int, int], **hyper: Any) -> ModelSpec:
    """Spec of a network for a size, with some hyper-parameters replaced."""
    spec = catalog.resolve_model(name, resolution=size)
    return spec.model_copy(update={"hyper": {**spec.hyper, **hyper}})


def seeded(spec: ModelSpec) -> nn.Module:
    """The network in train form with seeded weights."""
    module = zoo.create(spec)
    seed_weights(module, 0)
    return module


def images(size: tuple[int, int], batch: int = 1, seed: int = 0) -> Tensor:
    """Standard normal images."""
    return torch.randn((batch, 3, *size), generator=torch.Generator().manual_seed(seed))
