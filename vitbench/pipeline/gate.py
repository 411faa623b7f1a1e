"""Run the gate: find both sides of each cell, check what is exact, measure in two stages, judge."""

from __future__ import annotations

import math
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

from vitbench import __version__
from vitbench.errors import MeasurementInvalid, VitbenchError
from vitbench.export import ArtifactCache
from vitbench.gate import cost, exact, outcome, stages, verdict
from vitbench.gate.baseline import DEFAULT_NAME, labels, place_of, read
from vitbench.gate.config import read_config
from vitbench.gate.exact import Facts
from vitbench.gate.request import AskedGate, GateRequest, PlannedCell, plan_gate
from vitbench.gate.verdict import Judgement
from vitbench.measure import make_plan
from vitbench.pipeline.bench import Bench, Spent
from vitbench.pipeline.device import Device, make_header
from vitbench.pipeline.paired import measure_row
from vitbench.pipeline.progress import Progress
from vitbench.pipeline.recover import recover
from vitbench.pipeline.reference import find_reference
from vitbench.records import environment
from vitbench.records.comparison import Comparison
from vitbench.records.gate import Check, GateCell, GateRecord, GateStage
from vitbench.records.schema import Header, Plan
from vitbench.records.store import Store, new_id
from vitbench.stats.gate import ALPHA, second_stage
from vitbench.study.rows import PlannedRow, StudyRequest

# Where the comparisons of a gate are, below the store of its record.
SAMPLES = "gates"
OF_SIDES = (" baseline", " candidate")


def gate_baseline(
    name: str | None,
    asked: AskedGate,
    results: str,
    progress: Progress,
    *,
    config: Path | None = None,
    seed: int | None = None,
) -> GateRecord:
    """Find a baseline, plan its gate, and run it; see `gate`.

    Args:
        name: the baseline by name, path or URL; what the configuration names, or `main`, when None.
        asked: the options.
        results: the store.
        progress: who is told what goes on.
        config: `gate.toml`; that of the working directory, if there is one, when None.
        seed: of the order inside of pairs; drawn when None, for the error budget needs another one each time.

    Raises:
        UsageError: the baseline or the configuration cannot be read, nothing is selected, or nothing can be
            recorded.
    """
    settings = read_config(config)
    place = place_of(name or settings.gate.baseline or DEFAULT_NAME, results)
    request = plan_gate(read(place), place, settings, asked)
    return gate(request, results, progress, seed=secrets.randbits(31) if seed is None else seed)


def gate(request: GateRequest, results: str, progress: Progress, *, seed: int) -> GateRecord:
    """Gate every cell of a request and record the verdicts; the samples are kept in `gates/` below.

    What befalls a cell does not stop the others: such a cell is NOT MEASURED. Ctrl-C ends the gate, and what
    it had decided stands.

    Args:
        request: the cells, from `vitbench.gate.request.plan_gate`.
        results: the store.
        progress: who is told what goes on.
        seed: of the order inside of pairs.

    Raises:
        UsageError: nothing can be recorded there.
    """
    store, samples = Store(results), Store(f"{results.rstrip('/')}/{SAMPLES}")
    store.check_writable()
    recover(samples, progress)
    started, begin = datetime.now(UTC), time.perf_counter()
    title = f"gate against {request.baseline.name}"
    record_id = new_id(started, title.replace(" ", "-"), (0, 0), request.cells[0].baseline.target)
    progress.note(_announced(request))
    cache = ArtifactCache()
    cache = cache.throwaway() if request.no_cache else cache
    notes = list(request.notes)
    interrupted = False
    with Bench(_study(request, title), cache, progress) as bench:
        cells = [
            _Gated(planned, number, bench, samples, request, record_id, seed)
            for number, planned in enumerate(request.cells)
        ]
        try:
            for cell in cells:
                cell.prepare()
            for number in (1, 2):
                for cell in cells:
                    cell.take(number)
        except KeyboardInterrupt:
            interrupted = True
            notes.append("interrupted by the user: what was not decided until then is not measured")
    found = tuple(cell.concluded(started) for cell in cells)
    state = environment.git_state(Path.cwd())
    record = GateRecord(
        id=record_id,
        created_utc=started.isoformat(timespec="seconds"),
        vitbench_version=__version__,
        simulated=any(planned.baseline.simulated for planned in request.cells),
        mode="paired",
        advisory=False,
        baseline=request.place.location,
        baseline_commit=request.baseline.commit,
        candidate_commit=None if state is None else str(state["commit"]),
        seed=seed,
        wall_s=time.perf_counter() - begin,
        interrupted=interrupted,
        notes=tuple(notes),
        cells=found,
    )
    saved = store.save(record)
    if saved.problem:
        progress.note(f"{saved.problem}; the record is kept in {saved.location}")
    return record


