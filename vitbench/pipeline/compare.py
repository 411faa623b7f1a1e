"""Make the comparisons of a study: choose formulations, check, measure in pairs, record."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from vitbench.errors import ExitCode, UsageError, VitbenchError, worst
from vitbench.export import ArtifactCache
from vitbench.pipeline.bench import Bench, Spent
from vitbench.pipeline.candidates import choose, chosen_formulation
from vitbench.pipeline.device import make_header
from vitbench.pipeline.paired import MeasuredRow, measure_row
from vitbench.pipeline.progress import Progress
from vitbench.pipeline.recover import recover
from vitbench.records.comparison import Candidate, Comparison
from vitbench.records.store import Store, new_id
from vitbench.study.rows import PlannedRow, StudyRequest


@dataclass(frozen=True)
class Compared:
    """What became of the rows of a study; `failures` are rows without a record, and why."""

    comparisons: tuple[Comparison, ...]
    failures: tuple[tuple[PlannedRow, VitbenchError], ...] = ()
    interrupted: bool = False

    def exit_code(self, *, allow_inconclusive: bool = False) -> int:
        """0 when every row is valid, else the highest of what befell them; 130 after Ctrl-C."""
        if self.interrupted:
            return ExitCode.INTERRUPTED
        codes = [
            ExitCode.OK if comparison.status == "valid" else ExitCode.INCONCLUSIVE
            for comparison in self.comparisons
        ]
        codes += [error.exit_code for _, error in self.failures]
        return worst(codes, allow_inconclusive=allow_inconclusive)


def compare(request: StudyRequest, results: str, progress: Progress) -> Compared:
    """Make every comparison of a study, one after the other, and record each as soon as it is done.

    A row that fails is told and does not stop the others, but for those of a target that cannot be reached at
    all. Ctrl-C keeps what was finished.

    Raises:
        UsageError: nothing can be recorded there, or the first row cannot be built as asked.
    """
    store = Store(results)
    store.check_writable()
    recover(store, progress)
    cache = ArtifactCache()
    cache = cache.throwaway() if request.no_cache else cache
    study = new_id(datetime.now(UTC), request.title.replace(" ", "-"), (0, 0), "study")
    comparisons: list[Comparison] = []
    failures: list[tuple[PlannedRow, VitbenchError]] = []
    with Bench(request, cache, progress) as bench:
        choices: dict[str, tuple[Candidate, ...]] = {}
        for number, row in enumerate(request.rows, 1):
            closed = bench.ways.why_closed(_targets(row))
            if closed is not None:
                failures.append((row, closed))
                continue
            try:
                measured = _Row(row, study, store, bench, choices).make()
            except KeyboardInterrupt:
                return Compared(tuple(comparisons), tuple(failures), interrupted=True)
            except VitbenchError as error:
                if isinstance(error, UsageError) and not (comparisons or failures):
                    raise
                progress.note(f"{row.label}: {error.explain()}")
                failures.append((row, error))
                later = [_targets(row) for row in request.rows[number:]]
                if left_out := bench.ways.left_out(error, later, "comparison"):
                    progress.note(left_out)
                continue
            comparisons.append(measured.comparison)
            if measured.interrupted:
                return Compared(tuple(comparisons), tuple(failures), interrupted=True)
    return Compared(tuple(comparisons), tuple(failures))


def _targets(row: PlannedRow) -> tuple[str, ...]:
    """Names of the targets of a row's sides."""
    return tuple(cell.target.name for cell in row.cells)


@dataclass
class _Row:
    """One row at work. `choices` holds the candidates of earlier rows, by kind, grid and target."""

    row: PlannedRow
    study: str
    store: Store
    bench: Bench
    choices: dict[str, tuple[Candidate, ...]]

    def make(self) -> MeasuredRow:
        """Choose the formulations, and measure."""
        bench, row = self.bench, self.row
        bench.spent = Spent()
        candidates = (self._candidates(0), self._candidates(1))
        side_plan = row.plan.model_copy(update={"blocks": row.plan.blocks // 2})
        devices = [
            bench.device(cell, side_plan, chosen_formulation(side))
            for cell, side in zip(row.cells, candidates, strict=True)
        ]
        headers = [make_header(device, bench.progress, bench.known) for device in devices]
        return measure_row(
            bench, row, devices, headers, store=self.store, study=self.study, candidates=candidates
        )

    def _candidates(self, side: int) -> tuple[Candidate, ...]:
        if not self.row.choose:
            return ()
        cell = self.row.cells[side]
        model = cell.workload.model
        # A block that was widened to equal MACs is computed like the one it was made of.
        network = None if self.row.tokens else model.variant
        key = f"{model.family} {network} {model.attention} {model.resolution} {cell.target.name}"
        if key not in self.choices:
            self.choices[key] = choose(cell, self.bench)
        return self.choices[key]
