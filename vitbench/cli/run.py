"""`vitbench run`: measure models on targets and record what was seen."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from vitbench.cli.options import (
    Attention,
    BenchmarkBinary,
    Cores,
    Host,
    Json,
    LockClocks,
    Model,
    NoCache,
    Part,
    Resolution,
    Results,
    Serial,
    Target,
    Upsample,
    Weights,
    split,
)
from vitbench.remarks import remark


class Metric(StrEnum):
    """What is timed."""

    LATENCY = "latency"
    THROUGHPUT = "throughput"


class Precision(StrEnum):
    """Number format of the artifact."""

    FP32 = "fp32"
    FP16 = "fp16"


class Timing(StrEnum):
    """How requests are timed."""

    SERIAL = "serial"
    PAPER = "paper"


def run(
    model: Model,
    target: Target,
    resolution: Resolution = None,
    batch: Annotated[
        list[str] | None, typer.Option("--batch", "-b", help="Batch sizes: 1,8,32, or auto with throughput.")
    ] = None,
    attention: Attention = None,
    upsample: Upsample = None,
    part: Part = None,
    precision: Annotated[
        Precision | None, typer.Option(help="Number format (default: the target's).")
    ] = None,
    metric: Annotated[
        Metric | None,
        typer.Option(help="Latency of one request, or images per second (default: the target's)."),
    ] = None,
    threads: Annotated[
        int | None, typer.Option(min=1, help="Threads of the runtime (default: the target's).")
    ] = None,
    blocks: Annotated[int | None, typer.Option(min=1, help="Fresh processes per cell (default: 5).")] = None,
    ci_width: Annotated[
        str | None, typer.Option("--ci-width", help="Half-width of a block's 95 % interval (default: 1%).")
    ] = None,
    protocol: Annotated[
        Timing | None,
        typer.Option(help="serial: one request at a time; paper: trtexec as the authors ran it."),
    ] = None,
    quick: Annotated[
        bool, typer.Option("--quick", help="A first look: 2 short blocks, never valid.")
    ] = False,
    cell_limit: Annotated[
        float | None,
        typer.Option("--cell-limit", help="Do not measure a cell that would take longer, in seconds."),
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of the weights.")] = 0,
    weights: Weights = None,
    host: Host = None,
    serial: Serial = None,
    benchmark_binary: BenchmarkBinary = None,
    cluster: Cores = None,
    lock_clocks: LockClocks = None,
    results: Results = "results",
    as_json: Json = False,
    no_cache: NoCache = False,
    allow_inconclusive: Annotated[
        bool, typer.Option("--allow-inconclusive", help="Exit 0 instead of 3 when a cell is not valid.")
    ] = False,
) -> None:
    """Measure models on targets: export, check, measure, record, table.

    Several models, targets, resolutions and batches make a matrix. Data goes to stdout, the rest to stderr.

    Examples:

      vitbench run --model effvit-b2 --target cpu

      vitbench run -m effvit-b1,effvit-b1+softmax -t cpu --resolution 224,512 --quick

      vitbench run -m effvit-b0 -t cpu --metric throughput --batch auto --threads 2

      vitbench run -m effvit-b1 -t orin-trtexec --protocol paper
    """
    from vitbench import pipeline
    from vitbench.catalog import DeviceOptions
    from vitbench.cli.progress import TerminalProgress
    from vitbench.report import render_records
    from vitbench.report.output import emit
    from vitbench.request import parse_request

    request = parse_request(
        models=split(model),
        targets=split(target),
        resolutions=split(resolution),
        batches=split(batch),
        attention=attention,
        upsample=upsample,
        part=part,
        precision=precision,
        metric=metric.value if metric else None,
        threads=threads,
        blocks=blocks,
        ci_width=ci_width,
        cell_limit_s=cell_limit,
        protocol=protocol.value if protocol else None,
        quick=quick,
        seed=seed,
        weights=weights,
        no_cache=no_cache,
        device=DeviceOptions(serial, benchmark_binary, cluster, host, lock_clocks),
    )
    with TerminalProgress() as progress:
        outcome = pipeline.run(request, results, progress)
    if outcome.interrupted:
        remark("interrupted; what was finished is recorded")
    emit(render_records(outcome.records, "json" if as_json else "table"))
    raise typer.Exit(outcome.exit_code(allow_inconclusive=allow_inconclusive))
