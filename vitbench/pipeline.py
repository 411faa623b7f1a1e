"""The one place that wires a measurement: model and target to artifact, parity, samples and record."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from vitbench import __version__, measure, runtime, transport
from vitbench.catalog import Workload
from vitbench.errors import ExitCode, UsageError, VitbenchError
from vitbench.export import Artifact, ArtifactCache, get_artifact, parity
from vitbench.records import environment, journal
from vitbench.records.schema import (
    Block,
    Counts,
    Estimate,
    Header,
    Parity,
    Record,
    Status,
    TargetPart,
    WorkloadPart,
)
from vitbench.records.schema import Protocol as ProtocolPart
from vitbench.records.store import Store, new_id
from vitbench.request import Cell, Request

if TYPE_CHECKING:
    from vitbench.runtime import AgentSession, Runtime, TensorFile
    from vitbench.transport import Transport

MAX_AUTO_BATCH = 1024
CHECKING = "checking that the artifact computes what PyTorch computes"


class Progress(Protocol):
    """Who is told what is going on. Called only between requests to an agent, never during one."""

    def stage(self, cell: str, text: str) -> None:
        """Something else begins for this cell."""

    def measuring(self, cell: str, progress: measure.CellProgress) -> None:
        """The estimate so far."""

    def note(self, text: str) -> None:
        """A line worth keeping."""


@dataclass(frozen=True)
class Failure:
    """A cell without a record, and why."""

    cell: Cell
    error: VitbenchError


@dataclass(frozen=True)
class Outcome:
    """What became of the cells of a request."""

    records: tuple[Record, ...]
    failures: tuple[Failure, ...] = ()
    interrupted: bool = False

    def exit_code(self, *, allow_inconclusive: bool = False) -> int:
        """0 when every cell is valid, else the highest of what befell them; 130 after Ctrl-C."""
        if self.interrupted:
            return ExitCode.INTERRUPTED
        codes = [
            ExitCode.OK if record.status == "valid" else ExitCode.INCONCLUSIVE for record in self.records
        ]
        codes += [failure.error.exit_code for failure in self.failures]
        worst = max(codes, default=ExitCode.OK)
        return ExitCode.OK if allow_inconclusive and worst == ExitCode.INCONCLUSIVE else worst


def run(request: Request, results: str, progress: Progress) -> Outcome:
    """Measure every cell of a request, one after the other, and record each as soon as it is done.

    A cell that fails is told and does not stop the others. Ctrl-C keeps what was finished.

    Raises:
        UsageError: nothing can be recorded there, or a cell cannot be built as asked.
    """
    store = Store(results)
    store.check_writable()
    _recover(store, progress)
    cache = ArtifactCache()
    if request.no_cache:
        cache = cache.throwaway()
    records: list[Record] = []
    failures: list[Failure] = []
    clocks_mhz: dict[str, float] = {}
    for first in request.cells:
        cell: Cell | None = first
        tried: list[Record] = []
        while cell is not None:
            try:
                tried.append(_run_cell(cell, request, store, cache, clocks_mhz, progress))
                records.append(tried[-1])
            except VitbenchError as error:
                if isinstance(error, UsageError) and not (records or failures):
                    raise
                progress.note(f"{cell.label}: {error.explain()}")
                if not (tried and isinstance(error, UsageError)):
                    failures.append(Failure(cell, error))
                # Otherwise a search for the best batch has come to the end of the memory.
                break
            except Interrupted as interrupted:
                partial = (*records, interrupted.record) if interrupted.record else tuple(records)
                return Outcome(partial, tuple(failures), interrupted=True)
            except KeyboardInterrupt:
                return Outcome(tuple(records), tuple(failures), interrupted=True)
            cell = _next_batch(cell, tried) if request.auto_batch else None
    return Outcome(tuple(records), tuple(failures))


class Interrupted(Exception):
    """Ctrl-C in the middle of a cell; `record` holds its finished blocks, None when there was none."""

    def __init__(self, record: Record | None) -> None:
        super().__init__()
        self.record = record


def _recover(store: Store, progress: Progress) -> None:
    """Save the finished blocks of runs that were killed."""
    for run_ in journal.recover(store, _estimate):
        if run_.problem:
            progress.note(f"a run that was killed left a journal that cannot be used: {run_.problem}")
        elif run_.saved:
            progress.note(
                f"saved {run_.blocks} finished blocks of a run that was killed: {run_.saved.location}"
            )


def _estimate(header: Header, blocks: Sequence[Block]) -> Estimate | None:
    return measure.estimate(blocks, metric=header.protocol.metric, batch=header.workload.batch)


def _next_batch(cell: Cell, tried: Sequence[Record]) -> Cell | None:
    """The same cell with twice the batch, as long as doubling pays."""
    rates = [
        (record.workload.batch, record.estimate.throughput_img_s)
        for record in tried
        if record.estimate and record.estimate.throughput_img_s
    ]
    batch = measure.next_batch(rates, max_batch=MAX_AUTO_BATCH)
    if batch is None:
        return None
    return replace(cell, workload=cell.workload.model_copy(update={"batch": batch}))


def _run_cell(
    cell: Cell,
    request: Request,
    store: Store,
    cache: ArtifactCache,
    clocks_mhz: dict[str, float],
    progress: Progress,
) -> Record:
    engine = runtime.for_target(cell.target)
    with ExitStack() as stack:
        # The link first: a device that cannot be reached is told before minutes go into an export.
        link = stack.enter_context(transport.open(cell.target))
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="vitbench-")))
        artifact = None
        if engine.artifact_format is not None:
            artifact = build_artifact(
                cell.workload, engine, cache, request.weights_file, cell.label, progress
            )
        device = _Device(cell, request, link, engine, artifact, scratch, clocks_mhz)
        header = _header(device, progress)
        return _measure(device, header, store, progress)


def build_artifact(
    workload: Workload,
    engine: Runtime,
    cache: ArtifactCache,
    weights_file: Path | None,
    label: str,
    progress: Progress,
) -> Artifact:
    """Take the artifact of a workload from the cache, or build it; says which.

    Raises:
        UsageError: the workload cannot be built as asked, or the cache cannot be used.
    """
    artifact = get_artifact(
        workload,
        cache,
        target_runtime=engine.name,
        runtime_version=engine.version(),
        weights_file=weights_file,
        on_stage=lambda text: progress.stage(label, text),
    )
    progress.note(f"{label}: {artifact.cache} artifact {artifact.digest[:12]}")
    return artifact


@dataclass(frozen=True)
class _Device:
    """One cell's way to its device; `clocks_mhz` has the highest clock seen so far, by target."""

    cell: Cell
    request: Request
    link: Transport
    engine: Runtime
    artifact: Artifact | None
    scratch: Path
    clocks_mhz: dict[str, float]

    @contextmanager
    def session(self, block: int) -> Iterator[AgentSession]:
        """A fresh agent with the artifact loaded."""
        with runtime.open_session(
            self.link,
            self.engine,
            self.artifact.model_file if self.artifact else None,
            self.options(block),
            self.inputs(),
        ) as session:
            yield session

    def options(self, block: int) -> dict[str, Any]:
        """What the agent is told at load."""
        return self.engine.load_options(
            threads=self.request.threads, block=block, model=self.cell.workload.model.name
        )

    def inputs(self) -> list[TensorFile]:
        """The tensors that are timed: the first images of the parity check."""
        return parity.timed_inputs(self.artifact, self.scratch) if self.artifact else []


