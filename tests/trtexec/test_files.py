"""The files that trtexec writes: layers, their times, and outputs."""

from __future__ import annotations

import json

import numpy as np
import pytest

from vitbench.trtexec.layers import EngineLayer, read_layers
from vitbench.trtexec.outputs import read_outputs
from vitbench.trtexec.profile import read_profile
from vitbench.trtexec.refusals import NoResult, Reason

OUTPUTS = """\
[
  { "name" : "logits"
  , "dimensions" : "1x2x3"
  , "values" : [ 1, -2.5, 3e-05, nan, inf, -inf ]
  }
, { "name" : "nan \\"x\\""
  , "dimensions" : "2"
  , "values" : [ 0, 65504 ]
  }
]
"""


def test_outputs_with_what_json_has_no_word_for() -> None:
    first, second = read_outputs(OUTPUTS)
    assert (first.name, first.values.shape) == ("logits", (1, 2, 3))
    assert np.array_equal(first.values.ravel()[:3], [1.0, -2.5, 3e-05])
    assert np.isnan(first.values.ravel()[3])
    assert np.array_equal(first.values.ravel()[4:], [np.inf, -np.inf])
    assert (second.name, second.values.tolist()) == ('nan "x"', [0.0, 65504.0])


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        OUTPUTS[:-3],
        OUTPUTS[:150] + "]",
        OUTPUTS.replace("1x2x3", "1x2x4"),
        OUTPUTS.replace("1x2x3", "ax3"),
        OUTPUTS.replace("-2.5", "two"),
        OUTPUTS.replace('"values" : [ 0', '"numbers" : [ 0'),
    ],
)
def test_outputs_that_are_none(text: str) -> None:
    with pytest.raises(NoResult) as caught:
        read_outputs(text)
    assert caught.value.reason is Reason.MALFORMED


def test_layer_times() -> None:
    text = json.dumps(
        [
            {"count": 10},
            {"name": "conv", "timeMs": 2.5, "averageMs": 0.25, "medianMs": 0.24, "percentage": 62.5},
            {"name": "gemm", "timeMs": 1.5, "averageMs": 0.15, "percentage": 37.5},
        ]
    )
    profile = read_profile(text)
    assert profile.iterations == 10
    assert [(layer.name, layer.total_ns, layer.median_ns) for layer in profile.layers] == [
        ("conv", 2_500_000, 240_000),
        ("gemm", 1_500_000, None),
    ]


@pytest.mark.parametrize(
    "text",
    [
        *("", "[]", "{}", "[1]", '[{"count": 0}]', '[{"count": 5}]', '[{"count": 1}, {"timeMs": 1}]'),
        *('[{"count": 1}, {"name": "a"}]', '[{"count": 1}, {"name": "a", "timeMs": -1, "averageMs": 1}]'),
    ],
)
def test_layer_times_that_are_none(text: str) -> None:
    with pytest.raises(NoResult):
        read_profile(text)


def tensor(**fields: object) -> dict[str, object]:
    return {"Name": "t", "Dimensions": [1, 8], **fields}


@pytest.mark.parametrize(
    ("fields", "dtype"),
    [
        ({"Format/Datatype": "Row major linear FP32"}, "fp32"),
        ({"Format/Datatype": "Channel major FP16 format where channel % 8 == 0"}, "fp16"),
        ({"Format/Datatype": "Half"}, "fp16"),
        ({"Format/Datatype": "Float"}, "fp32"),
        ({"Format": "Row major linear", "DataType": "FP16"}, "fp16"),
        ({"Format": "Row major linear", "DataType": "BFloat16"}, "bf16"),
        ({"Format": "kLINEAR", "DataType": "kHALF"}, "fp16"),
        ({"Format/Datatype": "Int64"}, "int64"),
        ({"Format/Datatype": "N/A due to dynamic shapes"}, None),
        ({}, None),
    ],
)
def test_types_in_the_words_of_each_version(fields: dict[str, object], dtype: str | None) -> None:
    layer = {"Name": "a", "LayerType": "gemm", "Inputs": [], "Outputs": [tensor(**fields)]}
    found = read_layers(json.dumps({"Layers": [layer], "Bindings": ["x"]}))
    assert found.layers[0].outputs[0].dtype == dtype
    assert found.layers[0].outputs[0].shape == (1, 8)
    assert found.output_types == ({dtype: 1} if dtype else {})


def test_layers_by_name_alone_and_the_tensors_of_version_11() -> None:
    names = read_layers(json.dumps({"Layers": ["conv + relu", "gemm"], "Bindings": ["in", "out"]}))
    assert names.layers == (EngineLayer("conv + relu", None), EngineLayer("gemm", None))
    assert names.bindings == ("in", "out")
    new = read_layers(json.dumps({"Layers": [], "I/O Tensors": [tensor(DataType="FP32")]}))
    assert new.bindings == ("t",)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"Layers": {}}', '{"Layers": [1]}', '{"Layers": [{}]}'])
def test_layers_that_are_none(text: str) -> None:
    with pytest.raises(NoResult):
        read_layers(text)
