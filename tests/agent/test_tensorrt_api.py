"""What the agent uses of TensorRT, on the one of its kind that builds without a GPU: TensorRT-RTX.

Strong typing alone, as in TensorRT 11. What it builds for is no device that vitbench measures.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper, save

from tests.support.tensorrt_stand_in.toys import build_options
from vitbench.agent.errors import AgentError
from vitbench.agent.tensorrt import config, layers, module, network
from vitbench.agent.tensorrt.options import BuildOptions
from vitbench.agent.tensorrt.store import EngineStore

pytestmark = pytest.mark.rtx
LIKE = (11, 0)


@pytest.fixture(scope="module")
def trt() -> Any:
    import tensorrt_rtx_bindings

    return tensorrt_rtx_bindings


def write_graph(path: Path, operator: str = "Relu") -> Path:
    """A product in half precision, and one operator."""
    half = TensorProto.FLOAT16
    graph = helper.make_graph(
        [
            helper.make_node("MatMul", ["x", "w"], ["xw"], name="block/MatMul"),
            helper.make_node(operator, ["xw"], ["y"], name="block/act"),
        ],
        "small",
        [helper.make_tensor_value_info("x", half, [8, 16])],
        [helper.make_tensor_value_info("y", half, [8, 16])],
        [numpy_helper.from_array(np.eye(16, dtype=np.float16), "w")],
    )
    save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10), path)
    return path


def test_a_graph_becomes_an_engine(trt: Any, tmp_path: Path) -> None:
    logger = module.make_logger(trt)
    builder = trt.Builder(logger)
    graph = network.create(trt, builder, LIKE)
    network.parse(trt, graph, str(write_graph(tmp_path / "model.onnx")), logger)
    network.refuse_free_shapes(graph)
    names = {graph.get_layer(index).name for index in range(graph.num_layers)}
    assert {"block/MatMul", "block/act"} <= names, "a node gives its name to its layer"
    settings = config.create(trt, builder, LIKE, BuildOptions(build_options(tmp_path)))
    told = config.describe(trt, settings, LIKE)
    assert told["flags"] == [], "TF32 is on unless it is cleared"
    assert told["tactic_sources"] == ["EDGE_MASK_CONVOLUTIONS", "JIT_CONVOLUTIONS"]
    assert told["optimization_level"] == 3
    assert settings.get_memory_pool_limit(trt.MemoryPoolType.WORKSPACE) == 64 << 20
    settings.num_compute_capabilities = 1
    settings.set_compute_capability(trt.ComputeCapability.SM86, 0)
    plan = builder.build_serialized_network(graph, settings)
    kept = EngineStore(str(tmp_path / "engines")).keep("key", plan, {})
    assert kept["bytes"] == plan.nbytes == (tmp_path / "engines" / "key.engine").stat().st_size


def test_an_error_of_the_parser_names_its_node(
    trt: Any, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    logger = module.make_logger(trt)
    graph = network.create(trt, trt.Builder(logger), LIKE)
    path = write_graph(tmp_path / "model.onnx", "NoSuchOperator")
    with pytest.raises(AgentError, match=r"refuses .*/model\.onnx: block/act \(NoSuchOperator\): "):
        network.parse(trt, graph, str(path), logger)
    assert "[TensorRT] " in capfd.readouterr().err


def test_a_profiler_is_one(trt: Any) -> None:
    profiler = layers.make_profiler(trt)
    profiler.report_layer_time("a", 0.5)
    profiler.report_layer_time("a", 0.25)
    (layer,) = layers.add_up(profiler, [{"Name": "a", "LayerType": "gemm"}])
    assert layer == {"name": "a", "op_type": "gemm", "total_ns": 750000, "calls": 2, "nodes": ["a"]}
