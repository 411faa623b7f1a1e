"""A process that converts one network to TFLite. The converter is heavy and prints wherever it likes.

It reads a request as JSON from stdin and writes its answer as JSON to a file.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pydantic import BaseModel
from torch import nn

from vitbench.catalog.specs import Workload
from vitbench.export.manifest import TensorEntry
from vitbench.export.networks import make_reference, make_running

SIGNATURE = "serving_default"
# Index of a tensor in a list of node inputs that stands for "none".
ABSENT = -1


class Request(BaseModel):
    """What to convert, and where to."""

    workload: Workload
    weights_file: Path | None
    formulation: dict[str, str] | None
    path: Path
    answer: Path


class Delegated(BaseModel):
    """One partition that XNNPACK takes over: indices of its tensors."""

    inputs: tuple[int, ...]
    outputs: tuple[int, ...]


class Answer(BaseModel):
    """How it went. `seconds` are those of the conversion alone."""

    seconds: float
    outputs: tuple[TensorEntry, ...]
    partitions: tuple[Delegated, ...]


class Named(nn.Module):
    """A network whose outputs have their names, which become those of the signature."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network
        self.names: tuple[str, ...] = network.output_names  # type: ignore[assignment]

    def forward(self, **inputs: torch.Tensor) -> dict[str, torch.Tensor]:
        """Outputs by name."""
        found = self.network(*inputs.values())
        outputs = (found,) if isinstance(found, torch.Tensor) else tuple(found)
        return dict(zip(self.names, outputs, strict=True))


def convert(request: Request) -> float:
    """Write the TFLite file; how long the conversion took, in seconds."""
    import litert_torch

    workload = request.workload
    network = make_running(make_reference(workload, request.weights_file), workload, request.formulation)
    examples = {
        each.name: torch.zeros(each.shape, dtype=getattr(torch, each.dtype)) for each in workload.inputs
    }
    begun = time.monotonic()
    module = Named(network).eval()
    with torch.no_grad():
        converted = litert_torch.signature(SIGNATURE, module, sample_kwargs=examples).convert()
    converted.export(str(request.path))
    return time.monotonic() - begun


def load(path: Path) -> Any:
    """An interpreter of a file, its tensors allocated."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_path=str(path), num_threads=1)
    interpreter.allocate_tensors()
    return interpreter


def outputs(interpreter: Any) -> tuple[TensorEntry, ...]:
    """Names, types and shapes of what the signature gives."""
    details = interpreter.get_signature_runner(SIGNATURE).get_output_details()
    return tuple(
        TensorEntry(name=name, dtype=np.dtype(each["dtype"]).name, shape=_indices(each["shape"]))
        for name, each in details.items()
    )


def partitions(interpreter: Any) -> tuple[Delegated, ...]:
    """What XNNPACK takes over of a file, as the interpreter of this machine sees it."""
    nodes: list[dict[str, Any]] = interpreter._get_ops_details()
    return tuple(
        Delegated(inputs=_indices(node["inputs"]), outputs=_indices(node["outputs"]))
        for node in nodes
        if node["op_name"] == "DELEGATE"
    )


def _indices(values: Any) -> tuple[int, ...]:
    return tuple(int(value) for value in values if int(value) != ABSENT)


def main() -> int:
    """Convert what is asked for on stdin."""
    request = Request.model_validate_json(sys.stdin.read())
    torch.set_num_threads(1)
    seconds = convert(request)
    interpreter = load(request.path)
    answer = Answer(seconds=seconds, outputs=outputs(interpreter), partitions=partitions(interpreter))
    request.answer.write_text(answer.model_dump_json())
    return 0


if __name__ == "__main__":
    sys.exit(main())
