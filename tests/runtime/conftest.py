"""A small convolutional network, and sessions with it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto, helper, save

from vitbench import transport
from vitbench.catalog.specs import TargetSpec
from vitbench.runtime import TensorFile, write_tensor
from vitbench.transport import Transport

SIDE, CHANNELS = 64, 16


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An ONNX file: two convolutions from `input` (1, 3, 64, 64) to `features` and their mean `logits`."""
    random = np.random.default_rng(0)
    shapes = {"w0": (CHANNELS, 3, 3, 3), "w1": (CHANNELS, CHANNELS, 3, 3)}
    weights = [
        helper.make_tensor(
            name, TensorProto.FLOAT, shape, random.normal(0, 0.1, shape).astype("<f4").tobytes(), raw=True
        )
        for name, shape in shapes.items()
    ]
    padded = {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1]}
    nodes = [
        helper.make_node("Conv", ["input", "w0"], ["c0"], **padded),
        helper.make_node("Relu", ["c0"], ["r0"]),
        helper.make_node("Conv", ["r0", "w1"], ["features"], **padded),
        helper.make_node("GlobalAveragePool", ["features"], ["logits"]),
    ]
    wide = [1, CHANNELS, SIDE, SIDE]
    graph = helper.make_graph(
        nodes,
        "small",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, [1, 3, SIDE, SIDE])],
        [
            helper.make_tensor_value_info("features", TensorProto.FLOAT, wide),
            helper.make_tensor_value_info("logits", TensorProto.FLOAT, [1, CHANNELS, 1, 1]),
        ],
        weights,
    )
    path = tmp_path_factory.mktemp("artifact") / "model.onnx"
    save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10), path)
    return path


@pytest.fixture(scope="session")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> list[TensorFile]:
    """Two different inputs of the model."""
    directory, random = tmp_path_factory.mktemp("inputs"), np.random.default_rng(1)
    arrays = [random.normal(0, 1, (1, 3, SIDE, SIDE)).astype("float32") for _ in range(2)]
    return [write_tensor("input", array, directory / f"{i}.bin") for i, array in enumerate(arrays)]


@pytest.fixture(scope="session")
def cpu() -> TargetSpec:
    """This machine."""
    return TargetSpec(name="cpu", title="this machine", transport="local", runtime="onnxruntime")


@pytest.fixture
def local(cpu: TargetSpec) -> Iterator[Transport]:
    """The transport to this machine."""
    with transport.open(cpu) as opened:
        yield opened
