"""Measure one row in pairs, whatever its sides are: journal, pairs, conclusion, record."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from vitbench import __version__, measure
from vitbench.errors import VitbenchError
from vitbench.measure import PairsInterrupted, PairsResult
from vitbench.measure.plan import in_turns
from vitbench.pipeline.bench import Bench
from vitbench.pipeline.device import Device
from vitbench.pipeline.profile import add_profiles
from vitbench.pipeline.save import save
from vitbench.records import journal
from vitbench.records.comparison import Candidate, Comparison, FinishedPair, StudyRow
from vitbench.records.schema import Header, Record
from vitbench.records.store import Store, new_id
from vitbench.study.protocols import differing, value_is
from vitbench.study.rows import PlannedRow

if TYPE_CHECKING:
    from vitbench.runtime.base import AnySession


@dataclass(frozen=True)
class MeasuredRow:
    """A comparison that was measured.

    `interrupted`: Ctrl-C ended it early. `failure`: the last error that cost a pair or ended the series.
    """

    comparison: Comparison
    interrupted: bool
    failure: VitbenchError | None = None


Candidates = tuple[tuple[Candidate, ...], tuple[Candidate, ...]]


def measure_row(
    bench: Bench,
    row: PlannedRow,
    devices: Sequence[Device],
    headers: Sequence[Header],
    *,
    store: Store,
    study: str,
    candidates: Candidates = ((), ()),
    first_block: int = 0,
    first_temp_c: float | None = None,
) -> MeasuredRow:
    """Take the pairs of a row and record the comparison as soon as it is done.

    Args:
        devices, headers: of the first and the second side.
        study: what the row is a part of.
        candidates: formulations that were tried before.
        first_block: number that blocks are counted from; only a scripted target looks at it.
        first_temp_c: temperature that blocks wait for; that before the first of them when None.

    Raises:
        UsageError: the sides' protocols differ and may not, or the journal cannot be written.
        ToolError, TargetUnreachable: no pair could be finished.
    """
    mismatch = differing(headers[0], headers[1], allow=bench.request.allow_mismatch)
    if _can_take_turns(devices, headers):
        row, devices, headers = _in_turns(row, devices, headers)
    begun = _begin(bench, row, headers, study, candidates, mismatch)
    kept = journal.Journal.start(store, begun)
    try:
        result, interrupted = _pairs(bench, row, devices, headers, kept, first_block, first_temp_c)
    except BaseException:
        kept.abandon()
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
        comparison, interrupted = add_profiles(comparison, list(devices), bench.progress)
    save(kept, comparison, bench.progress)
    return MeasuredRow(comparison, interrupted, result.failure)


def _can_take_turns(devices: Sequence[Device], headers: Sequence[Header]) -> bool:
    """Whether both sides' processes may be loaded at once: on one device, and none of them at work idly."""
    return devices[0].link is devices[1].link and all(
        device.engine.in_turns and header.protocol.threads == 1
        for device, header in zip(devices, headers, strict=True)
    )


def _in_turns(
    row: PlannedRow, devices: Sequence[Device], headers: Sequence[Header]
) -> tuple[PlannedRow, list[Device], list[Header]]:
    """The row with its sides timed in turns, on one CPU: two of them may have different neighbours.

    It is the last of the fastest ones, as the first ones serve interrupts. Where the device does not tell its
    CPUs, the processes stay where its system puts them.
    """
    cpus = headers[0].environment.get("facts", {}).get("fastest_cpus") or ()
    affinity = tuple(cpus[-1:]) or None
    pinned = []
    for header in headers:
        protocol = header.protocol.model_copy(update={"affinity": affinity or header.protocol.affinity})
        pinned.append(header.model_copy(update={"plan": in_turns(header.plan), "protocol": protocol}))
    return (
        replace(row, plan=in_turns(row.plan)),
        [replace(each, affinity=affinity) for each in devices],
        pinned,
    )


def _pairs(
    bench: Bench,
    row: PlannedRow,
    devices: Sequence[Device],
    headers: Sequence[Header],
    kept: journal.Journal,
    first_block: int,
    first_temp_c: float | None,
) -> tuple[PairsResult, bool]:
    """The pairs, and whether Ctrl-C ended them early."""
    target = row.cells[0].target
    bench.progress.stage(row.label, "measuring in pairs")
    try:
        result = measure.measure_pairs(
            (_sessions(devices[0], first_block), _sessions(devices[1], first_block)),
            row.plan,
            value_is=value_is(headers[0], headers[1]),
            threads=headers[0].protocol.threads,
            clock_max_mhz=bench.clocks_mhz.get(target.name),
            first_temp_c=first_temp_c,
            on_progress=lambda seen: bench.progress.measuring(row.label, seen),
            on_pair=lambda pair, blocks: kept.add_pair(FinishedPair(pair=pair, blocks=blocks)),
            sleep=measure.no_sleep if target.simulated else time.sleep,
        )
    except PairsInterrupted as interrupt:
        if not interrupt.result.pairs:
            raise
        return interrupt.result, True
    if result.clock_max_mhz is not None:
        bench.clocks_mhz[target.name] = result.clock_max_mhz
    return result, False


def _sessions(device: Device, first_block: int) -> Callable[[int], AbstractContextManager[AnySession]]:
    return lambda block: device.session(first_block + block)


def _begin(
    bench: Bench,
    row: PlannedRow,
    headers: Sequence[Header],
    study: str,
    candidates: Candidates,
    mismatch: tuple[str, ...],
) -> Comparison:
    """The comparison before its first pair."""
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
            study=study,
            title=bench.request.title,
            part=row.part,
            labels=row.labels,
            tokens=row.tokens,
            macs_ratio=_macs_ratio(headers[0].counts.macs, headers[1].counts.macs),
        ),
        sides=(_empty(headers[0]), _empty(headers[1])),
        candidates=candidates,
        pairs=(),
        ratio=None,
        timings=bench.spent.timings(),
    )


def _empty(header: Header) -> Record:
    """A side before its first block."""
    return Record(**dict(header), status="inconclusive", estimate=None, blocks=())


def _macs_ratio(first: int, second: int) -> float:
    """A network of no multiplications (pooling, activations) has no MACs to divide by."""
    if first == 0:
        return 1.0 if second == 0 else math.inf
    return second / first


def _size(row: PlannedRow) -> tuple[int, int]:
    return row.tokens or row.cells[0].workload.model.resolution
