"""Means and norms in half precision, with the sums that they hide.

A mean of a large map or of squares fits into half where the sum that it is computed from does not. A device
may keep that sum in a wider type, and nothing promises that it does: here it is a tensor of its own, in half.
What comes after the sum is in float32, as it cannot overflow.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import onnx
from onnx import NodeProto, TensorProto, helper, numpy_helper

from vitbench.errors import UsageError
from vitbench.export.islands import tensor_types

HALF, FLOAT = TensorProto.FLOAT16, TensorProto.FLOAT
_HINT = "export the graph with static shapes and constant axes"


def with_half_sums(model: onnx.ModelProto) -> onnx.ModelProto:
    """The same graph with the means and norms of half tensors written out; every tensor of it has a type.

    These are GlobalAveragePool, InstanceNormalization, LayerNormalization, ReduceL2 and ReduceMean.

    Raises:
        UsageError: the shape or the axes of one of them are not known before it runs.
    """
    types = tensor_types(model)
    inferred = onnx.shape_inference.infer_shapes(model, data_prop=True)
    tape = _Tape(inferred.graph)
    for node in model.graph.node:
        write = _WRITERS.get(node.op_type)
        if write is not None and types.get(node.input[0]) == HALF:
            write(tape, node)
        else:
            tape.nodes.append(node)
    graph = helper.make_graph(
        tape.nodes,
        model.graph.name,
        list(model.graph.input),
        list(model.graph.output),
        [*model.graph.initializer, *tape.constants],
        value_info=[*inferred.graph.value_info, *tape.infos],
    )
    return helper.make_model(graph, opset_imports=model.opset_import, ir_version=model.ir_version)


class _Tape:
    """Nodes of the new graph, and what they need beside the old one's."""

    def __init__(self, graph: onnx.GraphProto) -> None:
        stated = [*graph.input, *graph.output, *graph.value_info]
        self._ranks = {each.name: each.type.tensor_type.shape.dim for each in stated}
        self._values = {tensor.name: tensor for tensor in graph.initializer}
        # Other exporters leave axes in nodes of their own.
        for node in graph.node:
            if node.op_type == "Constant" and node.attribute[0].name == "value":
                self._values[node.output[0]] = node.attribute[0].t
        self.nodes: list[NodeProto] = []
        self.constants: list[TensorProto] = []
        self.infos: list[onnx.ValueInfoProto] = []

    def sides(self, name: str) -> list[int]:
        """Shape of a tensor of the old graph."""
        sides = self._ranks.get(name)
        if sides is None or not all(dim.HasField("dim_value") for dim in sides):
            raise UsageError(f"fp16 emulation needs the shape of '{name}', which is not known", _HINT)
        return [dim.dim_value for dim in sides]

    def values(self, name: str) -> list[int]:
        """Elements of a small constant."""
        if name not in self._values:
            raise UsageError(f"fp16 emulation needs the values of '{name}', which are computed", _HINT)
        return [int(value) for value in numpy_helper.to_array(self._values[name]).ravel()]

    def add(self, operator: str, inputs: Sequence[str], name: str, kind: int, **attributes: Any) -> str:
        """Append a node with one output of a type; the output's name."""
        self.nodes.append(helper.make_node(operator, inputs, [name], name=name, **attributes))
        self.infos.append(helper.make_tensor_value_info(name, kind, None))
        return name

    def constant(self, name: str, value: np.ndarray) -> str:
        """A new initializer; its name."""
        self.constants.append(numpy_helper.from_array(value, name))
        return name

    def summed(self, x: str, axes: Sequence[int], name: str, keep: int = 1) -> str:
        """Sum of a half tensor, in half."""
        along = self.constant(f"{name}~axes", np.asarray(axes, np.int64))
        return self.add("ReduceSum", [x, along], f"{name}~sum", HALF, keepdims=keep)

    def mean(self, x: str, axes: Sequence[int], count: int, name: str, keep: int = 1) -> str:
        """Mean of a half tensor, in float32 behind the sum."""
        total = self.add("Cast", [self.summed(x, axes, name, keep)], f"{name}~total", FLOAT, to=FLOAT)
        share = self.constant(f"{name}~share", np.asarray(1 / count, np.float32))
        return self.add("Mul", [total, share], f"{name}~mean", FLOAT)

    def narrow(self, wide: str, name: str) -> str:
        """A float32 tensor in half."""
        return self.add("Cast", [wide], name, HALF, to=HALF)


