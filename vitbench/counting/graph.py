"""Count an ONNX graph from the shapes of its tensors. Shares no code with the counter of modules."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto
from onnx.inliner import inline_local_functions

from vitbench.counting.errors import UnsupportedOperators
from vitbench.counting.graph_operators import CONVOLUTIONS, KNOWN, PRODUCTS, VIEWS
from vitbench.counting.written_out import find_written_out
from vitbench.errors import UsageError

Shape = tuple[int, ...]


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

    A matmul is attention when neither operand is an initializer or a constant, or computed from those alone.
    What depends on them alone is computed before the first inference, and not counted. A view moves
    nothing, the choice of one element of an axis is one, and a bias belongs to its product. GELU and
    LayerNorm written as several nodes are one operator, and so are its bytes.

    Raises:
        UnsupportedOperators: a node without a known cost.
        UsageError: the file is not an ONNX model, or a tensor has no static shape.
    """
    graph = _with_shapes(_read(model)).graph
    unknown = [_name(node) for node in graph.node if _name(node) not in KNOWN]
    if unknown:
        raise UnsupportedOperators(unknown, f"graph '{graph.name}'")
    types = _tensor_types(graph)
    constants = _constants(graph)
    biases = _biases(graph, types, constants)
    written_out = {name: each for each in find_written_out(graph, constants) for name in each.parts}
    macs = attention = read = written = 0
    for node in graph.node:  # in topological order, by the standard
        inputs = [name for name in node.input if name]
        outputs = [name for name in node.output if name]
        if constants.issuperset(outputs):
            continue
        if _is_view(node, types):
            types.share(outputs, inputs[0])
        elif node.output[0] in biases:
            read += types.bytes(biases[node.output[0]])
        elif (operator := written_out.get(node.output[0])) is not None:
            if node.output[0] == operator.result:
                read += sum(types.bytes(name) for name in operator.reads)
                written += types.bytes(operator.result)
        else:
            read += sum(types.bytes(name) for name in dict.fromkeys(inputs))
            written += sum(types.bytes(name) for name in outputs)
        cost = _macs(node, types)
        macs += cost
        if node.op_type in PRODUCTS and not constants.intersection(inputs[:2]):
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
    """Static shapes and element types of the tensors of a graph; `stored` has the bytes behind views."""

    shapes: dict[str, Shape]
    element_types: dict[str, int]
    stored: dict[str, int] = field(default_factory=dict)

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
        size = math.prod(self.shape(name)) * bits // 8
        return min(size, self.stored.get(name, size))

    def share(self, views: list[str], of: str) -> None:
        """Note that some tensors are views of another: an expanded one holds less than its shape says."""
        for name in views:
            self.stored[name] = self.bytes(of)


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


def _constants(graph: onnx.GraphProto) -> set[str]:
    """Names of all tensors that are parameters or constants, or computed from those alone."""
    names = {initializer.name for initializer in graph.initializer}
    for node in graph.node:
        # The shape of an activation is known as well.
        if node.op_type in ("Shape", "Size") or all(name in names for name in node.input if name):
            names.update(name for name in node.output if name)
    return names


def _biases(graph: onnx.GraphProto, types: _Types, constants: set[str]) -> dict[str, str]:
    """Vectors of parameters that are added to a product which nothing else uses, by the sum's name."""
    uses = Counter(name for node in graph.node for name in node.input)
    uses.update(tensor.name for tensor in graph.output)
    products = {node.output[0] for node in graph.node if node.op_type == "MatMul"}
    found = {}
    for node in graph.node:
        if node.op_type != "Add":
            continue
        for product, bias in (tuple(node.input), tuple(reversed(node.input))):
            shape = types.shape(bias)
            vector = bool(shape) and math.prod(shape) == shape[-1]
            if product in products and uses[product] == 1 and bias in constants and vector:
                found[node.output[0]] = bias
    return found


def _is_view(node: onnx.NodeProto, types: _Types) -> bool:
    """Whether the output is elements of the first input, in another order or shape."""
    return node.op_type in VIEWS or (node.op_type == "Gather" and types.shape(node.input[1]) == ())


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
        return _convolution(node, types)
    if node.op_type == "MatMul":
        return math.prod(types.shape(node.output[0])) * types.shape(node.input[0])[-1]
    if node.op_type == "Gemm":
        transposed = any(item.name == "transA" and item.i for item in node.attribute)
        return math.prod(types.shape(node.output[0])) * types.shape(node.input[0])[0 if transposed else 1]
    if node.op_type == "Einsum":
        return _einsum(node, types)
    return 0


def _convolution(node: onnx.NodeProto, types: _Types) -> int:
    """Each output element, of a transposed one each input element, meets one filter."""
    moved = node.input[0] if node.op_type == "ConvTranspose" else node.output[0]
    return math.prod(types.shape(moved)) * math.prod(types.shape(node.input[1])[1:])


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