def _study(request: GateRequest, title: str) -> StudyRequest:
    """What the bench of a gate is told; threads and weights are those of each cell in turn."""
    return StudyRequest(
        title=title,
        rows=(),
        choice=make_plan("choice"),
        threads=None,
        weights_file=None,
        no_cache=request.no_cache,
        allow_mismatch=False,
    )


def _announced(request: GateRequest) -> str:
    """What the gate will do and how long it will take."""
    costs = [
        cost.CellCost(
            iteration_s=planned.baseline.latency_ms / 1e3,
            load_s=planned.baseline.load_ms / 1e3,
            pairs=planned.limits.pairs,
            plan=make_plan("pairs", blocks=2 * planned.limits.pairs),
        )
        for planned in request.cells
    ]
    expected = cost.estimate(costs)
    many = f"{len(costs)} cells" if len(costs) > 1 else "1 cell"
    time_ = (
        "no time, as its figures are scripted"
        if all(planned.baseline.simulated for planned in request.cells)
        else f"about {cost.in_words(expected.usual_s)} when nothing changed, "
        f"at most {cost.in_words(expected.most_s)}"
    )
    return (
        f"gating {many} ({labels([planned.baseline for planned in request.cells])}): {time_}, beside builds"
    )


@dataclass
class _Gated:
    """One cell while the gate works on it."""

    planned: PlannedCell
    number: int
    bench: Bench
    samples: Store
    request: GateRequest
    study: str
    seed: int
    devices: list[Device] = field(default_factory=list)
    headers: list[Header] = field(default_factory=list)
    checks: list[Check] = field(default_factory=list)
    stages: list[GateStage] = field(default_factory=list)
    judged: list[Judgement] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    error: VitbenchError | None = None
    first_temp_c: float | None = None

    @property
    def label(self) -> str:
        return self.planned.baseline.label

    def prepare(self) -> None:
        """Both sides on their device, and the exact gates."""
        self._guarded(self._prepare)

    def take(self, stage: int) -> None:
        """Take a stage, where the cell needs it and nothing speaks against it."""
        if self.error is not None or len(self.headers) < 2 or outcome.blocked(self.checks, self._waived()):
            return
        if stage == 2 and not (len(self.judged) == 1 and verdict.needs_second(self.judged[0])):
            return
        self._guarded(lambda: self._take(stage))

    def _waived(self) -> set[str]:
        return outcome.waived_gates(self.planned.waivers, datetime.now(UTC).date())

    def _guarded(self, work: Callable[[], None]) -> None:
        """Do what may fail; a failure is this cell's alone."""
        try:
            work()
        except VitbenchError as error:
            self.error = error
            self.bench.progress.note(f"{self.label}: {error.explain()}")

    def _prepare(self) -> None:
        cell = self.planned.cell
        if cell is None or self.planned.request is None:
            raise self.planned.problem or MeasurementInvalid(f"{self.label} has no candidate")
        asked, bench = self.planned.request, self.bench
        bench.spent = Spent()
        bench.request = replace(bench.request, threads=asked.threads, weights_file=asked.weights_file)
        plan = self._plan(1, self.planned.limits.pairs)
        side_plan = plan.model_copy(update={"blocks": self.planned.limits.pairs})
        candidate = bench.device(cell, side_plan)
        header = make_header(candidate, bench.progress, bench.known)
        self._refuse_other_conditions(header)
        reference = self.planned.reference(cell)
        artifact = None
        if candidate.artifact is not None:
            found = find_reference(self.planned.baseline, self.request, candidate.artifact, bench)
            artifact = found.artifact
            self.notes += found.notes
        baseline = bench.device(reference, side_plan, artifact=artifact)
        first = make_header(baseline, bench.progress, bench.known)
        if first.parity is not None and not first.parity.passed:
            raise MeasurementInvalid(
                f"the baseline of {self.label} fails parity here, so it is nothing to compare with",
                "save the baseline anew from a commit whose artifact passes",
            )
        self.devices, self.headers = [baseline, candidate], [first, header]
        then = Facts(self.planned.baseline.counts, self.planned.baseline.artifact, first.parity)
        now = Facts(header.counts, header.artifact, header.parity)
        self.checks = list(exact.compare_facts(then, now))

    def _refuse_other_conditions(self, header: Header) -> None:
        """Refuse a baseline that was taken in another way, or elsewhere."""
        saved = self.planned.baseline
        then, now = saved.protocol.model_dump(), header.protocol.model_dump()
        differing = [
            f"{name.replace('_', ' ')} {then[name]} and {now[name]}"
            for name in then
            if then[name] != now[name]
        ]
        if differing:
            raise MeasurementInvalid(
                f"the baseline of {self.label} is of another protocol: {', '.join(differing)}",
                "save the baseline anew, or gate in the way it was saved",
            )
        here = header.environment.get("machine_key")
        if here != saved.machine_key and not self.request.other_machine:
            raise MeasurementInvalid(
                f"the baseline of {self.label} is of another machine ({saved.device}, {saved.machine_key}), "
                f"this is {header.target.device}, {here}",
                "save a baseline on this machine; or add --allow-other-machine: both sides are measured here "
                "anyway, but limits were chosen for the noise of the other machine",
            )
        if here != saved.machine_key:
            self.notes.append(f"the baseline is of another machine, {saved.device}; both sides ran here")
        if header.target.runtime_version != saved.runtime_version:
            self.notes.append(
                f"both sides ran on {header.target.runtime} {header.target.runtime_version}; "
                f"the baseline was saved on {saved.runtime_version}"
            )

    def _plan(self, stage: int, pairs: int) -> Plan:
        """The plan of a stage; its order is drawn by a seed of its own."""
        return make_plan("pairs", blocks=2 * pairs, seed=self.seed + 2 * self.number + stage - 1)

    def _take(self, stage: int) -> None:
        cells, first = len(self.request.cells), self.planned.limits.pairs
        pairs, alpha = (first, ALPHA) if stage == 1 else second_stage(cells, first)
        bench, reference = self.bench, self.devices[0].cell
        bench.spent = Spent()
        plan = self._plan(stage, pairs)
        name = reference.workload.label
        row = PlannedRow(
            part="models",
            labels=(name + OF_SIDES[0], name + OF_SIDES[1]),
            tokens=None,
            cells=(reference, self.devices[1].cell),
            choose=False,
            plan=plan,
        )
        half = plan.model_copy(update={"blocks": pairs})
        headers = [header.model_copy(update={"plan": half}) for header in self.headers]
        comparison, interrupted = measure_row(
            bench,
            row,
            self._rebuilt() if stage == 2 else self.devices,
            headers,
            store=self.samples,
            study=self.study,
            first_block=0 if stage == 1 else 4 * first,
            first_temp_c=self.first_temp_c,
        )
        self._judge(stage, comparison, alpha, pairs)
        if interrupted:
            raise KeyboardInterrupt

    def _rebuilt(self) -> list[Device]:
        """The devices of the second stage: what a runtime builds of an artifact, it builds anew.

        A build chosen by timing is a draw of its own; confirmed on the same draw, its luck would count twice.
        """
        anew = [replace(device, request=replace(device.request, no_cache=True)) for device in self.devices]
        for device in anew:
            device.prepare(self.bench.progress)
        return anew

    def _judge(self, stage: int, comparison: Comparison, alpha: float, pairs: int) -> None:
        limit = self.planned.limits.regression
        kept, found = stages.judged(comparison, stage=stage, limit=limit, alpha=alpha, wanted=pairs)
        self.stages.append(kept)
        self.judged.append(found)
        if stage == 1:
            self.first_temp_c = stages.first_temperature_c(comparison)
            memory = exact.compare_memory(
                stages.blocks_of(comparison, 0),
                stages.blocks_of(comparison, 1),
                self.planned.limits.memory,
            )
            self.checks += [memory] if memory is not None else []
        self.notes += stages.remarks(comparison)
        ratio = "no ratio" if found.ratio is None or math.isnan(found.ratio) else f"ratio {found.ratio:.3f}"
        self.bench.progress.note(f"{self.label}: stage {stage}: {ratio}, {found.outcome}")

    def concluded(self, started: datetime) -> GateCell:
        """The cell with its verdict."""
        planned = self.planned
        cells = len(self.request.cells)
        return outcome.conclude(
            planned,
            checks=self.checks,
            stages=self.stages,
            judged=self.judged,
            error=self.error,
            notes=self.notes,
            today=started.date(),
            visible=stages.visible_today(self.stages, planned.limits.regression, planned.limits.pairs, cells),
            digests=tuple(device.artifact.digest if device.artifact else None for device in self.devices),
        )
