"""Networks that the stand-in reads: ONNX, or a few words in JSON that any Python computes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Dict, Iterator, List, Sequence, Tuple

Described = Tuple[str, str, Tuple[int, ...]]  # name, TensorRT's name of the type, shape
BYTES = {"FLOAT": 4, "HALF": 2, "INT32": 4, "INT64": 8, "UINT8": 1, "INT8": 1, "BOOL": 1, "BF16": 2}
KINDS = {"MatMul": "MATRIX_MULTIPLY", "Conv": "CONVOLUTION", "Shape": "SHAPE"}


class Node:
    """A node: name, operator, types of its outputs."""

    def __init__(self, name: str, op: str, dtypes: Sequence[str]) -> None:
        self.name, self.op, self.dtypes = name, op, list(dtypes)
        self.kind = KINDS.get(op, "ELEMENTWISE")


class Graph:
    """A network: its inputs, outputs and nodes, and the bytes that it was read from."""

    def __init__(
        self, content: bytes, inputs: List[Described], outputs: List[Described], nodes: List[Node]
    ) -> None:
        self.content, self.inputs, self.outputs, self.nodes = content, inputs, outputs, nodes

    @staticmethod
    def of(content: bytes) -> Graph:
        """A graph from its bytes."""
        return _toy(content) if content.startswith(b"{") else _onnx(content)

    def sizes(self, tensors: Sequence[Described]) -> Iterator[Tuple[str, int]]:
        """Name and bytes of tensors."""
        for name, dtype, shape in tensors:
            size = BYTES[dtype]
            for side in shape:
                size *= side
            yield name, size

    def compute(self, values: Dict[str, bytes]) -> Dict[str, bytes]:
        """The outputs: those of ONNX Runtime, or, of a toy, the first input's bytes over and over."""
        if self.content.startswith(b"{"):
            first = values[self.inputs[0][0]]
            return {
                name: (first * (size // len(first) + 1))[:size] for name, size in self.sizes(self.outputs)
            }
        return _run_onnx(self, values)


def read_graph(path: Path) -> Graph:
    """Read a network; weights that lie beside an ONNX file are taken into it."""
    content = path.read_bytes()
    if content.startswith(b"{"):
        return _toy(content)
    import onnx

    return _onnx(onnx.load(str(path)).SerializeToString())


def _toy(content: bytes) -> Graph:
    told = json.loads(content)

    def described(items: Sequence[Any]) -> List[Described]:
        return [(name, dtype, tuple(shape)) for name, dtype, shape in items]

    nodes = [Node(name, op, dtypes) for name, op, dtypes in told["nodes"]]
    return Graph(content, described(told["inputs"]), described(told["outputs"]), nodes)


NAMES = {1: "FLOAT", 2: "UINT8", 3: "INT8", 6: "INT32", 7: "INT64", 9: "BOOL", 10: "HALF"}


def _onnx(content: bytes) -> Graph:
    import onnx

    graph = onnx.load_from_string(content).graph
    types = {value.name: value.type.tensor_type.elem_type for value in (*graph.value_info, *graph.output)}

    def described(values: Sequence[Any]) -> List[Described]:
        return [
            (
                value.name,
                NAMES[value.type.tensor_type.elem_type],
                tuple(side.dim_value or -1 for side in value.type.tensor_type.shape.dim),
            )
            for value in values
        ]

    nodes = [
        Node(node.name, node.op_type, [NAMES.get(types.get(name, 1), "FLOAT") for name in node.output])
        for node in graph.node
    ]
    return Graph(content, described(graph.input), described(graph.output), nodes)


_sessions: Dict[int, Any] = {}


def _run_onnx(graph: Graph, values: Dict[str, bytes]) -> Dict[str, bytes]:
    import numpy as np
    import onnxruntime

    if id(graph) not in _sessions:
        settings = onnxruntime.SessionOptions()
        settings.intra_op_num_threads = 1
        _sessions[id(graph)] = onnxruntime.InferenceSession(
            graph.content, settings, providers=["CPUExecutionProvider"]
        )
    types = {"FLOAT": np.float32, "HALF": np.float16}
    feed = {
        name: np.frombuffer(values[name], types[dtype]).reshape(shape) for name, dtype, shape in graph.inputs
    }
    names = [name for name, _, _ in graph.outputs]
    found = _sessions[id(graph)].run(names, feed)
    return {name: array.tobytes() for name, array in dict(zip(names, found)).items()}  # noqa: B905
