"""Count an ONNX graph from the shapes of its tensors. Shares no code with the counter of modules."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto
from onnx.inliner import inline_local_functions

from vitbench.counting.errors import UnsupportedOperators
from vitbench.errors import UsageError

Shape = tuple[int, ...]

# Their output is the same memory under another shape or name.
VIEWS = frozenset({"Flatten", "Identity", "Reshape", "Slice", "Split", "Squeeze", "Transpose", "Unsqueeze"})
# What comes out of these is still the parameter that went in.
REARRANGE = VIEWS | {"Cast", "CastLike", "Expand"}
PRODUCTS = frozenset({"Einsum", "Gemm", "MatMul"})
ZERO = REARRANGE | {
    "Abs",
    "Add",
    "And",
    "AveragePool",
    "BatchNormalization",
    "Clip",
    "Concat",
    "Constant",
    "ConstantOfShape",
    "Cos",
    "DepthToSpace",
    "Div",
    "Elu",
    "Equal",
    "Erf",
    "Exp",
    "Gather",
    "Gelu",
    "GlobalAveragePool",
    "Greater",
    "GreaterOrEqual",
    "GroupNormalization",
    "HardSigmoid",
    "HardSwish",
    "InstanceNormalization",
    "IsNaN",
    "LayerNormalization",
    "LeakyRelu",
    "Less",
    "LessOrEqual",
    "Log",
    "LpNormalization",
    "Max",
    "MaxPool",
    "Min",
    "Mul",
    "Neg",
    "Not",
    "Or",
    "PRelu",
    "Pad",
    "Pow",
    "Range",
    "Reciprocal",
    "ReduceL2",
    "ReduceMax",
    "ReduceMean",
    "ReduceSum",
    "Relu",
    "Resize",
    "Shape",
    "Sigmoid",
    "Sin",
    "Size",
    "Softmax",
    "SpaceToDepth",
    "Sqrt",
    "Sub",
    "Sum",
    "Tanh",
    "Tile",
    "Where",
}


@dataclass(frozen=True)
class OnnxCounts:
    """Counts of a graph; bytes as in `ModuleCounts`. `params` are the elements of float initializers."""

    macs: int
    macs_attention: int
    bytes_read: int
    bytes_written: int
    params: int


def count_onnx(model: onnx.ModelProto | str | Path) -> OnnxCounts:
    """Count one inference of an ONNX graph with static shapes.

    A matmul is attention when neither operand is an initializer, a constant, or one of them rearranged.

    Raises:
        UnsupportedOperators: a node without a known cost.
        UsageError: the file is not an ONNX model, or a tensor has no static shape.
    """
    graph = _with_shapes(_read(model)).graph
    unknown = [_name(node) for node in graph.node if _name(node) not in ZERO | PRODUCTS | CONVOLUTIONS.keys()]
    if unknown:
        raise UnsupportedOperators(unknown, f"graph '{graph.name}'")
    types = _tensor_types(graph)
    parameters = _parameters(graph)
    macs = attention = read = written = 0
    for node in graph.node:
        inputs = [name for name in node.input if name]
        outputs = [name for name in node.output if name]
        if node.op_type not in VIEWS and node.op_type != "Constant":
            read += sum(types.bytes(name) for name in dict.fromkeys(inputs))
            written += sum(types.bytes(name) for name in outputs)
        cost = _macs(node, types)
        macs += cost
        if node.op_type in PRODUCTS and not parameters.intersection(inputs[:2]):
            attention += cost
    return OnnxCounts(macs, attention, read, written, _count_parameters(graph))


def _read(model: onnx.ModelProto | str | Path) -> onnx.ModelProto:
    """The model; weights that stand in another file are not needed and stay there."""
    if isinstance(model, onnx.ModelProto):
        return model
    try:
        return onnx.load(str(model), load_external_data=False)
    except OSError as error:
        raise UsageError(f"cannot read {model}: {error.strerror}", "check the path") from error
    except Exception as error:  # protobuf's decode error has no stable type across its implementations
        raise UsageError(f"{model} is not an ONNX model", "export it again") from error


def _with_shapes(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model with functions inlined and the shape of every tensor filled in."""
    if model.functions:
        model = inline_local_functions(model)
    known = _tensor_types(model.graph).shapes
    if all(name in known for node in model.graph.node for name in node.output if name):
        return model
    return onnx.shape_inference.infer_shapes(model, data_prop=True)


@dataclass(frozen=True)
class _Types:
    """Static shapes and element types of the tensors of a graph."""

    shapes: dict[str, Shape]
    element_types: dict[str, int]

    def shape(self, name: str) -> Shape:
        if name not in self.shapes:
            raise UsageError(
                f"tensor '{name}' of the ONNX graph has no static shape", "export it with static shapes"
            )
        return self.shapes[name]

    def bytes(self, name: str) -> int:
        """Bytes of a tensor that moves; shapes, axes and scalars are part of the operator."""
        if not self.shape(name) or self.element_types.get(name) == TensorProto.INT64:
            return 0
        bits = _bits(self.element_types.get(name, TensorProto.FLOAT))
        return math.prod(self.shape(name)) * bits // 8


