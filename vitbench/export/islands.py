"""Which nodes of a graph in half precision run in float32."""

from __future__ import annotations

from pathlib import Path

import onnx
from onnx import TensorProto

FLOATS = frozenset({TensorProto.FLOAT, TensorProto.FLOAT16})


def tensor_types(model: onnx.ModelProto) -> dict[str, int]:
    """Element type of every tensor of a graph whose shapes are static, by its name."""
    graph = model.graph
    stated = [*graph.input, *graph.output, *graph.value_info]
    types = {tensor.name: tensor.type.tensor_type.elem_type for tensor in stated}
    if not all(name in types for node in graph.node for name in node.output if name):
        inferred = onnx.shape_inference.infer_shapes(model, data_prop=True).graph.value_info
        types |= {tensor.name: tensor.type.tensor_type.elem_type for tensor in inferred}
    return types | {tensor.name: tensor.data_type for tensor in graph.initializer}


def island_nodes(path: Path) -> tuple[str, ...]:
    """Names of the nodes that compute in float32 in a graph otherwise in half precision, in their order.

    A runtime that may choose types itself (TensorRT 8.x) is told by these names which nodes to leave alone.
    Casts into and out of float32 are not among them. None where nothing of the graph is in half.
    """
    model = onnx.load(path, load_external_data=False)
    types = tensor_types(model)
    if TensorProto.FLOAT16 not in types.values():
        return ()
    return tuple(node.name for node in model.graph.node if _in_float32(node, types))


def _in_float32(node: onnx.NodeProto, types: dict[str, int]) -> bool:
    kinds = {types.get(name) for name in (*node.input, *node.output) if name} & FLOATS
    return node.op_type != "Cast" and kinds == {TensorProto.FLOAT}
