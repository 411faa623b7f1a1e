"""Measure every cell of a request: model and target to artifact, parity, samples and record."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from vitbench import measure, runtime
from vitbench.errors import OutOfMemory, UsageError, VitbenchError
from vitbench.export import ArtifactCache
from vitbench.pipeline.cross_check import second_opinion
from vitbench.pipeline.device import Device, build_artifact, make_header
from vitbench.pipeline.link import Ways, open_link
from vitbench.pipeline.outcome import Failure, Outcome
from vitbench.pipeline.progress import Progress
from vitbench.pipeline.recover import estimate, recover
from vitbench.pipeline.save import save
from vitbench.records import journal
from vitbench.records.schema import Block, Estimate, Header, Record, Status
from vitbench.records.store import Store
from vitbench.request import Cell, Request

MAX_AUTO_BATCH = 4096


def run(request: Request, results: str, progress: Progress) -> Outcome:
    """Measure every cell of a request, one after the other, and record each as soon as it is done.

    A cell that fails is told and does not stop the others, but for those of a target that cannot be reached
    at all. Ctrl-C keeps what was finished.

    Raises:
        UsageError: nothing can be recorded there, or a cell cannot be built as asked.
    """
    store = Store(results)
    store.check_writable()
    recover(store, progress)
    cache = ArtifactCache()
    if request.no_cache:
        cache = cache.throwaway()
    records: list[Record] = []
    failures: list[Failure] = []
    clocks_mhz: dict[str, float] = {}
    ways = Ways()
    for number, first in enumerate(request.cells, 1):
        closed = ways.why_closed([first.target.name])
        if closed is not None:
            failures.append(Failure(first, closed))
            continue
        cell: Cell | None = first
        tried: list[Record] = []
        while cell is not None:
            try:
                tried.append(_run_cell(cell, request, store, cache, clocks_mhz, ways, progress))
                records.append(tried[-1])
            except VitbenchError as error:
                if isinstance(error, UsageError) and not (records or failures):
                    raise
                if not (tried and isinstance(error, UsageError | OutOfMemory)):
                    progress.note(f"{cell.label}: {error.explain()}")
                    failures.append(Failure(cell, error))
                    later = [[cell.target.name] for cell in request.cells[number:]]
                    if left_out := ways.left_out(error, later, "cell"):
                        progress.note(left_out)
                    break
                # A search for the best batch has come to the end of the memory.
                progress.note(f"{cell.label}: {error.message}; the search for the best batch ends before it")
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


def _next_batch(cell: Cell, tried: Sequence[Record]) -> Cell | None:
    """The same cell with twice the batch, as long as doubling pays; None after a batch without a figure."""
    rates = [
        (record.workload.batch, record.estimate.throughput_img_s)
        for record in tried
        if record.estimate and record.estimate.throughput_img_s
    ]
    if len(rates) < len(tried):
        return None  # the same batch would come next, and end in the same way
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
    ways: Ways,
    progress: Progress,
) -> Record:
    engine = runtime.for_target(cell.target)
    with ExitStack() as stack:
        # The link first: a device that cannot be reached is told before minutes go into an export.
        link = stack.enter_context(open_link(cell.target, progress, ways))
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="vitbench-")))
        artifact = None
        if engine.artifact_format is not None:
            artifact = build_artifact(
                cell.workload, engine, link, cache, request.weights_file, cell.label, progress
            )
        device = Device(cell, request, link, engine, artifact, scratch, clocks_mhz)
        header = make_header(device, progress)
        return _measure(device, header, store, progress)


def _measure(device: Device, header: Header, store: Store, progress: Progress) -> Record:
    label = device.cell.label
    kept = journal.Journal.start(store, header)
    finished: list[Block] = []

    def keep(block: Block) -> None:
        finished.append(block)
        kept.add(block)

    try:
        result = measure.measure_cell(
            measure.as_measured(device.session, header.protocol),
            header.plan,
            metric=header.protocol.metric,
            batch=measure.images_a_sample(header.protocol),
            overlap=measure.overlaps(header.protocol),
            threads=header.protocol.threads,
            clock_max_mhz=device.clocks_mhz.get(header.target.name),
            on_progress=lambda seen: progress.measuring(label, seen),
            on_block=keep,
            sleep=measure.no_sleep if header.simulated else time.sleep,
        )
    except KeyboardInterrupt:
        if not finished:
            kept.discard()
            raise Interrupted(None) from None
        reason = f"interrupted by the user after {len(finished)} of {header.plan.blocks} blocks"
        record = _conclude(header, "inconclusive", (reason,), estimate(header, finished), finished)
        save(kept, record, progress)
        raise Interrupted(record) from None
    except BaseException:
        kept.abandon()
        raise
    if result.clock_max_mhz is not None:
        device.clocks_mhz[header.target.name] = result.clock_max_mhz
    interrupted = False
    try:
        checked = second_opinion(device, result.estimate)
    except KeyboardInterrupt:
        # What was measured is whole.
        checked, interrupted = ("not cross-checked by trtexec: interrupted by the user",), True
    record = _conclude(header, result.status, (*result.reasons, *checked), result.estimate, result.blocks)
    save(kept, record, progress)
    if interrupted:
        raise Interrupted(record)
    return record


def _conclude(
    header: Header, status: Status, reasons: Sequence[str], estimate: Estimate | None, blocks: Sequence[Block]
) -> Record:
    """The record of a cell. Without parity nothing else matters."""
    if header.parity is not None and not header.parity.passed:
        status, reasons = "parity-failed", (header.parity.reason or "parity failed", *reasons)
    else:
        reasons = (*reasons, *measure.notes_of(header, blocks))
    return Record(
        **dict(header), status=status, reasons=tuple(reasons), estimate=estimate, blocks=tuple(blocks)
    )
