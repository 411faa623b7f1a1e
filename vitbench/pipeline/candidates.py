"""Choose the fastest formulation of a cell's attention that passes parity on its device."""

from __future__ import annotations

import statistics

from vitbench import measure
from vitbench.pipeline.bench import Bench
from vitbench.pipeline.device import CHECKING, check_parity
from vitbench.records.comparison import Candidate
from vitbench.request import Cell
from vitbench.study.formulations import formulations_of


def choose(cell: Cell, bench: Bench) -> tuple[Candidate, ...]:
    """Build, check and time every formulation in turn; the fastest one that passes parity is chosen.

    Nothing is timed where there is no choice, and then there are no candidates.
    """
    offered = formulations_of(cell.workload.model)
    if len(offered) == 1 or cell.target.simulated:
        return ()
    plan = bench.request.choice
    devices = [bench.device(cell, plan, formulation) for formulation in offered]
    checks = []
    for device in devices:
        device.prepare(bench.progress)
        bench.progress.stage(cell.label, CHECKING)
        with device.session(0) as session:
            checks.append(check_parity(device, session, bench.known))
    fit = [number for number, check in enumerate(checks) if check is not None and check.passed]
    blocks, taker = measure.measure_rounds(
        [devices[number].session for number in fit],
        plan,
        threads=bench.request.threads or cell.target.threads,
        on_progress=lambda seen: bench.progress.measuring(f"{cell.label}, choosing a formulation", seen),
    )
    bench.spent.add(
        [block for side in blocks for block in side], loading_s=taker.loading_s, waiting_s=taker.waiting_s
    )
    medians = {
        number: tuple(block.median_ms for block in side) for number, side in zip(fit, blocks, strict=True)
    }
    chosen = min(medians, key=lambda number: statistics.median(medians[number]), default=None)
    return tuple(
        Candidate(
            formulation=offered[number],
            digest=device.artifact.digest,
            parity=check,
            block_medians_ms=medians.get(number, ()),
            chosen=number == chosen,
        )
        for number, (device, check) in enumerate(zip(devices, checks, strict=True))
        if device.artifact is not None and check is not None
    )


def chosen_formulation(candidates: tuple[Candidate, ...]) -> dict[str, str] | None:
    """The formulation that was chosen; None for the default one."""
    return next((candidate.formulation for candidate in candidates if candidate.chosen), None)
