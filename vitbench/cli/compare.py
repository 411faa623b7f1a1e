"""`vitbench compare`: two sides measured in pairs, and how sure their ratio is."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from vitbench.cli.options import (
    BenchmarkBinary,
    Cores,
    Host,
    Json,
    LockClocks,
    NoCache,
    Resolution,
    Results,
    Serial,
    Weights,
    split,
)
from vitbench.cli.run import Precision
from vitbench.remarks import remark


def compare(
    names: Annotated[
        list[str],
        typer.Argument(
            help="Two or more attention kinds, token mixers, models, ONNX files or records; each is compared "
            "with the first. kind: or model: before a name forces one.",
        ),
    ],
    target: Annotated[
        list[str] | None,
        typer.Option("--target", "-t", help="Target name or TOML file, or several (default: cpu)."),
    ] = None,
    tokens: Annotated[
        list[str] | None,
        typer.Option("--tokens", help="Grids of the attention block: 7x7,14x14,32x64, or 196."),
    ] = None,
    block: Annotated[
        str, typer.Option("--block", help="HEADSxDIM of the attention block (default: EfficientViT-B1's).")
    ] = "8x16",
    model: Annotated[
        list[str] | None,
        typer.Option("--model", "-m", help="Swap the kind in these whole networks: effvit-b1."),
    ] = None,
    resolution: Resolution = None,
    batch: Annotated[str | None, typer.Option("--batch", "-b", help="Batch size.")] = None,
    precision: Annotated[
        Precision | None, typer.Option(help="Number format (default: the target's).")
    ] = None,
    threads: Annotated[
        int | None, typer.Option(min=1, help="Threads of the runtime (default: the target's).")
    ] = None,
    pairs: Annotated[int | None, typer.Option(min=1, help="Pairs of each comparison (default: 10).")] = None,
    quick: Annotated[bool, typer.Option("--quick", help="A first look: 6 short pairs, never valid.")] = False,
    full: Annotated[
        bool, typer.Option("--full", help="More token counts or resolutions, and whole networks.")
    ] = False,
    seed: Annotated[int, typer.Option(help="Seed of the weights and of the order in pairs.")] = 0,
    weights: Weights = None,
    host: Host = None,
    serial: Serial = None,
    benchmark_binary: BenchmarkBinary = None,
    cluster: Cores = None,
    lock_clocks: LockClocks = None,
    results: Results = "results",
    report: Annotated[
        Path | None,
        typer.Option("--report", help="Write report.md, .csv, .json and .html into this directory."),
    ] = None,
    plots: Annotated[
        Path | None, typer.Option("--plots", help="Write every plot as PNG and SVG into this directory.")
    ] = None,
    profile: Annotated[
        bool,
        typer.Option("--profile", help="Show the share of attention in the time of all layers as well."),
    ] = False,
    timings: Annotated[bool, typer.Option("--timings", help="Show where the wall time went.")] = False,
    as_json: Json = False,
    no_cache: NoCache = False,
    allow_protocol_mismatch: Annotated[
        bool,
        typer.Option("--allow-protocol-mismatch", help="Compare what was measured in different ways."),
    ] = False,
    allow_inconclusive: Annotated[
        bool, typer.Option("--allow-inconclusive", help="Exit 0 instead of 3 when a row is not valid.")
    ] = False,
) -> None:
    """Measure sides in pairs and show their ratio with its 95 % interval.

    Attention kinds are compared in the attention block alone, at the same width and at equal MACs, over
    token counts; with --model in whole networks.

    Examples:

      vitbench compare softmax relu --target cpu

      vitbench compare softmax relu --model effvit-b1 --resolution 224,512

      vitbench compare softmax relu --model effvit-b1 --profile

      vitbench compare effvit-b1-cityscapes segformer-b1-cityscapes -t cpu -r 512x1024

      vitbench compare fastvit-sa12@train fastvit-sa12 --pairs 20
    """
    from vitbench import pipeline
    from vitbench.catalog import DeviceOptions
    from vitbench.cli.progress import TerminalProgress
    from vitbench.report import check_plots, show_comparisons
    from vitbench.study.request import Asked, parse_study
    from vitbench.study.stored import are_records, compare_files

    if plots:
        check_plots()
    show = partial(
        show_comparisons, form="json" if as_json else "table", timings=timings, report=report, plots=plots
    )
    if are_records(names):
        show(compare_files(names, allow_mismatch=allow_protocol_mismatch))
        return
    request = parse_study(
        names,
        Asked(
            targets=tuple(split(target)) or ("cpu",),
            tokens=tuple(split(tokens)),
            block=block,
            models=tuple(split(model)),
            resolutions=tuple(split(resolution)),
            batch=batch,
            precision=precision.value if precision else None,
            threads=threads,
            pairs=pairs,
            seed=seed,
            quick=quick,
            full=full,
            weights=weights,
            no_cache=no_cache,
            allow_mismatch=allow_protocol_mismatch,
            profile=profile,
            device=DeviceOptions(serial, benchmark_binary, cluster, host, lock_clocks),
        ),
    )
    with TerminalProgress() as progress:
        outcome = pipeline.compare(request, results, progress)
    if outcome.interrupted:
        remark("interrupted; what was finished is recorded")
    show(outcome.comparisons)
    raise typer.Exit(outcome.exit_code(allow_inconclusive=allow_inconclusive))
