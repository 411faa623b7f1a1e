"""Make the comparisons of a study: choose formulations, check, measure in pairs, record."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import UTC, datetime

from vitbench import __version__, measure
from vitbench.errors import ExitCode, UsageError, VitbenchError
from vitbench.export import ArtifactCache
from vitbench.measure import PairsInterrupted, PairsResult
from vitbench.pipeline.bench import Bench, Spent
from vitbench.pipeline.candidates import choose, chosen_formulation
from vitbench.pipeline.device import Device, make_header
from vitbench.pipeline.profile import add_profiles
from vitbench.pipeline.progress import Progress
from vitbench.pipeline.recover import recover
from vitbench.pipeline.save import save
from vitbench.records import journal
from vitbench.records.comparison import Candidate, Comparison, FinishedPair, StudyRow
from vitbench.records.schema import Header, Record
from vitbench.records.store import Store, new_id
from vitbench.study.protocols import differing, value_is
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
        worst = max(codes, default=ExitCode.OK)
        return ExitCode.OK if allow_inconclusive and worst == ExitCode.INCONCLUSIVE else worst


def compare(request: StudyRequest, results: str, progress: Progress) -> Compared:
    """Make every comparison of a study, one after the other, and record each as soon as it is done.

    A row that fails is told and does not stop the others. Ctrl-C keeps what was finished.

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
        for row in request.rows:
            try:
                comparison, interrupted = _Row(row, study, store, bench, choices).make()
            except KeyboardInterrupt:
                return Compared(tuple(comparisons), tuple(failures), interrupted=True)
            except VitbenchError as error:
                if isinstance(error, UsageError) and not (comparisons or failures):
                    raise
                progress.note(f"{row.label}: {error.explain()}")
                failures.append((row, error))
                continue
            comparisons.append(comparison)
            if interrupted:
                return Compared(tuple(comparisons), tuple(failures), interrupted=True)
    return Compared(tuple(comparisons), tuple(failures))


@dataclass
class _Row:
    """One row at work. `choices` holds the candidates of earlier rows, by kind, grid and target."""

    row: PlannedRow
    study: str
    store: Store
    bench: Bench
    choices: dict[str, tuple[Candidate, ...]]

    def make(self) -> tuple[Comparison, bool]:
        """The comparison, and whether Ctrl-C ended it early."""
        bench, row = self.bench, self.row
        bench.spent = Spent()
        candidates = (self._candidates(0), self._candidates(1))
        side_plan = row.plan.model_copy(update={"blocks": row.plan.blocks // 2})
        devices = [
            bench.device(cell, side_plan, chosen_formulation(side))
            for cell, side in zip(row.cells, candidates, strict=True)
        ]
        headers = [make_header(device, bench.progress, bench.known) for device in devices]
        mismatch = differing(headers[0], headers[1], allow=bench.request.allow_mismatch)
        begun = self._begin(headers, candidates, mismatch)
        kept = journal.Journal.start(self.store, begun)
        try:
            result, interrupted = self._pairs(devices, headers, kept)
        except BaseException:
            kept.discard()
            raise
        bench.spent.add(
            [*result.blocks[0], *result.blocks[1]], loading_s=result.loading_s, waiting_s=result.waiting_s
        )
        comparison = measure.conclude_comparison(
            begun,
            result,
            reasons=("interrupted by the user",) if interrupted else (),
            timings=bench.spent.timings(),
        )
        if bench.request.profile and not interrupted:
            comparison, interrupted = add_profiles(comparison, devices, bench.progress)
        save(kept, comparison, bench.progress)
        return comparison, interrupted

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

    def _pairs(
        self, devices: list[Device], headers: list[Header], kept: journal.Journal
    ) -> tuple[PairsResult, bool]:
        bench, target = self.bench, self.row.cells[0].target
        self.bench.progress.stage(self.row.label, "measuring in pairs")
        try:
            result = measure.measure_pairs(
                (devices[0].session, devices[1].session),
                self.row.plan,
                value_is=value_is(headers[0], headers[1]),
                threads=headers[0].protocol.threads,
                clock_max_mhz=bench.clocks_mhz.get(target.name),
                on_progress=lambda seen: bench.progress.measuring(self.row.label, seen),
                on_pair=lambda pair, blocks: kept.add_pair(FinishedPair(pair=pair, blocks=blocks)),
                sleep=_no_sleep if target.simulated else time.sleep,
            )
        except PairsInterrupted as interrupt:
            if not interrupt.result.pairs:
                raise
            return interrupt.result, True
        if result.clock_max_mhz is not None:
            bench.clocks_mhz[target.name] = result.clock_max_mhz
        return result, False

    def _begin(
        self,
        headers: list[Header],
        candidates: tuple[tuple[Candidate, ...], tuple[Candidate, ...]],
        mismatch: tuple[str, ...],
    ) -> Comparison:
        """The comparison before its first pair."""
        row = self.row
        created = datetime.now(UTC)
        return Comparison(
            id=new_id(created, f"{row.labels[0]}-{row.labels[1]}", _size(row), row.cells[0].target.name),
            created_utc=created.isoformat(timespec="seconds"),
            vitbench_version=__version__,
            simulated=any(header.simulated for header in headers),
            status="inconclusive",
            seed=row.plan.seed,
            value_is=value_is(headers[0], headers[1]),
            mismatch=mismatch,
            row=StudyRow(
                study=self.study,
                title=self.bench.request.title,
                part=row.part,
                labels=row.labels,
                tokens=row.tokens,
                macs_ratio=headers[1].counts.macs / headers[0].counts.macs,
            ),
            sides=(_empty(headers[0]), _empty(headers[1])),
            candidates=candidates,
            pairs=(),
            ratio=None,
            timings=self.bench.spent.timings(),
        )


def _empty(header: Header) -> Record:
    """A side before its first block."""
    return Record(**dict(header), status="inconclusive", estimate=None, blocks=())


def _size(row: PlannedRow) -> tuple[int, int]:
    return row.tokens or row.cells[0].workload.model.resolution


def _no_sleep(_seconds: float) -> None:
    """A scripted device lives in simulated time: waiting for it changes nothing."""