def _header(device: _Device, progress: Progress) -> Header:
    """Everything the record says before the first block: one agent checks parity and describes the device."""
    cell, request, artifact = device.cell, device.request, device.artifact
    workload, model = cell.workload, cell.workload.model
    progress.stage(cell.label, CHECKING)
    _refuse_too_many_threads(device)
    with device.session(0) as session:
        loaded = session.loaded
        checked = parity.check(artifact, session) if artifact else None
        surroundings = environment.fingerprint(session.describe(), session.probe(), device=loaded.device)
    if checked and not checked.passed:
        progress.note(f"{cell.label}: parity failed: {checked.reason}")
    options = device.options(0)
    created = datetime.now(UTC)
    return Header(
        id=new_id(created, model.name, model.resolution, cell.target.name),
        created_utc=created.isoformat(timespec="seconds"),
        vitbench_version=__version__,
        simulated=cell.target.simulated,
        workload=WorkloadPart(
            model=model.name,
            family=model.family,
            variant=model.variant,
            task=model.task,
            attention=model.attention,
            form=model.form,
            resolution=model.resolution,
            batch=workload.batch,
            weights=workload.weights,
            upsample=model.upsample,
        ),
        target=TargetPart(
            name=cell.target.name,
            transport=cell.target.transport,
            runtime=device.engine.name,
            runtime_version=loaded.runtime_version,
            device=loaded.device,
        ),
        protocol=ProtocolPart(
            metric=request.metric,
            batch=workload.batch,
            precision=workload.precision,
            threads=request.threads or cell.target.threads,
            affinity=options.get("affinity"),
            builds=1,
            **device.engine.protocol_facts(options),
        ),
        plan=request.plan,
        counts=artifact.manifest.counts if artifact else _count(workload),
        artifact=artifact.record_part() if artifact else None,
        parity=checked,
        environment=surroundings,
    )


