"""An artifact's graph in ATen operators: captured by `torch.export`, and read without executing anything.

The form, and why it is not PyTorch's own archive, is told by `vitbench.agent.backends.aten`, which reads it.
"""

from __future__ import annotations

import json
import operator
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, cast

import torch
from torch import Tensor, fx, nn

from vitbench import counting
from vitbench.agent.backends.aten import DTYPES, VERSION, WEIGHTS_FILE, WORDS, Graph
from vitbench.agent.errors import AgentError
from vitbench.errors import ToolError, UsageError, VitbenchError
from vitbench.export import formats
from vitbench.export.built import Job, Written
from vitbench.export.manifest import InputEntry, TensorEntry
from vitbench.export.quiet import quiet
from vitbench.records.schema import Counts

ALIGNMENT = 64
_DTYPES = {"fp32": torch.float32, "fp16": torch.float16}
# They compute nothing: `torch.export` notes with them what it took for granted.
_ASSERTIONS = ("_assert_tensor_metadata",)
# A view that a channels-last tensor may not have: `reshape` is the same where there is one.
_RENAMED = {"view.default": "reshape.default"}


def write(job: Job) -> Written:
    """Write and count the graph of a network.

    Raises:
        ToolError: `torch.export` failed.
        UsageError: the network uses what is no operator of ATen.
        UnsupportedOperators: it has an operator without a known cost.
        VitbenchError: what was written does not compute as much as the module does.
    """
    workload, path = job.workload, job.directory / formats.model_file("aten")
    job.on_stage(f"capturing {workload.label} in PyTorch")
    path.parent.mkdir()
    dtype = _DTYPES[workload.precision]
    begun = time.monotonic()
    network = job.network.to(dtype)
    examples = tuple(_zeros(each.shape, each.dtype, dtype) for each in workload.inputs)
    program = capture(network, examples)
    names = [each.name for each in workload.inputs]
    outputs = cast("tuple[str, ...]", network.output_names)
    nodes = write_graph(program, names, outputs, path)
    export_s = time.monotonic() - begun
    job.on_stage(f"counting {workload.label}")
    read = _read_back(path)
    return Written(
        exporter=f"torch {torch.__version__} export",
        opset=None,
        inputs=tuple(
            InputEntry(**item, values=made.values)
            for item, made in zip(read.inputs, workload.inputs, strict=True)
        ),
        outputs=tuple(TensorEntry(**item) for item in read.outputs),
        counts=_count(job, network, read),
        nodes=nodes,
        export_s=round(export_s, 3),
    )


def capture(network: nn.Module, examples: tuple[Tensor, ...]) -> torch.export.ExportedProgram:
    """The program of a network at the shapes of its examples.

    Raises:
        ToolError: `torch.export` cannot follow the network.
    """
    try:
        with quiet(), torch.no_grad():
            return torch.export.export(network, examples, strict=False)
    except Exception as error:  # whatever the network's own code raises comes through as it is
        lines = str(error).strip().splitlines() or [type(error).__name__]
        raise ToolError(
            f"torch.export of torch {torch.__version__} failed: {lines[0]}",
            "the last lines are its own",
            tail="\n".join(lines[-20:]),
        ) from error


def write_graph(
    program: torch.export.ExportedProgram, inputs: list[str], outputs: tuple[str, ...], path: Path
) -> int:
    """Write a program as `path` and its weights beside it; how many operators it has.

    Args:
        inputs, outputs: their names, in order.

    Raises:
        UsageError: it uses what cannot be written.
    """
    with path.with_name(WEIGHTS_FILE).open("wb") as weights:
        graph = _Graph(program, inputs, weights).told(outputs)
    path.write_text(json.dumps(graph), encoding="utf-8")
    return sum("op" in node for node in graph["nodes"])


