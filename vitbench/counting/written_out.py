"""Operators of a graph that its exporter wrote as several: to a counter of bytes they are one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

import onnx

# What GELU (erf and tanh) and LayerNorm are written with.
_PARTS = frozenset({"Add", "Div", "Erf", "Mul", "Pow", "ReduceMean", "Sqrt", "Sub", "Tanh"})
# The part that only they have: the last one that needs what came in, means up to there, and what may follow
# with a constant.
_ANCHORS = {
    "Erf": ("Mul", 0, ("Mul",)),
    "Tanh": ("Mul", 0, ("Mul",)),
    "Sqrt": ("Div", 2, ("Mul", "Add")),
}
# LayerNorm has nine parts.
_MOST = 10


@dataclass(frozen=True)
class WrittenOut:
    """One operator: the outputs of its parts, the last of them its result; the tensors it reads."""

    parts: tuple[str, ...]
    reads: tuple[str, ...]

    @property
    def result(self) -> str:
        """Name of what comes out."""
        return self.parts[-1]


def find_written_out(graph: onnx.GraphProto, constants: set[str]) -> list[WrittenOut]:
    """GELU and LayerNorm where they are written out: x in, one tensor of its shape out, x used twice.

    Args:
        constants: names of parameters, constants, and what is computed from those alone.
    """
    lookup = _Lookup(graph, constants)
    found = (_at(node, lookup) for node in graph.node if node.op_type in _ANCHORS)
    return [each for each in found if each is not None]


class _Lookup:
    """Who makes and who uses each tensor of a graph."""

    def __init__(self, graph: onnx.GraphProto, constants: set[str]) -> None:
        self.constants = constants
        self.place = {name: place for place, node in enumerate(graph.node) for name in node.output}
        self.makers = {name: node for node in graph.node for name in node.output}
        self.uses = Counter(name for node in graph.node for name in node.input)
        self.uses.update(tensor.name for tensor in graph.output)
        self._users = {name: node for node in graph.node for name in node.input}

    def only_user(self, node: onnx.NodeProto) -> onnx.NodeProto | None:
        """The one node that uses what another makes."""
        (made,) = node.output
        return self._users.get(made) if self.uses[made] == 1 else None

    def computed(self, node: onnx.NodeProto) -> list[str]:
        """What a node uses that depends on the graph's input."""
        return [name for name in node.input if name and name not in self.constants]


def _at(anchor: onnx.NodeProto, lookup: _Lookup) -> WrittenOut | None:
    last_type, means, trailing = _ANCHORS[anchor.op_type]
    for last in _onwards(anchor, lookup):
        if last.op_type == last_type and (nodes := _between(last, anchor, means, lookup)):
            break
    else:
        return None
    for operator in trailing:
        after = lookup.only_user(nodes[-1])
        if after is not None and after.op_type == operator and len(lookup.computed(after)) == 1:
            nodes.append(after)
    made = tuple(node.output[0] for node in nodes)
    reads = dict.fromkeys(name for node in nodes for name in node.input if name and name not in made)
    return WrittenOut(made, tuple(reads))


def _onwards(node: onnx.NodeProto, lookup: _Lookup) -> Iterator[onnx.NodeProto]:
    """The parts that follow one another without a fork."""
    after = lookup.only_user(node)
    while after is not None and after.op_type in _PARTS:
        yield after
        after = lookup.only_user(after)


def _between(
    last: onnx.NodeProto, anchor: onnx.NodeProto, means: int, lookup: _Lookup
) -> list[onnx.NodeProto]:
    """All nodes on the way to `last` from the one tensor that they depend on, in order; none without one.

    The way leads through `anchor` and so many means, the tensor is used more than once, and nothing else is
    seen outside.
    """
    nodes, open_ends = [last], Counter(lookup.computed(last))
    while len(nodes) < _MOST:
        met = sum(node.op_type == "ReduceMean" for node in nodes)
        if anchor in nodes and len(open_ends) == 1 and met >= means:
            (source,) = open_ends
            return nodes[::-1] if open_ends[source] > 1 else []
        latest = max(open_ends, key=lambda name: lookup.place.get(name, -1))
        node = lookup.makers.get(latest)
        if node is None or node.op_type not in _PARTS or lookup.uses[latest] != open_ends.pop(latest):
            return []
        nodes.append(node)
        open_ends.update(lookup.computed(node))
    return []
