"""Save a baseline: build, check and look at every cell shortly, keep the artifacts, write the document."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from vitbench import __version__, measure
from vitbench.catalog.sources import is_source
from vitbench.errors import ParityError, UsageError
from vitbench.export import ArtifactCache
from vitbench.export.manifest import hash_json
from vitbench.gate import baseline as baselines
from vitbench.gate.baseline import Asked, Baseline, BaselineCell, Place, Sources
from vitbench.gate.listing import summaries
from vitbench.gate.shelf import Shelf
from vitbench.measure import make_plan
from vitbench.pipeline.bench import Bench
from vitbench.pipeline.device import Device, make_header
from vitbench.pipeline.progress import Progress
from vitbench.records import environment
from vitbench.records.schema import Header
from vitbench.request import Cell, Request
from vitbench.study.rows import StudyRequest

LOOK = make_plan("choice")


def save_baseline(
    requests: Sequence[tuple[str, str, Request]],
    place: Place,
    progress: Progress,
    *,
    artifacts: str | None = None,
    seed: int = 0,
    keep_others: bool = False,
) -> Baseline:
    """Build every cell and keep it as the baseline of a name.

    Args:
        requests: model and target as they were named, and the one cell they mean.
        place: where the document goes.
        artifacts: where the artifacts go, see `Place.shelf`; when None where those of the baseline that is
            added to are, else beside the document.
        seed: of the weights.
        keep_others: whether cells of a baseline of this name that are not replaced stay in it.

    Raises:
        UsageError: a cell cannot be built, something cannot be written, or the cells that are kept have their
            artifacts elsewhere.
        ParityError: an artifact does not compute what its reference does: nothing is written.
        ToolError, TargetUnreachable: of the first cell that could not be looked at; nothing is written.
    """
    baselines.check_writable(place)
    old = baselines.read(place) if keep_others and place.name in baselines.names(place.files) else None
    if old is not None and artifacts not in (None, old.artifacts):
        raise UsageError(
            f"the baseline `{place.location}` keeps its artifacts in `{old.artifacts}`, not in `{artifacts}`",
            "leave --artifacts out, or save every cell anew without --add",
        )
    kept_in = old.artifacts if old is not None else artifacts or baselines.DEFAULT_SHELF
    shelf = Shelf(place.shelf(kept_in))
    first = requests[0][2]
    study = StudyRequest(
        title="baseline",
        rows=(),
        choice=LOOK,
        threads=first.threads,
        weights_file=first.weights_file,
        no_cache=first.no_cache,
        allow_mismatch=False,
    )
    cache = ArtifactCache()
    cache = cache.throwaway() if first.no_cache else cache
    with Bench(study, cache, progress) as bench:
        cells = [
            _look(bench, shelf, request.cells[0], _asked(model, target, request, seed))
            for model, target, request in requests
        ]
    made = Baseline(
        name=place.name,
        created_utc=datetime.now(UTC).isoformat(timespec="seconds"),
        vitbench_version=__version__,
        sources=_sources(place),
        artifacts=kept_in,
        cells=tuple(cells),
    )
    whole = baselines.merged(old, made)
    baselines.write(place, whole)
    return whole


def _asked(model: str, target: str, request: Request, seed: int) -> Asked:
    workload = request.cells[0].workload
    # The resolution of a graph is its own; it takes no other.
    fixed = workload.model.family == "onnx" if is_source(model) else False
    return Asked(
        model=model,
        resolution=None if fixed else workload.model.resolution,
        batch=workload.batch,
        precision=workload.precision,
        target=target,
        seed=seed,
        weights_file=str(request.weights_file) if request.weights_file else None,
        threads=request.threads,
    )


def _look(bench: Bench, shelf: Shelf, cell: Cell, asked: Asked) -> BaselineCell:
    """One cell: its artifact kept, and a few short blocks for the estimate of what a gate will cost."""
    device = bench.device(cell, LOOK)
    header = make_header(device, bench.progress, bench.known)
    if header.parity is not None and not header.parity.passed:
        raise ParityError(
            f"{cell.label} fails parity: {header.parity.reason}", "a baseline must compute what it should"
        )
    iteration_ms, load_ms = _short_look(bench, device)
    bench.progress.stage(cell.label, "keeping the artifact")
    archive = shelf.put(device.artifact) if device.artifact is not None else None
    script = None if cell.target.sim is None else cell.target.sim.model_dump(mode="json")
    return BaselineCell(
        asked=asked,
        label=cell.label,
        model=cell.workload.model.name,
        resolution=cell.workload.model.resolution,
        target=cell.target.name,
        device=header.target.device,
        machine_key=str(header.environment["machine_key"]),
        runtime=header.target.runtime,
        runtime_version=header.target.runtime_version,
        simulated=header.simulated,
        protocol=header.protocol,
        counts=header.counts,
        digest=_digest(header, script),
        key=device.artifact.key if device.artifact is not None else None,
        archive=archive,
        artifact=header.artifact,
        parity=header.parity,
        script=script,
        latency_ms=iteration_ms,
        load_ms=load_ms,
    )


def _short_look(bench: Bench, device: Device) -> tuple[float, float]:
    """Median iteration and loading time in ms."""
    rounds, _ = measure.measure_rounds(
        [device.session],
        LOOK,
        threads=device.request.threads or device.cell.target.threads,
        on_progress=lambda seen: bench.progress.measuring(device.cell.label, seen),
        sleep=measure.no_sleep,
    )
    blocks = sorted(rounds[0], key=lambda block: block.median_ms)
    middle = blocks[len(blocks) // 2]
    return middle.median_ms, middle.load_ms


def _digest(header: Header, script: object) -> str:
    if header.artifact is not None:
        return header.artifact.digest
    if script is None:
        raise UsageError(
            f"target '{header.target.name}' runs no artifact, so there is none to keep", "name another target"
        )
    return hash_json(script)


def _sources(place: Place) -> Sources:
    """Commits that pin what the artifacts are made of; None where there is none, or files differ from it.

    Baselines are no such files: one that was saved a moment ago does not unpin the next.
    """
    project = Path(__file__).parents[2]
    found = [each.location for each in summaries(place) if each.baseline is not None]
    kept = [Path(location) for location in {place.location, *found}]
    is_checkout = (project / ".git").exists()
    return Sources(
        project=_pinned(environment.git_state(project, apart_from=kept)) if is_checkout else None,
        directory=_pinned(environment.git_state(Path.cwd(), apart_from=kept)),
    )


def _pinned(state: dict[str, object] | None) -> str | None:
    return str(state["commit"]) if state is not None and state["dirty"] is False else None
