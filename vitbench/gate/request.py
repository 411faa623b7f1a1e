"""What a gate is asked to do: options and a baseline to checked cells. Nothing is built or measured."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from pydantic import ValidationError

from vitbench import catalog
from vitbench.catalog import DeviceOptions, TargetSpec
from vitbench.errors import MeasurementInvalid, UsageError, VitbenchError
from vitbench.gate import baseline as baselines
from vitbench.gate.baseline import Asked, Baseline, BaselineCell, Place
from vitbench.gate.config import (
    MAX_PAIRS,
    MIN_PAIRS,
    Config,
    Limits,
    Waiver,
    limits_of,
    matches,
    unmatched,
    unselected,
    waivers_of,
)
from vitbench.request import Cell, Request, parse_request


@dataclass(frozen=True)
class AskedGate:
    """The options of a gate; None and empty where nothing was said.

    Attributes:
        models: patterns of the baseline's cells to gate; all when empty.
        targets: names or TOML files of the targets to gate on; those of the baseline when empty.
        pairs, limit: of every cell, instead of what the configuration says.
        artifacts: where the baseline's artifacts are, instead of where it says.
    """

    models: Sequence[str] = ()
    targets: Sequence[str] = ()
    pairs: int | None = None
    limit: float | None = None
    weights: Path | None = None
    artifacts: str | None = None
    no_cache: bool = False
    simulated: bool = False
    other_machine: bool = False
    device: DeviceOptions | None = None


@dataclass(frozen=True)
class PlannedCell:
    """A cell of the baseline, and the candidate that is to stand beside it.

    Attributes:
        request: how the candidate is built; None where it cannot be named any more, as `problem` says.
    """

    baseline: BaselineCell
    limits: Limits
    waivers: tuple[Waiver, ...]
    request: Request | None
    problem: VitbenchError | None = None

    @property
    def cell(self) -> Cell | None:
        """The candidate's."""
        return None if self.request is None else self.request.cells[0]

    def reference(self, cell: Cell) -> Cell:
        """The cell of the baseline's side: the same, but for what a scripted device played then.

        Raises:
            MeasurementInvalid: the script is none.
        """
        if self.baseline.script is None:
            return cell
        try:
            old = TargetSpec.model_validate({**cell.target.model_dump(), "sim": self.baseline.script})
        except ValidationError as error:
            raise MeasurementInvalid(
                f"the script in the baseline of {self.baseline.label} is damaged: "
                f"{error.errors(include_url=False)[0]['msg'].lower()}",
                "restore the baseline from version control, or save it anew",
            ) from None
        return replace(cell, target=old)


@dataclass(frozen=True)
class GateRequest:
    """A gate: its cells in the order of the baseline, and what holds for all of them."""

    baseline: Baseline
    place: Place
    shelf: str
    cells: tuple[PlannedCell, ...]
    no_cache: bool
    other_machine: bool
    notes: tuple[str, ...]


def plan_gate(baseline: Baseline, place: Place, config: Config, asked: AskedGate) -> GateRequest:
    """Choose the cells of a baseline and find the candidates of the same names.

    A candidate that cannot be named any more is a cell that is not measured: it does not stop the others.

    Raises:
        UsageError: nothing is selected; an option is out of its range; or figures are scripted, and that was
            not asked for.
    """
    _check_options(asked)
    baseline = baselines.told_apart(baseline)
    chosen = _select(baseline, place, asked)
    scripted = [cell for cell in chosen if cell.simulated]
    if scripted and not asked.simulated:
        raise UsageError(
            f"{baselines.labels(scripted)}: scripted, so nothing would be gated",
            "add --simulated to see what a gate says, or choose another target with -t",
        )
    _check_device(chosen, asked)
    cells = tuple(_planned(cell, config, asked) for cell in chosen)
    known = [(cell.model, cell.resolution, cell.target) for cell in chosen]
    every = [(cell.model, cell.resolution, cell.target) for cell in baseline.cells]
    return GateRequest(
        baseline=baseline,
        place=place,
        shelf=place.shelf(asked.artifacts or baseline.artifacts),
        cells=cells,
        no_cache=asked.no_cache,
        other_machine=asked.other_machine,
        # A table about a cell of the baseline that was not selected this time is not misspelt.
        notes=tuple(unmatched(config, [*known, *every])),
    )


