"""`vitbench calibrate`: what a gate can see on a device."""

from __future__ import annotations

from typing import Annotated

import typer

from vitbench.cli.options import (
    BenchmarkBinary,
    Cores,
    Host,
    Json,
    NoCache,
    Resolution,
    Results,
    Serial,
    Weights,
    split,
)


def calibrate(
    target: Annotated[
        list[str] | None,
        typer.Option("--target", "-t", help="Targets, with commas (default: the baseline's, or cpu)."),
    ] = None,
    model: Annotated[
        list[str] | None,
        typer.Option("--model", "-m", help="Models, with commas (default: the cells of the baseline)."),
    ] = None,
    resolution: Resolution = None,
    baseline: Annotated[
        str | None,
        typer.Option(
            "--baseline", help="The baseline whose cells are meant (default: gate.toml's, or main)."
        ),
    ] = None,
    pairs: Annotated[int, typer.Option(min=8, max=500, help="Pairs of each cell with itself.")] = 20,
    threads: Annotated[
        int | None, typer.Option(min=1, help="Threads of the runtime (default: the target's).")
    ] = None,
    seed: Annotated[
        int, typer.Option(min=0, help="Seed of the order in pairs; with --model, of the weights.")
    ] = 0,
    weights: Weights = None,
    host: Host = None,
    serial: Serial = None,
    benchmark_binary: BenchmarkBinary = None,
    cluster: Cores = None,
    results: Results = "results",
    no_cache: NoCache = False,
    as_json: Json = False,
) -> None:
    """Measure cells in pairs with themselves, and propose the gate that fits their noise.

    Shows the noise, the pairs K and the limit d that fit it, the smallest slowdown that is then seen with
    power 0.95, and how often a gate of all these cells passes when nothing changed.

    Examples:

      vitbench calibrate -t orin

      vitbench calibrate -m effvit-b0,effvit-b1 -t cpu --pairs 30
    """
    from vitbench.catalog import DeviceOptions
    from vitbench.cli.progress import TerminalProgress
    from vitbench.gate.save import requests_for_calibration
    from vitbench.pipeline.calibrate import calibrate as measure
    from vitbench.report.gate import calibration
    from vitbench.report.output import emit

    requests = requests_for_calibration(
        split(model),
        split(target),
        split(resolution),
        baseline=baseline,
        results=results,
        threads=threads,
        seed=seed,
        weights=weights,
        no_cache=no_cache,
        device=DeviceOptions(serial, benchmark_binary, cluster, host),
    )
    with TerminalProgress() as progress:
        found = measure(requests, results, progress, pairs=pairs, seed=seed)
    emit(calibration.as_json(found) if as_json else calibration.as_text(found))
    raise typer.Exit(found.exit_code)
