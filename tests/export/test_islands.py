"""Islands of float32 in graphs in half precision."""

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import numpy_helper

from tests.export.conftest import RUNTIME
from tests.support.halves import FLOAT, chain, half_network, spec_at
from vitbench.catalog import Workload
from vitbench.export import ArtifactCache, get_artifact, parity
from vitbench.export.islands import island_nodes
from vitbench.export.onnx import export_onnx
from vitbench.export.onnx17 import export_onnx17
from vitbench.runtime.fp16_emulated import EmulatedSession, emulated_checker
from vitbench.zoo.attention import NORMALISER_EPS

EXPORTERS = [export_onnx, export_onnx17]


@pytest.mark.parametrize("export", EXPORTERS)
def test_islands_are_the_products_and_the_division_of_linear_attention(export, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    spec = spec_at("attention-2x16", (6, 8))
    path = tmp_path / "model.onnx"
    model = export(half_network(spec), spec.batched_inputs(), path, dtype=torch.float16)
    islands = set(island_nodes(path))
    nodes = {node.name: node for node in model.graph.node}
    types = [nodes[name].op_type for name in islands]
    assert (types.count("MatMul"), types.count("Div"), types.count("ReduceSum")) == (3, 1, 1)
    assert not any(nodes[name].op_type in ("Conv", "Cast") for name in islands)
    assert {node.op_type for node in nodes.values() if node.name not in islands} >= {"Conv", "Cast"}


def test_a_graph_in_one_type_has_no_islands(tmp_path: Path) -> None:
    assert island_nodes(chain(tmp_path / "single.onnx", ("Relu", None), kind=FLOAT)) == ()
    assert island_nodes(chain(tmp_path / "half.onnx", ("Relu", None))) == ()


@pytest.mark.parametrize("export", EXPORTERS)
def test_the_guard_against_a_zero_normaliser_survives_export_and_half(export, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    spec = spec_at("attention-2x16", (6, 8))
    (described,) = spec.batched_inputs()
    path = tmp_path / "model.onnx"
    model = export(half_network(spec), (described,), path, dtype=torch.float16)
    (guard,) = (node for node in model.graph.node if node.op_type == "Clip")
    (bound,) = (each for each in model.graph.initializer if each.name == guard.input[1])
    assert numpy_helper.to_array(bound) == np.float32(NORMALISER_EPS)
    zeros = np.zeros(described.shape, np.float16)  # each denominator is exactly zero
    assert np.isfinite(EmulatedSession(path).run({"input": zeros})["features"]).all()
    bound.CopyFrom(numpy_helper.from_array(np.zeros_like(numpy_helper.to_array(bound)), bound.name))
    onnx.save(model, path)
    assert np.isnan(EmulatedSession(path).run({"input": zeros})["features"]).all()


def test_an_artifact_at_opset_17_in_half_knows_its_islands_and_passes_emulated(tmp_path: Path) -> None:
    workload = Workload(model=spec_at("effvit-b0", (64, 64)), precision="fp16")
    cache = ArtifactCache(tmp_path / "cache")
    artifact = get_artifact(workload, cache, format_name="onnx17", **RUNTIME)
    manifest = artifact.manifest
    assert (manifest.format, manifest.opset) == ("onnx17", 17)
    assert manifest.exporter.endswith("torchscript")
    assert manifest.islands == island_nodes(artifact.model_file)
    assert any(name.endswith("context_module.main/Div") for name in manifest.islands)
    with emulated_checker(artifact.model_file) as session:
        found = parity.check(artifact, session)
    assert (found.passed, found.inputs, found.normaliser_min) == (True, 17, 0.0)
