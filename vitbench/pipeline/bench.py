"""What the rows of a study share while they are measured: links, checks, and where the time goes."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

from vitbench import runtime
from vitbench.export import Artifact, ArtifactCache
from vitbench.pipeline.device import Device, KnownParity, build_artifact, refuse_too_many_threads
from vitbench.pipeline.link import Ways, open_link
from vitbench.pipeline.progress import Progress
from vitbench.records.comparison import Timings
from vitbench.records.schema import Block, Plan, Samples, Told
from vitbench.request import Cell
from vitbench.study.rows import StudyRequest

if TYPE_CHECKING:
    from vitbench.transport import Transport

NS_PER_S = 1e9


@dataclass
class Spent:
    """Where wall time went, in seconds; see `vitbench.records.comparison.Timings`."""

    building_s: float = 0.0
    loading_s: float = 0.0
    warmup_s: float = 0.0
    timed_s: float = 0.0
    waiting_s: float = 0.0
    begin_s: float = field(default_factory=time.perf_counter)

    def add(self, blocks: Sequence[Block], *, loading_s: float, waiting_s: float) -> None:
        """Count blocks in, and what was spent between them."""
        self.warmup_s += sum(_spent_s(block.warmup, block.told_warmup) for block in blocks)
        self.timed_s += sum(_spent_s(block.samples, block.told) for block in blocks)
        self.loading_s += loading_s
        self.waiting_s += waiting_s

    def timings(self) -> Timings:
        """All of it until now."""
        return Timings(
            wall_s=time.perf_counter() - self.begin_s,
            building_s=self.building_s,
            loading_s=self.loading_s,
            warmup_s=self.warmup_s,
            timed_s=self.timed_s,
            waiting_s=self.waiting_s,
        )


def _spent_s(samples: Samples, told: Told | None) -> float:
    """Time that iterations took."""
    if told is None:
        return sum(samples.total_ns) / NS_PER_S
    return told.count * (told.avg_ns or told.median_ns or 0) / NS_PER_S


@dataclass
class Bench:
    """Shared by the rows of a study; a context manager that closes the links.

    Attributes:
        known: parity of artifacts that were checked, each on its target.
        clocks_mhz: highest clock seen, by target.
        spent: of the row at work.
        ways: to the targets.
    """

    request: StudyRequest
    cache: ArtifactCache
    progress: Progress
    known: KnownParity = field(default_factory=dict)
    clocks_mhz: dict[str, float] = field(default_factory=dict)
    spent: Spent = field(default_factory=Spent)
    ways: Ways = field(default_factory=Ways)
    _stack: ExitStack = field(default_factory=ExitStack)
    _links: dict[str, Transport] = field(default_factory=dict)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def link(self, cell: Cell) -> Transport:
        """The link to a cell's target, opened at its first use."""
        name = cell.target.name
        if name not in self._links:
            self._links[name] = self._stack.enter_context(open_link(cell.target, self.progress, self.ways))
            engine = runtime.for_target(cell.target)
            refuse_too_many_threads(self._links[name], engine, self.request.threads)
        return self._links[name]

    def device(
        self,
        cell: Cell,
        plan: Plan,
        formulation: Mapping[str, str] | None = None,
        artifact: Artifact | None = None,
    ) -> Device:
        """A cell's way to its device, its artifact made where none is given and none is cached."""
        engine, link = runtime.for_target(cell.target), self.link(cell)
        request = self.request.request_for(cell, plan)
        if engine.artifact_format is not None and artifact is None:
            begin = time.perf_counter()
            artifact = build_artifact(
                cell.workload,
                engine,
                link,
                self.cache,
                request.weights_file,
                cell.label,
                self.progress,
                formulation=formulation or None,
            )
            self.spent.building_s += time.perf_counter() - begin
        return Device(cell, request, link, engine, artifact, self.scratch(), self.clocks_mhz)

    def scratch(self) -> Path:
        """A new directory, which goes with this bench."""
        return Path(self._stack.enter_context(tempfile.TemporaryDirectory(prefix="vitbench-")))