def _attribute(node: NodeProto, name: str, default: float) -> float:
    found = [helper.get_attribute_value(item) for item in node.attribute if item.name == name]
    return found[0] if found else default


def _axes(tape: _Tape, node: NodeProto, rank: int) -> list[int]:
    """Axes that a reduction reduces: an attribute up to opset 17, then an input."""
    stated = [list(item.ints) for item in node.attribute if item.name == "axes"]
    if not stated and len(node.input) > 1 and node.input[1]:
        stated = [tape.values(node.input[1])]
    return [axis % rank for axis in stated[0]] if stated else list(range(rank))


def _mean(tape: _Tape, node: NodeProto) -> None:
    x, (name,) = node.input[0], node.output
    sides = tape.sides(x)
    pools = node.op_type == "GlobalAveragePool"
    axes = list(range(2, len(sides))) if pools else _axes(tape, node, len(sides))
    keep = 1 if pools else int(_attribute(node, "keepdims", 1))
    tape.narrow(tape.mean(x, axes, math.prod(sides[axis] for axis in axes), name, keep), name)


def _length(tape: _Tape, node: NodeProto) -> None:
    x, (name,) = node.input[0], node.output
    squares = tape.add("Mul", [x, x], f"{name}~squares", HALF)
    keep = int(_attribute(node, "keepdims", 1))
    total = tape.summed(squares, _axes(tape, node, len(tape.sides(x))), name, keep)
    tape.add("Sqrt", [total], name, HALF)


def _layer_norm(tape: _Tape, node: NodeProto) -> None:
    rank = len(tape.sides(node.input[0]))
    _norm(tape, node, list(range(int(_attribute(node, "axis", -1)) % rank, rank)), [])


def _instance_norm(tape: _Tape, node: NodeProto) -> None:
    rank = len(tape.sides(node.input[0]))
    _norm(tape, node, list(range(2, rank)), [-1, *[1] * (rank - 2)])


def _norm(tape: _Tape, node: NodeProto, axes: list[int], per: list[int]) -> None:
    """Norm over axes, with scale and bias brought to the shape `per` where that is not empty."""
    x, name = node.input[0], node.output[0]
    count = math.prod(tape.sides(x)[axis] for axis in axes)
    mean = tape.narrow(tape.mean(x, axes, count, f"{name}~1"), f"{name}~mean")
    centred = tape.add("Sub", [x, mean], f"{name}~centred", HALF)
    squares = tape.add("Mul", [centred, centred], f"{name}~squares", HALF)
    variance = tape.mean(squares, axes, count, f"{name}~2")
    epsilon = tape.constant(f"{name}~epsilon", np.asarray(_attribute(node, "epsilon", 1e-5), np.float32))
    deviation = tape.add("Add", [variance, epsilon], f"{name}~guarded", FLOAT)
    deviation = tape.add("Sqrt", [deviation], f"{name}~deviation", FLOAT)
    out = tape.add("Cast", [centred], f"{name}~numerator", FLOAT, to=FLOAT)
    out = tape.add("Div", [out, deviation], f"{name}~normed", FLOAT)
    for operator, parameter in zip(("Mul", "Add"), node.input[1:], strict=False):
        factor = tape.add("Cast", [parameter], f"{name}~{operator}~in", FLOAT, to=FLOAT)
        if per:
            shape = tape.constant(f"{name}~{operator}~shape", np.asarray(per, np.int64))
            factor = tape.add("Reshape", [factor, shape], f"{name}~{operator}~per", FLOAT)
        out = tape.add(operator, [out, factor], f"{name}~{operator}", FLOAT)
    tape.narrow(out, name)


_WRITERS: dict[str, Callable[[_Tape, NodeProto], None]] = {
    "GlobalAveragePool": _mean,
    "InstanceNormalization": _instance_norm,
    "LayerNormalization": _layer_norm,
    "ReduceL2": _length,
    "ReduceMean": _mean,
}