def _bits(element_type: int) -> int:
    """Width of an element in bits."""
    return int(onnx.helper.tensor_dtype_to_np_dtype(element_type).itemsize) * 8


def _tensor_types(graph: onnx.GraphProto) -> _Types:
    """Every shape that the graph states."""
    shapes: dict[str, Shape] = {}
    element_types: dict[str, int] = {}
    for info in (*graph.input, *graph.output, *graph.value_info):
        tensor = info.type.tensor_type
        if tensor.HasField("shape") and all(dim.HasField("dim_value") for dim in tensor.shape.dim):
            shapes[info.name] = tuple(dim.dim_value for dim in tensor.shape.dim)
            element_types[info.name] = tensor.elem_type
    for initializer in graph.initializer:
        shapes[initializer.name] = tuple(initializer.dims)
        element_types[initializer.name] = initializer.data_type
    _expand_constants(graph, shapes)
    return _Types(shapes, element_types)


def _expand_constants(graph: onnx.GraphProto, shapes: dict[str, Shape]) -> None:
    """Add the shapes of constants blown up to a constant shape.

    The exporter writes the zero bias of a convolution without one as two nested Expands, which the
    inference of the standard library does not follow.
    """
    values: dict[str, np.ndarray] = {}
    for node in graph.node:
        if node.op_type == "Constant":
            values[node.output[0]] = _constant(node)
            shapes.setdefault(node.output[0], values[node.output[0]].shape)
        elif node.op_type == "Shape" and node.input[0] in shapes:
            bounds = {item.name: item.i for item in node.attribute}
            part = shapes[node.input[0]][bounds.get("start", 0) : bounds.get("end")]
            values[node.output[0]] = np.asarray(part)
        elif node.op_type == "Expand" and node.input[1] in values and node.input[0] in shapes:
            target = tuple(int(size) for size in values[node.input[1]])
            shapes[node.output[0]] = np.broadcast_shapes(shapes[node.input[0]], target)
            if node.input[0] in values:
                values[node.output[0]] = np.broadcast_to(values[node.input[0]], shapes[node.output[0]])


def _constant(node: onnx.NodeProto) -> np.ndarray:
    """Value of a Constant node."""
    value = onnx.helper.get_attribute_value(node.attribute[0])
    return onnx.numpy_helper.to_array(value) if isinstance(value, TensorProto) else np.asarray(value)


def _parameters(graph: onnx.GraphProto) -> set[str]:
    """Names of all tensors that are parameters or constants, rearranged or not."""
    names = {initializer.name for initializer in graph.initializer}
    for node in graph.node:  # in topological order, by the standard
        if node.op_type == "Constant" or (node.op_type in REARRANGE and node.input[0] in names):
            names.update(node.output)
    return names


def _count_parameters(graph: onnx.GraphProto) -> int:
    """Elements of the float initializers; scalars are constants of formulas, not weights."""
    floats = {TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.BFLOAT16, TensorProto.DOUBLE}
    return sum(math.prod(item.dims) for item in graph.initializer if item.data_type in floats and item.dims)


def _name(node: onnx.NodeProto) -> str:
    """Operator type, with its domain where that is not the standard's."""
    return node.op_type if node.domain in ("", "ai.onnx") else f"{node.domain}::{node.op_type}"


def _macs(node: onnx.NodeProto, types: _Types) -> int:
    """MACs of one node."""
    if node.op_type in CONVOLUTIONS:
        return CONVOLUTIONS[node.op_type](node, types)
    if node.op_type == "MatMul":
        return math.prod(types.shape(node.output[0])) * types.shape(node.input[0])[-1]
    if node.op_type == "Gemm":
        transposed = any(item.name == "transA" and item.i for item in node.attribute)
        return math.prod(types.shape(node.output[0])) * types.shape(node.input[0])[0 if transposed else 1]
    if node.op_type == "Einsum":
        return _einsum(node, types)
    return 0


def _conv(node: onnx.NodeProto, types: _Types) -> int:
    """Each output element meets one filter of (cin / groups) x kernel."""
    return math.prod(types.shape(node.output[0])) * math.prod(types.shape(node.input[1])[1:])


def _conv_transpose(node: onnx.NodeProto, types: _Types) -> int:
    """Each input element is spread by one filter of (cout / groups) x kernel."""
    return math.prod(types.shape(node.input[0])) * math.prod(types.shape(node.input[1])[1:])


CONVOLUTIONS: dict[str, Callable[[onnx.NodeProto, _Types], int]] = {
    "Conv": _conv,
    "ConvTranspose": _conv_transpose,
}


def _einsum(node: onnx.NodeProto, types: _Types) -> int:
    """One multiply-add for each combination of the indices of a two-operand product."""
    equation = next(item.s.decode() for item in node.attribute if item.name == "equation").replace(" ", "")
    terms = equation.split("->")[0].split(",")
    if len(terms) != 2 or "..." in equation:
        raise UnsupportedOperators([f"Einsum({equation})"], "the ONNX graph")
    sizes: dict[str, int] = {}
    for term, name in zip(terms, node.input, strict=True):
        sizes.update(zip(term, types.shape(name), strict=True))
    return math.prod(sizes.values())