@dataclass
class _Graph:
    """A program on its way into a file. `place` is the number of each value: inputs, weights, then nodes."""

    program: torch.export.ExportedProgram
    names: list[str]
    weights: BinaryIO
    place: dict[fx.Node, int] = field(default_factory=dict)

    def told(self, outputs: tuple[str, ...]) -> dict[str, Any]:
        state = self._state()
        nodes = list(self.program.graph.nodes)
        placeholders = [node for node in nodes if node.op == "placeholder"]
        _refuse_changes(node for node in nodes if node.op == "call_function")
        given = [node for node in placeholders if node.name not in state]
        held = [node for node in placeholders if node.name in state]
        self.place |= {node: index for index, node in enumerate([*given, *held])}
        return {
            "version": VERSION,
            "inputs": [_tensor(node, name) for node, name in zip(given, self.names, strict=True)],
            "weights": [self._weight(state[node.name]) for node in held],
            "nodes": self._nodes([node for node in nodes if node.op not in ("placeholder", "output")]),
            "outputs": self._outputs(nodes[-1], outputs),
        }

    def _state(self) -> dict[str, Tensor]:
        """Every tensor that the program holds, by the name of its placeholder."""
        signature, program = self.program.graph_signature, self.program
        held: dict[str, Any] = dict(program.state_dict) | dict(program.constants)
        owners = (
            signature.inputs_to_parameters,
            signature.inputs_to_buffers,
            signature.inputs_to_lifted_tensor_constants,
        )
        return {name: held[key] for owner in owners for name, key in owner.items()}

    def _weight(self, tensor: Tensor) -> dict[str, Any]:
        offset = -(-self.weights.tell() // ALIGNMENT) * ALIGNMENT
        self.weights.seek(offset)
        values = tensor.detach().cpu().contiguous().reshape(-1)
        self.weights.write(values.view(torch.uint8).numpy().tobytes())
        return {"dtype": _name_of(tensor.dtype), "shape": list(tensor.shape), "offset": offset}

    def _nodes(self, nodes: list[fx.Node]) -> list[dict[str, Any]]:
        told: list[dict[str, Any]] = []
        first = len(self.place)
        for node in nodes:
            described = self._node(node)
            if described is not None:
                self.place[node] = first + len(told)
                told.append(described)
        return told

    def _node(self, node: fx.Node) -> dict[str, Any] | None:
        if node.op == "call_function" and node.target is operator.getitem:
            source, index = node.args
            return {"item": [self.place[cast("fx.Node", source)], index]}
        target = node.target
        if not (isinstance(target, torch._ops.OpOverload) and target.namespace == "aten"):
            raise UsageError(
                f"the network uses {target}, which is no operator of ATen", "run it in another runtime"
            )
        name = str(target).removeprefix("aten.")
        if name.partition(".")[0] in _ASSERTIONS:
            return None
        return {
            "op": _RENAMED.get(name, name),
            "args": [self._argument(each, node) for each in node.args],
            "kwargs": {
                key: self._argument(each, node)
                for key, each in node.kwargs.items()
                if not isinstance(each, torch.layout | torch.memory_format)
            },
        }

    def _argument(self, given: Any, node: fx.Node) -> Any:
        if isinstance(given, fx.Node):
            return {"value": self.place[given]}
        if isinstance(given, list | tuple):
            return [self._argument(each, node) for each in given]
        if isinstance(given, torch.dtype):
            return {"dtype": _name_of(given)}
        if isinstance(given, torch.device):
            return {"device": None}
        if given is None or isinstance(given, bool | int | float) or given in WORDS:
            return given
        raise UsageError(
            f"operator {node.target} of the network takes {given!r}, which cannot be written",
            "run it in another runtime",
        )

    def _outputs(self, node: fx.Node, names: tuple[str, ...]) -> list[dict[str, Any]]:
        (values,) = node.args
        given = cast("tuple[fx.Node, ...]", values)
        return [
            _tensor(value, name) | {"value": self.place[value]}
            for value, name in zip(given, names, strict=True)
        ]


def _refuse_changes(nodes: Iterable[fx.Node]) -> None:
    """Refuse operators that write into what the network holds or is given: each run would be another one."""
    for node in nodes:
        schema = getattr(node.target, "_schema", None)
        for told, given in zip(schema.arguments if schema else (), node.args, strict=False):
            written = told.alias_info is not None and told.alias_info.is_write
            if written and isinstance(given, fx.Node) and given.op == "placeholder":
                raise UsageError(
                    f"the network changes {given.name}, which it holds or is given, as it runs",
                    "let it compute without changing anything in place",
                )


def _tensor(node: fx.Node, name: str) -> dict[str, Any]:
    value = cast("Mapping[str, Tensor]", node.meta)["val"]
    return {"name": name, "dtype": _name_of(value.dtype), "shape": [int(side) for side in value.shape]}


def _name_of(dtype: torch.dtype) -> str:
    name = str(dtype).removeprefix("torch.")
    if name not in DTYPES:
        raise UsageError(f"the network holds numbers of the type {name}", f"use {', '.join(DTYPES)}")
    return name


def _zeros(shape: tuple[int, ...], name: str, floating: torch.dtype) -> Tensor:
    dtype: torch.dtype = getattr(torch, name)
    return torch.zeros(shape, dtype=floating if dtype.is_floating_point else dtype)


def _read_back(path: Path) -> Graph:
    try:
        return Graph(path, "meta")
    except AgentError as error:
        raise VitbenchError(f"the graph that was written cannot be read: {error.message}") from error


def _count(job: Job, network: nn.Module, written: Graph) -> Counts:
    """Counts of the model and of what runs, which are those of the module: the two must agree."""
    inputs = job.workload.inputs
    module = counting.count_module(network, inputs)
    graph = counting.count_module(written.module, inputs)
    for what in ("macs", "macs_attention", "bytes_read", "bytes_written"):
        first, second = getattr(module, what), getattr(graph, what)
        if first != second:
            raise VitbenchError(
                f"the counters disagree on {what} of {job.workload.label}: "
                f"{first:,} in the module, {second:,} in the graph that was written"
            )
    model = job.counts
    return Counts(
        params=model.params,
        params_deploy=model.params_deploy,
        macs=model.macs,
        macs_attention=model.macs_attention,
        macs_artifact=module.macs,
        bytes_read=module.bytes_read,
        bytes_written=module.bytes_written,
    )
