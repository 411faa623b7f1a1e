"""Count a TFLite graph from the shapes of its tensors. Shares no code with the other counters."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vitbench.counting.errors import UnsupportedOperators
from vitbench.errors import UsageError, VitbenchError

CONVOLUTIONS = ("CONV_2D", "DEPTHWISE_CONV_2D", "TRANSPOSE_CONV")
PRODUCTS = ("FULLY_CONNECTED", "BATCH_MATMUL")
# fmt: off
FREE = (
    "ABS", "ADD", "ADD_N", "AVERAGE_POOL_2D", "BATCH_TO_SPACE_ND", "BROADCAST_TO", "CAST", "CONCATENATION",
    "COS", "DEPTH_TO_SPACE", "DEQUANTIZE", "DIV", "ELU", "EQUAL", "EXP", "EXPAND_DIMS", "FILL", "FLOOR",
    "FLOOR_DIV", "FLOOR_MOD", "GATHER", "GATHER_ND", "GELU", "GREATER", "GREATER_EQUAL", "HARD_SWISH",
    "LEAKY_RELU", "LESS", "LESS_EQUAL", "LOG", "LOGICAL_AND", "LOGICAL_NOT", "LOGICAL_OR", "LOGISTIC",
    "MAXIMUM", "MAX_POOL_2D", "MEAN", "MINIMUM", "MIRROR_PAD", "MUL", "NEG", "NOT_EQUAL", "PACK", "PAD",
    "PADV2", "POW", "PRELU", "RANGE", "REDUCE_MAX", "REDUCE_MIN", "RELU", "RELU6", "RELU_0_TO_1",
    "RELU_N1_TO_1", "RESHAPE", "RESIZE_BILINEAR", "RESIZE_NEAREST_NEIGHBOR", "REVERSE_V2", "ROUND", "RSQRT",
    "SELECT", "SELECT_V2", "SHAPE", "SIGN", "SIN", "SLICE", "SOFTMAX", "SPACE_TO_BATCH_ND", "SPACE_TO_DEPTH",
    "SPLIT", "SPLIT_V", "SQRT", "SQUARE", "SQUARED_DIFFERENCE", "SQUEEZE", "STRIDED_SLICE", "SUB", "SUM",
    "TANH", "TILE", "TRANSPOSE", "UNPACK", "WHERE",
)
# fmt: on
KNOWN = frozenset((*CONVOLUTIONS, *PRODUCTS, *FREE))


@dataclass(frozen=True)
class Node:
    """One operator of a graph, with the indices of its tensors."""

    name: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]


@dataclass(frozen=True)
class TfliteGraph:
    """What a TFLite file says of its graph.

    Attributes:
        macs: multiply-adds of one inference.
        macs_attention: those of products of two tensors that are both computed.
        nodes: in the order they run.
        outputs: tensors by their index, in order.
    """

    macs: int
    macs_attention: int
    nodes: tuple[Node, ...]
    outputs: tuple[int, ...]

    @property
    def operators(self) -> dict[str, int]:
        """How many there are of each, by name."""
        return dict(sorted(Counter(node.name for node in self.nodes).items()))

    def outside(self, partitions: Iterable[tuple[Iterable[int], Iterable[int]]]) -> dict[str, int]:
        """How many operators of each are in none of some partitions.

        An operator is outside where what it computes is needed by a partition, by the graph's outputs, or by
        another operator outside, and no partition gives it.

        Args:
            partitions: tensors that go in, and that come out, of each.
        """
        given: set[int] = set()
        wanted = set(self.outputs)
        for inputs, outputs in partitions:
            wanted.update(inputs)
            given.update(outputs)
        found: Counter[str] = Counter()
        for node in reversed(self.nodes):
            if any(index in wanted and index not in given for index in node.outputs):
                found[node.name] += 1
                wanted.update(node.inputs)
        return dict(sorted(found.items()))


def count_tflite(path: Path) -> TfliteGraph:
    """Count one inference of a TFLite file with static shapes.

    Raises:
        UnsupportedOperators: an operator without a known cost.
        UsageError: the file cannot be read, or is none.
        VitbenchError: a tensor has no static shape, or there is more than one graph.
    """
    model = _read(path)
    if len(model.subgraphs) != 1:
        raise VitbenchError(f"{path.name} has {len(model.subgraphs)} graphs instead of one")
    (graph,) = model.subgraphs
    names = _names(model)
    operators = [names[operator.opcodeIndex] for operator in graph.operators]
    unknown = sorted({name for name in operators if name not in KNOWN})
    if unknown:
        raise UnsupportedOperators(unknown, f"the graph of {path.name}")
    constants = {
        index for index, tensor in enumerate(graph.tensors) if _has_data(model.buffers[tensor.buffer])
    }
    macs = attention = 0
    for name, operator in zip(operators, graph.operators, strict=True):
        cost = _macs(name, operator, graph.tensors)
        macs += cost
        if name in PRODUCTS and not constants.intersection(_indices(operator.inputs[:2])):
            attention += cost
    return TfliteGraph(
        macs=macs,
        macs_attention=attention,
        nodes=tuple(
            Node(name, _indices(operator.inputs), _indices(operator.outputs))
            for name, operator in zip(operators, graph.operators, strict=True)
        ),
        outputs=_indices(graph.outputs),
    )


def _read(path: Path) -> Any:
    from ai_edge_litert import schema_py_generated as schema

    try:
        data = path.read_bytes()
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}", "check the path") from error
    if data[4:8] != b"TFL3":
        raise UsageError(f"{path} is not a TFLite file", "export it again")
    return schema.ModelT.InitFromObj(schema.Model.GetRootAs(data, 0))


def _names(model: Any) -> list[str]:
    """Name of every operator that the file may use; a custom one by its own."""
    from ai_edge_litert import schema_py_generated as schema

    known = {code: name for name, code in vars(schema.BuiltinOperator).items() if isinstance(code, int)}
    names = []
    for entry in model.operatorCodes:
        # Codes beyond 127 stand in the second field only.
        name = known.get(max(entry.builtinCode, entry.deprecatedBuiltinCode), "unknown")
        names.append(f"custom {entry.customCode!r}" if name == "CUSTOM" else name)
    return names


def _indices(values: Iterable[int]) -> tuple[int, ...]:
    """Indices of tensors; -1 stands for none."""
    return tuple(int(value) for value in values if value != -1)


def _has_data(buffer: Any) -> bool:
    return (buffer.data is not None and len(buffer.data) > 0) or bool(buffer.size)


def _macs(name: str, operator: Any, tensors: Any) -> int:
    """MACs of one operator."""
    if name not in CONVOLUTIONS and name not in PRODUCTS:
        return 0
    out, inputs = _shape(tensors[operator.outputs[0]]), operator.inputs
    if name == "TRANSPOSE_CONV":  # output shape, filter (O, H, W, I), input: each input element meets all O
        filters, given = _shape(tensors[inputs[1]]), _shape(tensors[inputs[2]])
        return math.prod(given) * math.prod(filters[:3])
    second = _shape(tensors[inputs[1]])
    if name == "CONV_2D":  # filter (O, H, W, I of one group)
        return math.prod(out) * math.prod(second[1:])
    if name == "DEPTHWISE_CONV_2D":  # filter (1, H, W, O)
        return math.prod(out) * math.prod(second[1:3])
    if name == "FULLY_CONNECTED":  # weights (O, I)
        return math.prod(out) * second[-1]
    first = _shape(tensors[inputs[0]])
    return math.prod(out) * first[-2 if operator.builtinOptions.adjX else -1]


def _shape(tensor: Any) -> tuple[int, ...]:
    shape = tuple(int(side) for side in tensor.shape) if tensor.shape is not None else ()
    if any(side < 0 for side in shape):
        raise VitbenchError(f"tensor {tensor.name!r} of the TFLite graph has no static shape")
    return shape
