"""Run the gate: find both sides of each cell, check what is exact, measure in two stages, judge."""

from __future__ import annotations

import secrets
import time
from datetime import UTC, datetime
from pathlib import Path

from vitbench import __version__
from vitbench.errors import UsageError
from vitbench.export import ArtifactCache
from vitbench.gate import cost
from vitbench.gate.baseline import DEFAULT_NAME, labels, place_of, read
from vitbench.gate.config import read_config
from vitbench.gate.request import AskedGate, GateRequest, PlannedCell, plan_gate
from vitbench.interrupts import finishing
from vitbench.measure import make_plan
from vitbench.measure.plan import in_turns
from vitbench.pipeline.bench import Bench
from vitbench.pipeline.gate_cell import GatedCell
from vitbench.pipeline.progress import Progress
from vitbench.pipeline.recover import recover
from vitbench.records import environment
from vitbench.records.gate import GateRecord
from vitbench.records.schema import Plan
from vitbench.records.store import Store, new_id
from vitbench.runtime import for_target
from vitbench.study.rows import StudyRequest

# Where the comparisons of a gate are, below the store of its record.
SAMPLES = "gates"


class UnrecordedGate(UsageError):
    """The gate is done, and its record cannot be kept anywhere: `record` has its verdicts."""

    def __init__(self, record: GateRecord, error: UsageError) -> None:
        super().__init__(
            error.message,
            "make room, and gate again or keep what is shown here: these verdicts are nowhere else",
        )
        self.record = record


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
        UnrecordedGate: its record cannot be kept.
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
        UnrecordedGate: nothing can be recorded there any more.
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
    bench = Bench(_study(request, title), cache, progress)
    cells = [
        GatedCell(planned, number, bench, samples, request, record_id, seed, today=started.date())
        for number, planned in enumerate(request.cells)
    ]
    try:
        # Closing the links takes its time where a device hangs: Ctrl-C there loses nothing either.
        with bench:
            for cell in cells:
                cell.prepare()
            for number in (1, 2):
                for cell in cells:
                    cell.take(number)
    except KeyboardInterrupt:
        interrupted = True
        notes.append("interrupted by the user: what was not decided until then is not measured")
    with finishing():
        found = tuple(cell.concluded() for cell in cells)
        state = environment.git_state(Path.cwd())
        if state is not None and state["dirty"]:
            notes.append("the candidate has changes that are not committed")
        record = GateRecord(
            id=record_id,
            created_utc=started.isoformat(timespec="seconds"),
            vitbench_version=__version__,
            simulated=any(planned.baseline.simulated for planned in request.cells),
            mode="paired",
            advisory=False,
            baseline=request.place.location,
            baseline_commit=request.baseline.commit_of(planned.baseline for planned in request.cells),
            candidate_commit=None if state is None else str(state["commit"]),
            seed=seed,
            wall_s=time.perf_counter() - begin,
            interrupted=interrupted,
            notes=tuple(notes),
            cells=found,
        )
        _keep(record, store, progress)
    return record


def _keep(record: GateRecord, store: Store, progress: Progress) -> None:
    try:
        saved = store.save(record)
    except UsageError as error:
        raise UnrecordedGate(record, error) from error
    if saved.problem:
        progress.note(f"{saved.problem}; the record is kept in {saved.location}")


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


def _expected_plan(planned: PlannedCell) -> Plan:
    """The plan of a first stage, as far as it is known before the device was seen."""
    plan = make_plan("gate", blocks=2 * planned.limits.pairs)
    if planned.cell is None:
        return plan
    turns = for_target(planned.cell.target).in_turns and planned.baseline.protocol.threads == 1
    return in_turns(plan) if turns else plan


def _announced(request: GateRequest) -> str:
    """What the gate will do and how long it will take."""
    costs = [
        cost.CellCost(
            iteration_s=planned.baseline.latency_ms / 1e3,
            load_s=planned.baseline.load_ms / 1e3,
            pairs=planned.limits.pairs,
            plan=_expected_plan(planned),
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
