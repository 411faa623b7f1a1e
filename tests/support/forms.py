"""Networks of any family in their forms, and their exported graphs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from tests.export.ort import run
from tests.support.models import images, relative_difference
from vitbench import catalog, zoo
from vitbench.counting import count_module, count_onnx
from vitbench.export.onnx import export_onnx
from vitbench.zoo.init import seed_weights


def network(name: str, side: int | None = None, *, meta: bool = False, **hyper: Any) -> nn.Module:
    """The network in train form with seeded weights, or without memory; `hyper` replaces parts of its own."""
    spec = catalog.resolve_model(name, resolution=(side, side) if side else None)
    spec = spec.model_copy(update={"hyper": {**spec.hyper, **hyper}})
    if meta:
        with torch.device("meta"):
            return zoo.create(spec)
    module = zoo.create(spec)
    seed_weights(module, 0)
    return module


def randomised(module: nn.Module) -> nn.Module:
    """A module in float64 and eval mode whose parameters and norm statistics are random."""
    module = module.double().eval().requires_grad_(False)
    generator = torch.Generator().manual_seed(0)
    for key, tensor in module.state_dict().items():
        if key.endswith("running_var"):
            tensor.uniform_(0.2, 2, generator=generator)
        elif tensor.is_floating_point():
            tensor.normal_(generator=generator)
    return module


def check_graph(deployed: nn.Module, side: int, folder: Path) -> None:
    """See that the exported graph computes what the network does, and that both counters agree on it."""
    shape = (1, 3, side, side)
    graph = count_onnx(export_onnx(deployed, shape, folder / "model.onnx"))
    x = images(side)
    with torch.inference_mode():
        expected = deployed(x)
    assert relative_difference(torch.from_numpy(run(folder / "model.onnx", x.numpy())), expected) < 2e-5
    counts = count_module(deployed, shape)
    assert (graph.macs, graph.macs_attention) == (counts.macs, counts.macs_attention)
    assert graph.bytes_read == pytest.approx(counts.bytes_read, rel=0.05)
    assert graph.bytes_written == pytest.approx(counts.bytes_written, rel=0.05)
