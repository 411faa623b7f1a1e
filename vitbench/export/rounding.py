"""A graph in half precision as one in float32 that rounds where half would.

A CPU computes a graph in half precision in float32 and so never leaves half's range. Here each tensor typed
half is brought to half and back behind the node that makes it, so that what a device would make infinite is.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import onnx
from onnx import NodeProto, TensorProto, helper

from vitbench.errors import UsageError
from vitbench.export.half_sums import with_half_sums
from vitbench.export.islands import tensor_types

HALF, FLOAT = TensorProto.FLOAT16, TensorProto.FLOAT
# Their outputs are values that came in, or half's own zero: there is nothing to round.
EXACT = frozenset(
    {
        "Abs", "Clip", "Concat", "DepthToSpace", "Dropout", "Expand", "Flatten", "Gather", "GatherElements",
        "GatherND", "Identity", "Max", "MaxPool", "Min", "Neg", "Pad", "Relu", "Reshape", "Slice",
        "SpaceToDepth", "Split", "Squeeze", "Tile", "Transpose", "Unsqueeze", "Where",
    }
)  # fmt: skip
_SUBGRAPHS = (onnx.AttributeProto.GRAPH, onnx.AttributeProto.GRAPHS)


def rounding_graph(model: onnx.ModelProto, watched: Sequence[str] = ()) -> onnx.ModelProto:
    """The graph that computes in float32 what `model` computes in half, rounded as half rounds.

    Inputs and outputs keep their names and types; what is typed float32 is not rounded. Means and norms in
    half get the sums that they hide (`half_sums`). Within any other operator there is one rounding, at its
    end: convolutions, products and Softmax, whose sum over keys stays under half's limit up to 65,504 keys,
    are as exact as float32.

    Args:
        model: with static shapes; weights in a file of their own stay there.
        watched: tensors typed half; `peak_name` of each is a further output, its largest magnitude.

    Raises:
        UsageError: the graph has branches or functions, or operators whose types nobody knows.
    """
    if model.functions or any(
        item.type in _SUBGRAPHS for node in model.graph.node for item in node.attribute
    ):
        raise UsageError(
            "a graph with branches or functions cannot be run with fp16 emulation", "export it without them"
        )
    summing = with_half_sums(model)
    types = tensor_types(summing)
    _refuse_unknown(summing.graph, types)
    writer = _Writer(types, watched)
    for node in summing.graph.node:
        writer.add(node)
    outputs = [*model.graph.output, *writer.finish([tensor.name for tensor in model.graph.output])]
    graph = helper.make_graph(
        writer.nodes, model.graph.name, list(model.graph.input), outputs, list(summing.graph.initializer)
    )
    return helper.make_model(graph, opset_imports=model.opset_import, ir_version=model.ir_version)


def _refuse_unknown(graph: onnx.GraphProto, types: dict[str, int]) -> None:
    """Refuse tensors without a type in a graph with half ones: they might be half, and would go unrounded."""
    if HALF not in types.values():
        return
    for node in graph.node:
        if any(name and not types.get(name) for name in node.output):
            raise UsageError(
                f"fp16 emulation does not know in which type '{node.name}' ({node.op_type}) gives its result",
                "export the network with operators of ONNX alone",
            )


def peak_name(tensor: str) -> str:
    """Name of the output that is the largest magnitude of a watched tensor."""
    return f"{tensor}~peak"


def island_entries(model: onnx.ModelProto) -> tuple[str, ...]:
    """Tensors typed half that are cast to float32: what goes into islands. Weights are not among them."""
    types = tensor_types(model)
    stored = {tensor.name for tensor in model.graph.initializer}
    casts = (node for node in model.graph.node if node.op_type == "Cast" and types[node.output[0]] == FLOAT)
    entries = (node.input[0] for node in casts if types.get(node.input[0]) == HALF)
    return tuple(dict.fromkeys(name for name in entries if name not in stored))


def softmax_inputs(model: onnx.ModelProto) -> tuple[str, ...]:
    """Tensors typed half that a softmax reads."""
    types = tensor_types(model)
    read = (node.input[0] for node in model.graph.node if node.op_type == "Softmax")
    return tuple(dict.fromkeys(name for name in read if types.get(name) == HALF))


class _Writer:
    """Writes the new graph node by node; a half tensor `x` is `x~` in float32 there."""

    def __init__(self, types: dict[str, int], watched: Sequence[str]) -> None:
        self._types = types
        self._watched = dict.fromkeys(watched)
        self._unwatched = dict.fromkeys(watched)
        self._wide: set[str] = set()
        self._halves: set[str] = set()
        self.nodes: list[NodeProto] = []

    def add(self, node: NodeProto) -> None:
        """Write what takes the place of a node, and the peaks of what it gives while that is still there."""
        self._replace(node)
        for name in node.output:
            if name in self._unwatched:
                self._watch(name)

    def _replace(self, node: NodeProto) -> None:
        halves = [name for name in node.output if self._half(name)]
        if not any(self._half(name) for name in node.input):
            self.nodes.append(node)  # of half it makes constants or casts, which are half already
            self._halves.update(halves)
        elif node.op_type == "Cast" and self._types[node.output[0]] == FLOAT:
            self._put("Identity", self._widened(node.input[0]), node.output[0])
        else:
            self._copy(node, halves)

    def _copy(self, node: NodeProto, halves: list[str]) -> None:
        """The same node in float32, its half outputs rounded."""
        exact = node.op_type in EXACT
        copied = NodeProto()
        copied.CopyFrom(node)
        del copied.input[:], copied.output[:]
        copied.input.extend(self._widened(name) if self._half(name) else name for name in node.input)
        ending = "~" if exact else "~exact"
        copied.output.extend(f"{name}{ending}" if name in halves else name for name in node.output)
        self.nodes.append(copied)
        if exact:
            self._wide.update(halves)
            return
        for name in halves:
            self._put("Cast", f"{name}~exact", name, to=HALF)
        self._halves.update(halves)

    def _widened(self, name: str) -> str:
        """Name of a half tensor in float32; it is brought to that where it is first used."""
        if name not in self._wide:
            self._put("Cast", name, f"{name}~", to=FLOAT)
            self._wide.add(name)
        return f"{name}~"

    def _put(self, operator: str, x: str, output: str, **attributes: Any) -> None:
        self.nodes.append(
            helper.make_node(operator, [x], [output], name=f"{output}/{operator}", **attributes)
        )

    def _half(self, name: str) -> bool:
        return bool(name) and self._types.get(name) == HALF

    def _watch(self, name: str) -> None:
        del self._unwatched[name]
        self._put("Abs", self._widened(name), f"{name}~magnitude")
        self._put("ReduceMax", f"{name}~magnitude", peak_name(name), keepdims=0)

    def finish(self, outputs: Iterable[str]) -> list[onnx.ValueInfoProto]:
        """Write what the outputs need yet, and the peaks of what no node gives; all peaks are described."""
        for name in outputs:
            if self._half(name) and name not in self._halves:
                self._put("Cast", f"{name}~", name, to=HALF)
        for name in tuple(self._unwatched):
            self._watch(name)
        return [helper.make_tensor_value_info(peak_name(name), FLOAT, []) for name in self._watched]