def candidate_request(asked: Asked, target: str, options: AskedGate) -> Request:
    """Find the candidate by the name of its baseline.

    Args:
        asked: as the baseline was asked for.
        target: name or TOML file of the target.
        options: of the gate.

    Raises:
        UsageError: the name means nothing any more.
    """
    weights = options.weights or (Path(asked.weights_file) if asked.weights_file else None)
    size = catalog.format_resolution(asked.resolution) if asked.resolution else None
    return parse_request(
        models=[asked.model],
        targets=[target],
        resolutions=[size] if size else (),
        batches=[str(asked.batch)],
        precision=asked.precision,
        threads=asked.threads,
        seed=asked.seed,
        weights=weights,
        no_cache=options.no_cache,
        device=options.device and options.device.meant_for(catalog.resolve_target(target)),
    )


def _check_options(asked: AskedGate) -> None:
    if asked.pairs is not None and not MIN_PAIRS <= asked.pairs <= MAX_PAIRS:
        raise UsageError(
            f"--pairs must be from {MIN_PAIRS} to {MAX_PAIRS}, not {asked.pairs}",
            f"under {MIN_PAIRS} pairs the test cannot reach its level; the default is 10",
        )

    if asked.limit is not None and not 0 < asked.limit < 1:
        raise UsageError(f"a limit must be above 0 and below 1, not {asked.limit:.4g}", "0.03 is 3 %")


def _check_device(chosen: Sequence[BaselineCell], asked: AskedGate) -> None:
    """Check what is said of devices against all targets together; a lost one, which it may mean, is not told.

    One host may stand for several targets: a board that is measured in several ways.
    """
    try:
        targets = {cell.target: catalog.resolve_target(_target(cell, asked)) for cell in chosen}
    except VitbenchError:
        return
    if asked.device is not None:
        asked.device.check(list(targets.values()))


def _select(baseline: Baseline, place: Place, asked: AskedGate) -> list[BaselineCell]:
    """The cells that are asked for, one or more."""
    names = [catalog.resolve_target(target).name for target in asked.targets]
    chosen = [
        cell
        for cell in baseline.cells
        if (not names or cell.target in names)
        and (not asked.models or any(matches(each, cell.model, cell.resolution) for each in asked.models))
    ]
    if not chosen:
        raise UsageError(
            f"nothing to gate: no cell of the baseline `{place.location}` is selected",
            f"it has {baselines.labels(baseline.cells)}",
        )
    cells = [(cell.model, cell.resolution, cell.target) for cell in chosen]
    if useless := unselected(asked.models, names, cells):
        raise UsageError(
            f"nothing to gate for {useless}: no cell of the baseline `{place.location}` is meant by it",
            f"it has {baselines.labels(baseline.cells)}",
        )
    return chosen


def _planned(cell: BaselineCell, config: Config, asked: AskedGate) -> PlannedCell:
    request, problem = None, None
    transport = ""
    try:
        request = candidate_request(cell.asked, _target(cell, asked), asked)
        found = request.cells[0]
        transport = found.target.transport
        if found.target.simulated != cell.simulated:
            raise MeasurementInvalid(
                f"the target of {cell.label} {_scripted(cell.simulated)} when the baseline was saved, "
                "and is the other now",
                "save the baseline anew",
            )
        if tuple(found.workload.model.resolution) != tuple(cell.resolution):
            before, now = (
                catalog.format_resolution(size) for size in (cell.resolution, found.workload.model.resolution)
            )
            raise UsageError(
                f"{cell.label} is {now} now, and was {before}", "save the baseline anew for that resolution"
            )
    except VitbenchError as error:
        request, problem = None, error
    limits = limits_of(config, cell.model, cell.resolution, cell.target, transport)
    limits = Limits(asked.limit or limits.regression, limits.memory, asked.pairs or limits.pairs)
    return PlannedCell(
        cell, limits, waivers_of(config, cell.model, cell.resolution, cell.target), request, problem
    )


def _scripted(simulated: bool) -> str:
    return "was scripted" if simulated else "was a device"


def _target(cell: BaselineCell, asked: AskedGate) -> str:
    """The target as it was given now, else as it was given for the baseline."""
    for given in asked.targets:
        if catalog.resolve_target(given).name == cell.target:
            return given
    return cell.asked.target
