"""Graphs that are not of the form, or would do harm, are refused before anything is built of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from vitbench.agent.backends.aten import Graph, find_operator
from vitbench.agent.errors import AgentError

RELU = {"op": "relu.default", "args": [{"value": 0}], "kwargs": {}}
TENSOR = {"name": "x", "dtype": "float32", "shape": [2]}
GOOD: dict[str, Any] = {
    "version": 1,
    "inputs": [TENSOR],
    "weights": [{"dtype": "float32", "shape": [2], "offset": 0}],
    "nodes": [RELU, {"op": "add.Tensor", "args": [{"value": 2}, {"value": 1}], "kwargs": {}}],
    "outputs": [{**TENSOR, "name": "y", "value": 3}],
}


def read(told: Any, directory: Path, weights: bytes = bytes(8)) -> Graph:
    path = directory / "graph.json"
    path.write_text(told if isinstance(told, str) else json.dumps(told))
    path.with_name("weights.bin").write_bytes(weights)
    return Graph(path, "cpu")


def test_a_graph_of_the_form_runs(tmp_path: Path) -> None:
    import torch

    graph = read(GOOD, tmp_path, torch.tensor([1.0, 2.0]).numpy().tobytes())
    (out,) = graph.module(torch.tensor([-5.0, 5.0]))
    assert out.tolist() == [1.0, 7.0]
    assert (graph.inputs, graph.outputs[0]["name"]) == ([TENSOR], "y")


def node(op: str, *args: Any, **kwargs: Any) -> dict[str, Any]:
    return {**GOOD, "nodes": [{"op": op, "args": list(args), "kwargs": kwargs}, RELU]}


@pytest.mark.parametrize(
    ("told", "why"),
    [
        ("not JSON", "is not JSON"),
        ("[" * 100_000, "is not JSON"),
        ([], "not a graph of version 1"),
        ({**GOOD, "version": 2}, "not a graph of version 1"),
        ({"version": 1}, "malformed"),
        (node("relu"), "names no operator"),
        (node("../os.system"), "names no operator"),
        (node("__class__.mro"), "names no operator"),
        (node("relu.__init__"), "names no operator"),
        (node("relu.name"), r"no operator aten\.relu\.name"),
        (node("no_such.default"), r"no operator aten\.no_such\.default"),
        (node("from_file.default", "/etc/passwd", False, 8), "takes the word '/etc/passwd'"),
        (node("from_file.default", "tanh", True, 8), r"aten\.from_file\.default opens a file"),
        (node("relu.default", {"value": 7}), "no value 7 yet"),
        (node("relu.default", {"value": -1}), "no value -1 yet"),
        (node("relu.default", {"value": "0"}), "no value '0' yet"),
        (node("relu.default", {"code": "1"}), "of the kind 'code'"),
        (node("to.dtype", {"value": 0}, {"dtype": "quint8"}), "unknown type 'quint8'"),
        (node("relu.default", **{"x); import os #": 1}), "names no argument"),
        (node("relu.default", {"value": 0}, **{"lambda": 1}), "'lambda' names no argument"),
        ({**GOOD, "weights": [{"dtype": "float32", "shape": [3], "offset": 0}]}, "malformed"),
        ({**GOOD, "weights": [{"dtype": "float32", "shape": [2], "offset": -8}]}, "before the beginning"),
        ({**GOOD, "weights": [{"dtype": "float32", "shape": [-1, -2], "offset": 0}]}, "before the beginning"),
        ({**GOOD, "inputs": [{**TENSOR, "dtype": "object"}]}, "unknown type 'object'"),
        ({**GOOD, "inputs": [{**TENSOR, "shape": [float("inf")]}]}, "malformed: OverflowError"),
    ],
)
def test_anything_else_is_refused(told: Any, why: str, tmp_path: Path) -> None:
    with pytest.raises(AgentError, match=why) as caught:
        read(told, tmp_path)
    assert caught.value.kind == "usage"


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(AgentError, match="cannot read") as caught:
        Graph(tmp_path / "graph.json", "cpu")
    assert caught.value.kind == "io"


def test_operators_are_those_of_aten_alone() -> None:
    assert str(find_operator("conv2d.default")) == "aten.conv2d.default"
    with pytest.raises(ValueError, match="names no operator"):
        find_operator("prims::foo.default")
