"""What a study is made of: rows, each a paired comparison to be made."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from vitbench.records.schema import Plan
from vitbench.request import Cell, Request

StudyPart = Literal["block", "matched", "network", "models"]


@dataclass(frozen=True)
class PlannedRow:
    """Two cells to be compared.

    `part` and `tokens` as in `vitbench.records.comparison.StudyRow`. `choose`: each side's formulation of
    attention is chosen by timing its candidates first; otherwise the default ones run. `plan`: how its pairs
    are sampled.
    """

    part: StudyPart
    labels: tuple[str, str]
    tokens: tuple[int, int] | None
    cells: tuple[Cell, Cell]
    choose: bool
    plan: Plan

    @property
    def label(self) -> str:
        """`effvit-b1:224x224 and effvit-b1+softmax:224x224 on cpu`."""
        first, second = self.cells
        if first.target == second.target:
            return f"{first.workload.label} and {second.workload.label} on {first.target.name}"
        return f"{first.label} and {second.label}"


@dataclass(frozen=True)
class StudyRequest:
    """Rows, and what holds for all of them. `choice` is the plan of timing candidates.

    `profile`: whether the time of each layer is told as well, in processes of their own.
    """

    title: str
    rows: tuple[PlannedRow, ...]
    choice: Plan
    threads: int | None
    weights_file: Path | None
    no_cache: bool
    allow_mismatch: bool
    profile: bool = False

    def request_for(self, cell: Cell, plan: Plan) -> Request:
        """The request of one side."""
        return Request(
            cells=(cell,),
            plan=plan,
            threads=self.threads,
            weights_file=self.weights_file,
            no_cache=self.no_cache,
        )
