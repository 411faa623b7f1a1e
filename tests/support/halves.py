"""Graphs in half precision for tests: small ones made by hand, and networks with and without islands."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import nn

from vitbench import catalog, zoo
from vitbench.catalog import ModelSpec
from vitbench.zoo import wide
from vitbench.zoo.deploy import to_deploy
from vitbench.zoo.init import seed_weights

HALF, FLOAT = TensorProto.FLOAT16, TensorProto.FLOAT


def chain(path: Path, *steps: tuple[str, float | None], kind: int = HALF, size: int = 4) -> Path:
    """Write a graph `x` to `y` of steps one after the other, each an operator with a constant or without."""
    nodes, constants, current = [], [], "x"
    for place, (operator, value) in enumerate(steps):
        made = "y" if place == len(steps) - 1 else f"t{place}"
        inputs = [current]
        if value is not None:
            array = np.asarray(value, helper.tensor_dtype_to_np_dtype(kind))
            constants.append(numpy_helper.from_array(array, f"c{place}"))
            inputs.append(f"c{place}")
        nodes.append(helper.make_node(operator, inputs, [made], name=f"step/{operator}_{place}"))
        current = made
    graph = helper.make_graph(
        nodes,
        "chain",
        [helper.make_tensor_value_info("x", kind, [1, size])],
        [helper.make_tensor_value_info("y", kind, [1, size])],
        constants,
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return path


def half_network(spec: ModelSpec) -> nn.Module:
    """A network with seeded weights in the form that runs, in half precision."""
    network = zoo.create(spec)
    seed_weights(network, 0)
    return to_deploy(network).to(torch.float16)


def spec_at(name: str, resolution: tuple[int, int] | None = None) -> ModelSpec:
    """A model of the catalog, at another resolution where one is given."""
    return catalog.resolve_model(name, resolution=resolution)


def without_islands(network: nn.Module, patch: pytest.MonkeyPatch) -> nn.Module:
    """The same network with linear attention and norms in half precision as well, from now on."""
    keep: Callable[[torch.Tensor], torch.Tensor] = lambda x: x  # noqa: E731
    patch.setattr(wide, "wide", keep)
    for part in network.modules():
        if hasattr(part, "sums_pixels"):
            part.sums_pixels = False
    return network
