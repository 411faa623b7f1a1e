"""What making an artifact's files gives, whichever way they are made."""

from __future__ import annotations

from dataclasses import dataclass

from vitbench.export.manifest import InputEntry, ParityEntry, TensorEntry
from vitbench.records.schema import Counts

# What runs stands in a directory of its own, which is what travels to a device.
MODEL_FILE = "model/model.onnx"


@dataclass(frozen=True)
class Built:
    """The part of a manifest that depends on how the files were made; see `Manifest`."""

    exporter: str
    opset: int | None
    inputs: tuple[InputEntry, ...]
    outputs: tuple[TensorEntry, ...]
    formulation: dict[str, str]
    counts: Counts
    parity: ParityEntry
    nodes: int
    export_s: float | None
