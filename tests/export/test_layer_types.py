"""Layer types as tensorrt-rtx has them: right with islands, named where one is missing."""

import re
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import helper, numpy_helper

from tests.support.halves import FLOAT, HALF, half_network, spec_at, without_islands
from vitbench.errors import ToolError, UsageError, VitbenchError
from vitbench.export import layer_types
from vitbench.export.islands import island_nodes
from vitbench.export.layer_types import Layer, build, check_types, count_types, inspect
from vitbench.export.onnx import export_onnx
from vitbench.export.onnx17 import export_onnx17

NETWORKS = [
    ("effvit-b0", (64, 64)),
    ("effvit-b0-cityscapes", (64, 128)),
    ("effvit-sam-l0", (128, 128)),
    ("cga-m0", (64, 64)),
    ("fastvit-t8", (64, 64)),
    ("segformer-b0-ade20k", (64, 64)),
]


def exported(name: str, resolution: tuple[int, int], path: Path, *, old: bool = True) -> Path:
    spec = spec_at(name, resolution)
    export = export_onnx17 if old else export_onnx
    export(half_network(spec), spec.batched_inputs(), path, dtype=torch.float16)
    return path


@pytest.mark.rtx
@pytest.mark.parametrize(("name", "resolution"), NETWORKS)
def test_networks_build_with_the_right_types(name: str, resolution: tuple[int, int], tmp_path: Path) -> None:
    path = exported(name, resolution, tmp_path / "model.onnx")
    layers = inspect(path)
    check_types(layers)
    counts = count_types(layers)
    assert set(counts["CONVOLUTION"]) == {"HALF"}
    # By these names a runtime that types layers itself is told which to leave alone.
    assert set(island_nodes(path)) <= {layer.name for layer in layers}
    assert build(path) > 100_000


@pytest.mark.rtx
def test_the_other_exporters_graph_has_the_same_heavy_layers_in_the_same_types(tmp_path: Path) -> None:
    tables = []
    for old in (True, False):
        layers = inspect(exported("effvit-b0", (96, 96), tmp_path / f"{old}.onnx", old=old))
        check_types(layers)
        tables.append(count_types(layers))
    for kind in ("CONVOLUTION", "MATRIX_MULTIPLY"):
        assert tables[0][kind] == tables[1][kind]
    # Attention over 36 tokens has three products and over 9, in the quadratic order, two; each comes twice.
    # The classifier has two linear layers.
    assert tables[0]["MATRIX_MULTIPLY"] == {"FLOAT": 10, "HALF": 2}


@pytest.mark.rtx
@pytest.mark.parametrize(
    ("name", "resolution", "named"),
    [
        ("effvit-b0", (64, 64), "context_module.main/MatMul"),
        ("segformer-b0-ade20k", (64, 64), "norm"),
    ],
)
def test_a_graph_without_its_islands_is_refused_and_the_layers_are_named(
    name: str, resolution: tuple[int, int], named: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = spec_at(name, resolution)
    network = without_islands(half_network(spec), monkeypatch)
    export_onnx17(network, spec.batched_inputs(), tmp_path / "model.onnx", dtype=torch.float16)
    with pytest.raises(VitbenchError, match=f"wrong type in tensorrt-rtx.*{re.escape(named)}.*HALF"):
        check_types(inspect(tmp_path / "model.onnx"))


@pytest.mark.rtx
def test_mixed_types_without_a_cast_are_refused_by_the_parser(tmp_path: Path) -> None:
    graph = helper.make_graph(
        [helper.make_node("Sub", ["x", "one"], ["y"], name="mixed/Sub")],
        "mixed",
        [helper.make_tensor_value_info("x", HALF, [1, 4])],
        [helper.make_tensor_value_info("y", FLOAT, [1, 4])],
        [numpy_helper.from_array(np.ones((1, 4), np.float32), "one")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, tmp_path / "mixed.onnx")
    with pytest.raises(ToolError, match=r"tensorrt-rtx refuses mixed\.onnx: .*Half and Float"):
        inspect(tmp_path / "mixed.onnx")


@pytest.mark.rtx
def test_an_unknown_capability_is_refused_with_those_there_are(tmp_path: Path) -> None:
    path = exported("attention-2x16", (6, 8), tmp_path / "model.onnx")
    with pytest.raises(UsageError, match="knows no compute capability SM87") as caught:
        build(path, "SM87")
    assert "SM86" in str(caught.value.hint)


def test_without_tensorrt_rtx_it_is_said_how_to_get_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setitem(sys.modules, "tensorrt_rtx_bindings", None)
    with pytest.raises(UsageError, match="not installed") as caught:
        inspect(tmp_path / "model.onnx")
    assert "[rtx]" in str(caught.value.hint)


def layer(name: str, kind: str, type_: str, reads: tuple[str, ...] = ()) -> Layer:
    return Layer(name, kind, (type_,), reads, (f"{name}:0",))


def test_types_of_layers_by_what_they_compute() -> None:
    weights = layer("w", "CONSTANT", "HALF")
    conv = layer("conv", "CONVOLUTION", "HALF", ("x",))
    first = layer("kv", "MATRIX_MULTIPLY", "FLOAT", ("conv:0", "conv:0"))
    second = layer("sum", "REDUCE SUM", "FLOAT", ("conv:0",))
    division = layer("div", "ELEMENTWISE DIV", "FLOAT", ("kv:0", "sum:0"))
    linear = layer("fc", "MATRIX_MULTIPLY", "HALF", ("div:0", "w:0"))
    softmax = layer("qk", "MATRIX_MULTIPLY", "HALF", ("conv:0", "conv:0"))
    good = [weights, conv, first, second, division, linear, softmax]
    check_types(good)
    for wrong in (
        layer("conv", "CONVOLUTION", "FLOAT", ("x",)),
        layer("kv", "MATRIX_MULTIPLY", "HALF", ("conv:0", "conv:0")),
        layer("sum", "REDUCE SUM", "HALF", ("conv:0",)),
        layer("div", "ELEMENTWISE DIV", "HALF", ("kv:0", "sum:0")),
        layer("fc", "MATRIX_MULTIPLY", "FLOAT", ("div:0", "w:0")),
    ):
        with pytest.raises(VitbenchError, match=f"1 layers .*'{wrong.name}'"):
            check_types([wrong if each.name == wrong.name else each for each in good])
    check_types(
        [each if each.name != "qk" else layer("qk", "MATRIX_MULTIPLY", "FLOAT", each.reads) for each in good]
    )
    with pytest.raises(VitbenchError, match="no layer is in half precision"):
        check_types([first])
    assert layer_types.RUNTIME == "tensorrt-rtx"