def _refuse_too_many_threads(device: _Device) -> None:
    """Threads beyond the CPUs only wait for each other, and many of them bring a machine to a halt."""
    threads = device.request.threads
    if threads is None or device.cell.target.simulated:
        return
    with runtime.open_agent(device.link) as agent:
        cpus = agent.describe().get("allowed_cpus")
    if cpus is not None and threads > len(cpus):
        raise UsageError(
            f"{threads} threads on {device.cell.target.name}, which has {len(cpus)} CPUs to give",
            f"choose --threads {len(cpus)} or fewer",
        )


def _count(workload: Workload) -> Counts:
    from vitbench import counting

    counts = counting.count_model(workload.model, workload.batch)
    return Counts(**{name: getattr(counts, name) for name in Counts.model_fields})


def _measure(device: _Device, header: Header, store: Store, progress: Progress) -> Record:
    label = device.cell.label
    kept = journal.Journal.start(store, header)
    finished: list[Block] = []

    def keep(block: Block) -> None:
        finished.append(block)
        kept.add(block)

    try:
        result = measure.measure_cell(
            device.session,
            header.plan,
            metric=header.protocol.metric,
            batch=header.workload.batch,
            threads=header.protocol.threads,
            clock_max_mhz=device.clocks_mhz.get(header.target.name),
            on_progress=lambda seen: progress.measuring(label, seen),
            on_block=keep,
            sleep=_no_sleep if header.simulated else time.sleep,
        )
    except KeyboardInterrupt:
        if not finished:
            kept.discard()
            raise Interrupted(None) from None
        reason = f"interrupted by the user after {len(finished)} of {header.plan.blocks} blocks"
        record = _conclude(header, "inconclusive", (reason,), _estimate(header, finished), finished)
        _save(kept, record, progress)
        raise Interrupted(record) from None
    except VitbenchError:
        kept.discard()
        raise
    if result.clock_max_mhz is not None:
        device.clocks_mhz[header.target.name] = result.clock_max_mhz
    record = _conclude(header, result.status, result.reasons, result.estimate, result.blocks)
    _save(kept, record, progress)
    return record


def _conclude(
    header: Header, status: Status, reasons: Sequence[str], estimate: Estimate | None, blocks: Sequence[Block]
) -> Record:
    """The record of a cell. Without parity nothing else matters."""
    if header.parity is not None and not header.parity.passed:
        status, reasons = "parity-failed", (header.parity.reason or "parity failed", *reasons)
    return Record(
        **dict(header), status=status, reasons=tuple(reasons), estimate=estimate, blocks=tuple(blocks)
    )


def _no_sleep(_seconds: float) -> None:
    """A scripted device lives in simulated time: waiting for it changes nothing."""


def _save(kept: journal.Journal, record: Record, progress: Progress) -> None:
    saved = kept.finish(record)
    if kept.problem:
        progress.note(kept.problem)
    if saved.problem:
        progress.note(f"{saved.problem}; the record is kept in {saved.location}")


def export(request: Request, output: Path | None, progress: Progress) -> tuple[Artifact, Parity, Path]:
    """Build and check the artifact of the one cell of a request, without measuring it.

    Args:
        output: directory to copy the files that run to; they stay in the cache only when None.

    Returns:
        The artifact, how near PyTorch it comes, and where its model file is.

    Raises:
        UsageError: the target runs no network, or the files cannot be written there.
    """
    (cell,) = request.cells
    engine = runtime.for_target(cell.target)
    if engine.artifact_format is None:
        raise UsageError(f"target '{cell.target.name}' runs no network, so there is nothing to export")
    cache = ArtifactCache()
    cache = cache.throwaway() if request.no_cache else cache
    artifact = build_artifact(cell.workload, engine, cache, request.weights_file, cell.label, progress)
    with transport.open(cell.target) as link, tempfile.TemporaryDirectory(prefix="vitbench-") as scratch:
        device = _Device(cell, request, link, engine, artifact, Path(scratch), {})
        progress.stage(cell.label, CHECKING)
        with device.session(0) as session:
            checked = parity.check(artifact, session)
    return artifact, checked, _copy(artifact.model_file, output) if output else artifact.model_file


def _copy(model_file: Path, output: Path) -> Path:
    """Copy a model file and what lies beside it."""
    try:
        shutil.copytree(model_file.parent, output, dirs_exist_ok=True)
    except (OSError, shutil.Error) as error:
        raise UsageError(
            f"cannot write to {output}: {error}", "choose another directory with --output"
        ) from error
    return output / model_file.name
