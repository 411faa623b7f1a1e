"""Operators of ONNX that an old runtime does not know, as several that it does."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx_ir
from onnx_ir import convenience
from onnx_ir.passes import InPlacePass, PassResult

from vitbench.errors import VitbenchError
from vitbench.export.onnx_graph import SCOPES


class WriteOutLayerNorm(InPlacePass):
    """LayerNormalization over the last axis as mean, difference, mean of squares, root and quotient.

    TensorRT knows the operator from 8.6 on, and 8.5 refuses a graph that has it.
    """

    def call(self, model: onnx_ir.Model) -> PassResult:
        norms = [node for node in model.graph if node.op_type == "LayerNormalization"]
        for node in norms:
            _replace(model.graph, node)
        return PassResult(model, bool(norms))


def _replace(graph: onnx_ir.Graph, node: onnx_ir.Node) -> None:
    x, scale, *rest = node.inputs
    if x is None or scale is None or scale.dtype is None or len(node.outputs) > 1:
        raise VitbenchError(f"'{node.name}' is no LayerNormalization that can be written out")
    if node.attributes.get_int("axis", -1) != -1:
        raise VitbenchError(f"'{node.name}' is a LayerNormalization over another axis than the last")
    tape = _Tape(node)
    epsilon = np.asarray(node.attributes.get_float("epsilon", 1e-5), scale.dtype.numpy())
    mean = tape.add("ReduceMean", x, axes=[-1])
    centred = tape.add("Sub", x, mean)
    squares = tape.add("Mul", centred, centred)
    variance = tape.add("ReduceMean", squares, axes=[-1])
    deviation = tape.add("Sqrt", tape.add("Add", variance, _initializer(graph, node, epsilon)))
    out = tape.add("Mul", tape.add("Div", centred, deviation), scale)
    if rest and rest[0] is not None:
        out = tape.add("Add", out, rest[0])
    convenience.replace_nodes_and_values(graph, node, [node], tape.nodes, node.outputs, [out])


class _Tape:
    """Nodes that take the place of one, in its scope."""

    def __init__(self, replaced: onnx_ir.Node) -> None:
        self._replaced = replaced
        self.nodes: list[onnx_ir.Node] = []

    def add(self, operator: str, *inputs: onnx_ir.Value, axes: list[int] | None = None) -> onnx_ir.Value:
        """Append a node with one output; `axes` are reduced and kept."""
        reduces = [] if axes is None else [onnx_ir.AttrInt64s("axes", axes), onnx_ir.AttrInt64("keepdims", 1)]
        node = onnx_ir.Node("", operator, inputs, reduces, num_outputs=1)
        node.metadata_props[SCOPES] = self._replaced.metadata_props[SCOPES]
        self.nodes.append(node)
        node.outputs[0].name = f"{self._replaced.outputs[0].name}.{len(self.nodes)}"
        return node.outputs[0]


def _initializer(graph: onnx_ir.Graph, of: onnx_ir.Node, value: np.ndarray[Any, Any]) -> onnx_ir.Value:
    """A new initializer for what takes the place of a node."""
    name = f"{of.outputs[0].name}.epsilon"
    made = onnx_ir.Value(name=name, const_value=onnx_ir.tensor(value, name=name))
    made.shape, made.dtype = onnx_ir.Shape(value.shape), onnx_ir.DataType.from_numpy(value.dtype)
    graph.register_initializer(made)
    return made
