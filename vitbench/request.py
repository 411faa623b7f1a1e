"""What a `run` asks for: options as text to a checked matrix of cells."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Literal, cast

from vitbench import catalog
from vitbench.catalog import DeviceOptions, ModelSpec, TargetSpec, Workload
from vitbench.catalog.elsewhere import own_weights
from vitbench.catalog.specs import Metric
from vitbench.errors import UsageError
from vitbench.measure.plan import Preset, make_plan
from vitbench.records.schema import Plan


@dataclass(frozen=True)
class Cell:
    """One workload on one target, and what is measured of it."""

    workload: Workload
    target: TargetSpec
    metric: Metric = "latency"

    @property
    def key(self) -> str:
        """Equal for cells that are the same, however they were named."""
        return self.workload.model_dump_json() + self.target.model_dump_json() + self.metric

    @property
    def label(self) -> str:
        """`effvit-b2:224x224 on cpu`; with the metric where the target has several."""
        metric = f", {self.metric}" if len(self.target.metrics) > 1 else ""
        return f"{self.workload.label} on {self.target.name}{metric}"


@dataclass(frozen=True)
class Request:
    """A matrix of cells and how each is measured.

    `auto_batch`: each cell's batch is where a doubling search starts, instead of the batch itself.
    """

    cells: tuple[Cell, ...]
    plan: Plan
    threads: int | None
    weights_file: Path | None
    no_cache: bool
    auto_batch: bool = False


def parse_request(
    *,
    models: Sequence[str],
    targets: Sequence[str],
    resolutions: Sequence[str] = (),
    batches: Sequence[str] = (),
    attention: str | None = None,
    upsample: str | None = None,
    part: str | None = None,
    precision: str | None = None,
    metric: Metric | None = "latency",
    threads: int | None = None,
    blocks: int | None = None,
    ci_width: str | None = None,
    cell_limit_s: float | None = None,
    protocol: str | None = None,
    quick: bool = False,
    seed: int = 0,
    weights: Path | None = None,
    no_cache: bool = False,
    device: DeviceOptions | None = None,
) -> Request:
    """Check every option before anything is built.

    Args:
        models, targets: names; see `catalog.resolve_model` and `catalog.resolve_target`.
        resolutions: `224` or `512x1024`; the published one when empty.
        metric: of every cell; those that each target is measured by when None.
        batches: positive integers, or `auto` alone with `metric="throughput"`; 1 when empty.
        ci_width: half-width of a block's 95 % interval, `1%` or `0.01`.
        cell_limit_s: a cell that would take longer is not measured; None for no limit.
        protocol: `serial`, or `paper` where the runtime has it; the target's when None.
        device: which phone or board is meant, and how it is used.
        seed: of the weights (those of `weights` when given) and of everything drawn.

    Raises:
        UsageError: the first option that does not fit.
    """
    if not models:
        raise UsageError("no model named", "add --model NAME; `vitbench models` lists them")
    if not targets:
        raise UsageError("no target named", "add --target NAME; `vitbench targets` lists them")
    sizes: list[tuple[int, int] | None] = [catalog.parse_resolution(text) for text in resolutions]
    auto = list(batches) == ["auto"]
    if auto and metric != "throughput":
        raise UsageError(
            "--batch auto searches for the best throughput", "add --metric throughput, or name batches"
        )
    batch_sizes = [1] if auto or not batches else [_batch(text) for text in batches]
    found = [catalog.resolve_target(name) for name in targets]
    target_specs = device.apply(found) if device else found
    if protocol is not None:
        target_specs = [_timed_by(protocol, target) for target in target_specs]
    model_specs = [
        catalog.resolve_model(name, resolution=size, attention=attention, upsample=upsample, part=part)
        for name, size in product(models, sizes or [None])
    ]
    source = f"sha256:{_sha256(weights)}" if weights else f"seeded:{seed}"
    cells = [
        Cell(_workload(model, batch, precision, source, target), target, one)
        for model, batch, target in product(model_specs, batch_sizes, target_specs)
        for one in ((metric,) if metric else target.metrics)
    ]
    _refuse_namesakes(target_specs)
    preset = _preset(cells, quick=quick)
    return Request(
        cells=tuple({cell.key: cell for cell in cells}.values()),
        plan=make_plan(
            preset,
            blocks=blocks,
            ci_width=parse_ratio(ci_width) if ci_width is not None else None,
            cell_limit_s=cell_limit_s,
            seed=seed,
        ),
        threads=threads,
        weights_file=weights,
        no_cache=no_cache,
        auto_batch=auto,
    )


def _timed_by(protocol: str, target: TargetSpec) -> TargetSpec:
    """A target whose requests are timed in a given way."""
    from vitbench import runtime

    known = runtime.for_target(target).protocols
    if protocol not in known:
        raise UsageError(
            f"the {target.runtime} runtime of {target.name} knows no protocol '{protocol}', "
            f"only {', '.join(known)}",
            "drop --protocol; `paper` is of targets whose runtime is trtexec",
        )
    if len(known) == 1:
        return target
    return target.model_copy(update={"options": {**target.options, "protocol": protocol}})


def _preset(cells: Sequence[Cell], *, quick: bool) -> Preset:
    """How much is sampled; the protocol of the paper says that itself."""
    paper = [cell for cell in cells if cell.target.options.get("protocol") == "paper"]
    if not paper:
        return "quick" if quick else "full"
    if quick:
        raise UsageError(
            "the protocol of the paper times 100 requests, no fewer", "use --blocks 2 for a first look"
        )
    if len(paper) < len(cells):
        others = sorted({cell.target.name for cell in cells if cell not in paper})
        raise UsageError(
            f"{', '.join(others)} cannot be measured together with targets of the paper's protocol",
            "measure them in a run of their own",
        )
    if wrong := [cell for cell in paper if cell.workload.precision != "fp16" or cell.metric != "latency"]:
        raise UsageError(
            f"the protocol of the paper is of latency in fp16, not as asked for {wrong[0].label}",
            "add --precision fp16, and drop --metric",
        )
    return "paper"


def _workload(
    model: ModelSpec, batch: int, precision: str | None, weights: str, target: TargetSpec
) -> Workload:
    chosen = _precision(model, precision) or precision or target.precision
    if target.simulated and not weights.startswith("seeded:"):
        raise UsageError(
            f"target '{target.name}' runs no network, so weights mean nothing there", "drop --weights"
        )
    if model.own_weights:
        weights = _own_weights(model, batch, weights)
    if target.runtime == "onnxruntime" and chosen == "fp16" and model.family != "onnx":
        raise UsageError(
            f"fp16 on {target.name} would mean nothing: ONNX Runtime runs fp16 graphs in fp32 on a CPU",
            "drop --precision fp16",
        )
    return Workload(
        model=model, batch=batch, precision=cast(Literal["fp32", "fp16"], chosen), weights=weights
    )


def _precision(model: ModelSpec, asked: str | None) -> str | None:
    """The precision of a graph that was given, which has one; None for a network that is exported in any."""
    fixed: str | None = model.hyper.get("precision") if model.family == "onnx" else None
    if fixed and asked and asked != fixed:
        raise UsageError(f"{model.name} is a graph in {fixed}, not {asked}", "drop --precision")
    return fixed


def _own_weights(model: ModelSpec, batch: int, weights: str) -> str:
    """What stands for the weights of a network that brings them, which takes no others."""
    if not weights.startswith("seeded:"):
        raise UsageError(f"{model.name} brings its own weights", "drop --weights")
    fixed = model.hyper.get("batch", batch)
    if batch != fixed:
        raise UsageError(f"{model.name} is a graph for batch {fixed}, not {batch}", f"give --batch {fixed}")
    return own_weights(model.hyper)


def _refuse_namesakes(targets: Sequence[TargetSpec]) -> None:
    known: dict[str, TargetSpec] = {}
    for target in targets:
        if known.setdefault(target.name, target) != target:
            raise UsageError(f"two different targets are both named '{target.name}'", "give one another name")


def _sha256(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise UsageError(f"cannot read weights {path}: {error.strerror}") from error


def _batch(text: str) -> int:
    try:
        batch = int(text)
    except ValueError:
        batch = 0
    if batch < 1:
        raise UsageError(f"batch '{text}' is not a positive integer", "write --batch 1,8,32")
    return batch


def parse_ratio(text: str) -> float:
    """Read `1%` or `0.01` as a fraction.

    Raises:
        UsageError: not a number.
    """
    try:
        return float(text.removesuffix("%")) / 100 if text.endswith("%") else float(text)
    except ValueError:
        raise UsageError(f"'{text}' is not a width", "write it as 1% or 0.01") from None
