"""Layers of TensorRT: what they were made of, and what inspectors tell."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import pytest

from vitbench.agent.tensorrt import layers


@pytest.mark.parametrize(
    ("name", "nodes"),
    [
        ("stem/Conv", ["stem/Conv"]),
        ("stem/Conv + stem.act/Relu", ["stem/Conv", "stem.act/Relu"]),
        ("PWN(PWN(act/Sigmoid), act/Mul)", ["act/Sigmoid", "act/Mul"]),
        ("a/MatMul + PWN(act/Clip)", ["a/MatMul", "act/Clip"]),
        ("Reformatting CopyNode for Input Tensor 0 to stem/Conv", []),
        ("{ForeignNode[a/Pad...b/Div]}", ["{ForeignNode[a/Pad...b/Div]}"]),
    ],
)
def test_a_name_tells_what_was_fused(name: str, nodes: list[str]) -> None:
    assert layers.nodes_of(name, {}) == nodes


def test_the_inspector_tells_more_than_a_name() -> None:
    metadata = "[ONNX Layer: a/MatMul]\x1e[ONNX Layer: a/Cast]\x1e[ONNX Layer: a/MatMul]"
    assert layers.nodes_of("__myl_MulCast_myl0_3", {"Metadata": metadata}) == ["a/MatMul", "a/Cast"]
    assert layers.nodes_of("a + b", {"Metadata": ""}) == ["a", "b"]


def inspected(told: str) -> list[dict[str, Any]]:
    inspector = SimpleNamespace(get_engine_information=lambda form: told)
    engine = SimpleNamespace(create_engine_inspector=lambda: inspector)
    return layers.inspect(SimpleNamespace(LayerInformationFormat=SimpleNamespace(JSON=1)), engine)


def test_layers_without_details_are_left_out() -> None:
    detailed = {"Name": "a", "LayerType": "Convolution"}
    assert inspected(json.dumps({"Layers": ["b", detailed, {"LayerType": "x"}]})) == [detailed]


@pytest.mark.parametrize("told", ["", "not JSON", "[]", '{"Bindings": []}', '{"Layers": null}'])
def test_an_inspector_that_tells_nothing(told: str) -> None:
    assert inspected(told) == []
