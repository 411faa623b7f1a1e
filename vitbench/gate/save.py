"""The cells that a baseline keeps, or that are calibrated: names as they were given, and what they mean."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from pathlib import Path

from vitbench.catalog import DeviceOptions, resolve_target
from vitbench.errors import UsageError
from vitbench.gate.baseline import DEFAULT_NAME, place_of, read
from vitbench.gate.config import Config, read_config
from vitbench.gate.request import AskedGate, plan_gate
from vitbench.request import Request, parse_request


def requests_of(
    models: Sequence[str],
    targets: Sequence[str],
    resolutions: Sequence[str],
    *,
    batch: int = 1,
    precision: str | None = None,
    threads: int | None = None,
    seed: int = 0,
    weights: Path | None = None,
    no_cache: bool = False,
    device: DeviceOptions | None = None,
) -> list[tuple[str, str, Request]]:
    """Every cell of a matrix by itself, with the names of its model and its target; doubles once.

    Raises:
        UsageError: the first option that does not fit.
    """

    def parse(
        names: Sequence[str], places: Sequence[str], sizes: Sequence[str], options: DeviceOptions
    ) -> Request:
        return parse_request(
            models=names,
            targets=places,
            resolutions=sizes,
            batches=[str(batch)],
            precision=precision,
            threads=threads,
            seed=seed,
            weights=weights,
            no_cache=no_cache,
            device=options,
        )

    device = device or DeviceOptions()
    # All at once first: options are checked against all targets together.
    parse(models, targets, resolutions, device)
    found: dict[str, tuple[str, str, Request]] = {}
    for model, sizes, target in product(models, [[size] for size in resolutions] or [[]], targets):
        request = parse([model], [target], sizes, device.meant_for(resolve_target(target)))
        found.setdefault(request.cells[0].key, (model, target, request))
    return list(found.values())


def requests_for_calibration(
    models: Sequence[str],
    targets: Sequence[str],
    resolutions: Sequence[str],
    *,
    baseline: str | None,
    results: str,
    threads: int | None = None,
    seed: int = 0,
    weights: Path | None = None,
    no_cache: bool = False,
    device: DeviceOptions | None = None,
) -> list[Request]:
    """The cells to calibrate: those that are named, else those of the baseline that a gate would take.

    Raises:
        UsageError: the first option that does not fit, no such baseline, or none of its cells is selected.
    """
    if models:
        if baseline is not None:
            raise UsageError(
                f"--baseline {baseline} has no say where models are named", "drop it, or --model"
            )
        found = requests_of(
            models,
            targets or ["cpu"],
            resolutions,
            threads=threads,
            seed=seed,
            weights=weights,
            no_cache=no_cache,
            device=device,
        )
        return [request for _, _, request in found]
    for option, given in (("--resolution", resolutions), ("--threads", threads)):
        if given:
            raise UsageError(f"{option}: the cells of a baseline have theirs", "drop it, or name a --model")
    place = place_of(baseline or read_config(None).gate.baseline or DEFAULT_NAME, results)
    options = AskedGate(
        targets=targets, weights=weights, no_cache=no_cache, simulated=True, other_machine=True, device=device
    )
    planned = plan_gate(read(place), place, Config(), options)
    for each in planned.cells:
        if each.problem is not None:
            raise each.problem
    return [each.request for each in planned.cells if each.request is not None]
