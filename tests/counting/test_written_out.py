"""Operators that an exporter wrote as several, in graphs made by hand."""

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from vitbench.counting import count_onnx
from vitbench.counting.written_out import find_written_out

SHAPE = [1, 4, 8]
CONSTANTS = {"root": 1.41421356, "one": 1.0, "half": 0.5, "two": 2.0}

Step = tuple[str, list[str], str]
GELU: list[Step] = [
    ("Div", ["x", "root"], "a"),
    ("Erf", ["a"], "b"),
    ("Add", ["b", "one"], "c"),
    ("Mul", ["x", "c"], "d"),
    ("Mul", ["d", "half"], "y"),
]
NORM: list[Step] = [
    ("ReduceMean", ["x"], "m"),
    ("Sub", ["x", "m"], "d"),
    ("Pow", ["d", "two"], "s"),
    ("ReduceMean", ["s"], "v"),
    ("Add", ["v", "one"], "e"),
    ("Sqrt", ["e"], "r"),
    ("Div", ["d", "r"], "n"),
    ("Mul", ["n", "scale"], "y"),
]


def graph(steps: list[Step], outputs: tuple[str, ...] = ("y",)) -> onnx.ModelProto:
    nodes = [
        helper.make_node(operator, inputs, [made], **({"axes": [-1]} if operator == "ReduceMean" else {}))
        for operator, inputs, made in steps
    ]
    constants = [
        numpy_helper.from_array(np.float32(value).reshape(()), name) for name, value in CONSTANTS.items()
    ]
    constants.append(numpy_helper.from_array(np.ones(8, np.float32), "scale"))
    made = helper.make_graph(
        nodes,
        "written-out",
        [helper.make_tensor_value_info("x", 1, SHAPE)],
        [helper.make_tensor_value_info(name, 1, None) for name in outputs],
        constants,
    )
    return helper.make_model(made, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def found(model: onnx.ModelProto) -> list[int]:
    constants = {tensor.name for tensor in model.graph.initializer}
    return [len(each.parts) for each in find_written_out(model.graph, constants)]


@pytest.mark.parametrize(("steps", "weights"), [(GELU, 0), (NORM, 8)])
def test_all_parts_are_one_operator_that_reads_and_writes_once(steps: list[Step], weights: int) -> None:
    model = graph(steps)
    assert found(model) == [len(steps)]
    counts = count_onnx(model)
    assert (counts.bytes_read, counts.bytes_written) == (4 * (32 + weights), 4 * 32)


@pytest.mark.parametrize("seen", ["b", "c", "d"])
def test_parts_that_are_seen_outside_are_operators_of_their_own(seen: str) -> None:
    assert 5 not in found(graph(GELU, ("y", seen)))


def test_a_root_without_the_rest_of_a_norm_is_none() -> None:
    contrast: list[Step] = [*NORM[:6], ("Add", ["r", "m"], "y")]
    assert found(graph(contrast)) == []
    quotient: list[Step] = [("Sqrt", ["x"], "r"), ("Div", ["x", "r"], "y")]
    assert found(graph(quotient)) == []


def test_an_erf_by_itself_is_none() -> None:
    assert found(graph([("Erf", ["x"], "b"), ("Add", ["b", "one"], "y")])) == []
