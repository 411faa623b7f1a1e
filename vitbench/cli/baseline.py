"""`vitbench baseline`: what gates measure candidates beside."""

from __future__ import annotations

from typing import Annotated

import typer

from vitbench.cli.options import (
    BenchmarkBinary,
    Cores,
    Host,
    Json,
    Model,
    NoCache,
    Resolution,
    Results,
    Serial,
    Target,
    Weights,
    split,
)
from vitbench.cli.run import Precision

app = typer.Typer(help="Save, list, show or prune the baselines of gates.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(help="Name of the baseline, or path or URL of its document.")]
Artifacts = Annotated[
    str | None,
    typer.Option(
        "--artifacts",
        help="Where the artifacts are: a directory, as seen from the baseline's document, or an fsspec URL "
        "(default: artifacts/ beside it).",
    ),
]


@app.command("save")
def save(
    model: Model,
    target: Target,
    name: Name = "main",
    resolution: Resolution = None,
    batch: Annotated[int, typer.Option("--batch", "-b", min=1, help="Batch size.")] = 1,
    precision: Annotated[
        Precision | None, typer.Option(help="Number format (default: the target's).")
    ] = None,
    threads: Annotated[
        int | None, typer.Option(min=1, help="Threads of the runtime (default: the target's).")
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of the weights.")] = 0,
    weights: Weights = None,
    artifacts: Artifacts = None,
    add: Annotated[
        bool, typer.Option("--add", help="Keep the other cells of a baseline of this name.")
    ] = False,
    host: Host = None,
    serial: Serial = None,
    benchmark_binary: BenchmarkBinary = None,
    cluster: Cores = None,
    results: Results = "results",
    no_cache: NoCache = False,
    as_json: Json = False,
) -> None:
    """Build and check models on targets, and keep them as what gates measure candidates beside.

    The document goes to baselines/NAME.json of the results, and belongs into version control; the artifacts
    go beside it, or to a URL that every machine of the team reaches.

    Examples:

      vitbench baseline save -m effvit-b0,effvit-b1 -t cpu

      vitbench baseline save nightly -m effvit-b2 -t cpu --artifacts s3://bucket/vitbench
    """
    from vitbench.catalog import DeviceOptions
    from vitbench.cli.progress import TerminalProgress
    from vitbench.gate.baseline import place_of
    from vitbench.gate.save import requests_of
    from vitbench.pipeline.baseline import save_baseline
    from vitbench.report.gate.baselines import shown
    from vitbench.report.output import emit

    place = place_of(name, results)
    requests = requests_of(
        split(model),
        split(target),
        split(resolution),
        batch=batch,
        precision=precision.value if precision else None,
        threads=threads,
        seed=seed,
        weights=weights,
        no_cache=no_cache,
        device=DeviceOptions(serial, benchmark_binary, cluster, host),
    )
    with TerminalProgress() as progress:
        made = save_baseline(
            requests, place, progress, artifacts=artifacts or None, seed=seed, keep_others=add
        )
    emit(shown(made, place, as_json=as_json))


@app.command("list")
def list_baselines(results: Results = "results", as_json: Json = False) -> None:
    """List the baselines.

    Example: vitbench baseline list
    """
    from vitbench.gate.baseline import place_of
    from vitbench.gate.listing import summaries
    from vitbench.report.gate.baselines import listed
    from vitbench.report.output import emit

    emit(listed(summaries(place_of("main", results)), as_json=as_json))


@app.command("show")
def show(name: Name = "main", results: Results = "results", as_json: Json = False) -> None:
    """Show the cells of a baseline, and which of its artifacts are there.

    Example: vitbench baseline show main
    """
    from vitbench.gate.baseline import place_of, read
    from vitbench.report.gate.baselines import shown
    from vitbench.report.output import emit

    place = place_of(name, results)
    emit(shown(read(place), place, as_json=as_json))


@app.command("prune")
def prune(
    names: Annotated[list[str] | None, typer.Argument(help="Baselines to remove first, by name.")] = None,
    results: Results = "results",
    artifacts: Artifacts = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be removed.")] = False,
    as_json: Json = False,
) -> None:
    """Remove baselines, and the artifacts that no baseline names any more.

    Artifacts beside the baselines only: those elsewhere, which others may name, with --artifacts.

    Examples:

      vitbench baseline prune --dry-run

      vitbench baseline prune old-release
    """
    from vitbench.gate import listing
    from vitbench.gate.baseline import place_of
    from vitbench.report.gate.baselines import pruned
    from vitbench.report.output import emit

    done = listing.prune(place_of("main", results), names or [], artifacts, dry_run=dry_run)
    emit(pruned(done, as_json=as_json))
