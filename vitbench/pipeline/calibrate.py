"""Measure cells in pairs with themselves, to learn what a gate can see on their device."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from statistics import median

from vitbench.errors import MeasurementInvalid, VitbenchError, of_system
from vitbench.export import ArtifactCache
from vitbench.gate.calibration import Calibration, Noise, calibration
from vitbench.gate.stages import blocks_of
from vitbench.interrupts import finishing
from vitbench.measure import make_plan
from vitbench.pipeline.bench import Bench, Spent
from vitbench.pipeline.device import make_header
from vitbench.pipeline.gate import SAMPLES
from vitbench.pipeline.paired import measure_row
from vitbench.pipeline.progress import Progress
from vitbench.pipeline.recover import recover
from vitbench.records.store import Store
from vitbench.request import Cell, Request
from vitbench.study.rows import PlannedRow, StudyRequest

DEFAULT_PAIRS = 20
LEAST_PAIRS = 8


def calibrate(
    requests: Sequence[Request],
    results: str,
    progress: Progress,
    *,
    pairs: int = DEFAULT_PAIRS,
    seed: int = 0,
) -> Calibration:
    """Take pairs of every cell with itself, and propose a gate; the samples are kept like those of a gate.

    A cell that fails is told and does not stop the others. Ctrl-C ends it, and what was found stands.

    Args:
        requests: one cell each.
        results: the store.
        pairs: of each cell; the more, the surer the noise is known.
        seed: of the order inside of pairs.

    Raises:
        UsageError: nothing can be recorded there.
        VitbenchError: of the first cell, where no cell could be measured: MeasurementInvalid where fewer than
            8 of its pairs could be used.
    """
    samples = Store(f"{results.rstrip('/')}/{SAMPLES}")
    samples.check_writable()
    recover(samples, progress)
    first = requests[0]
    study = StudyRequest(
        title="calibrate",
        rows=(),
        choice=make_plan("choice"),
        threads=first.threads,
        weights_file=first.weights_file,
        no_cache=first.no_cache,
        allow_mismatch=False,
    )
    cache = ArtifactCache()
    cache = cache.throwaway() if first.no_cache else cache
    found: list[Noise] = []
    failures: list[tuple[str, VitbenchError]] = []
    try:
        with Bench(study, cache, progress) as bench:
            for number, request in enumerate(requests):
                bench.request = replace(study, threads=request.threads, weights_file=request.weights_file)
                cell = request.cells[0]
                try:
                    found.append(_noise(bench, samples, cell, pairs, seed + number))
                except (VitbenchError, OSError) as error:
                    told = of_system(error) if isinstance(error, OSError) else error
                    failures.append((cell.label, told))
                    if len(requests) > 1:
                        progress.note(f"{cell.label}: {told.explain()}")
    except KeyboardInterrupt:
        if not found:
            raise
    if not found:
        raise failures[0][1]
    with finishing():
        return calibration(found, failures, asked=len(requests))


def _noise(bench: Bench, samples: Store, cell: Cell, pairs: int, seed: int) -> Noise:
    plan = make_plan("gate", blocks=2 * pairs, seed=seed)
    half = plan.model_copy(update={"blocks": pairs})
    bench.spent = Spent()
    device = bench.device(cell, half)
    header = make_header(device, bench.progress, bench.known)
    name = cell.workload.label
    row = PlannedRow(
        part="models",
        labels=(f"{name} A", f"{name} A again"),
        tokens=None,
        cells=(cell, cell),
        choose=False,
        plan=plan,
    )
    measured = measure_row(bench, row, [device, device], [header, header], store=samples, study="calibrate")
    if measured.interrupted:
        raise KeyboardInterrupt
    comparison = measured.comparison
    counted = [pair for pair in comparison.pairs if pair.invalid is None]
    if len(counted) < LEAST_PAIRS:
        reason = next((pair.invalid for pair in comparison.pairs if pair.invalid), None)
        because = f": {reason}" if reason else ""
        raise MeasurementInvalid(
            f"{cell.label}: only {len(counted)} of {pairs} pairs could be used{because}",
            "quiet the device (`vitbench doctor` says what disturbs it) and try again",
        )
    blocks = [block for side in (0, 1) for block in blocks_of(comparison, side)]
    size = cell.workload.model.resolution
    return Noise(
        label=cell.label,
        match=f"{cell.workload.model.name}:{size[0]}x{size[1]}",
        target=cell.target.name,
        differences=tuple(pair.log_ratio for pair in counted),
        disturbed=len(comparison.pairs) - len(counted),
        latency_ms=median(block.median_ms for block in blocks),
        load_ms=median(block.load_ms for block in blocks),
        plan=comparison.sides[0].plan,
        simulated=header.simulated,
    )
