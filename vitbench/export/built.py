"""What making an artifact's files takes and gives, whichever way they are made."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from vitbench.catalog.specs import Workload
from vitbench.export.manifest import InputEntry, ParityEntry, TensorEntry
from vitbench.records.schema import Counts, GraphFacts

if TYPE_CHECKING:
    from torch import nn

    from vitbench.counting import ModelCounts


@dataclass(frozen=True)
class Job:
    """A network whose graph is to be written.

    Attributes:
        counts: of the model.
        network: in the form that runs, with its weights and formulation; the writer may change it.
        weights_file, formulation: what it was made with, for a writer that makes it again elsewhere.
        directory: of the artifact.
        on_stage: told what is happening.
    """

    workload: Workload
    counts: ModelCounts
    network: nn.Module
    weights_file: Path | None
    formulation: Mapping[str, str] | None
    directory: Path
    on_stage: Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class Written:
    """The part of a manifest that depends on how the graph was written; see `Manifest`."""

    exporter: str
    opset: int | None
    inputs: tuple[InputEntry, ...]
    outputs: tuple[TensorEntry, ...]
    counts: Counts
    nodes: int
    export_s: float | None
    graph: GraphFacts | None = None
    islands: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Built(Written):
    """The part of a manifest that depends on how the files were made; see `Manifest`."""

    formulation: dict[str, str]
    parity: ParityEntry


Writer = Callable[[Job], Written]
