"""`vitbench cache`: the exported artifacts on this machine."""

from __future__ import annotations

import math
from typing import Annotated

import typer

from vitbench.cli.options import Json
from vitbench.errors import ExitCode, UsageError

app = typer.Typer(help="List, verify or prune the cached artifacts.", no_args_is_help=True)


@app.command("list")
def list_entries(as_json: Json = False) -> None:
    """List the artifacts, least recently used first.

    Example: vitbench cache list --json
    """
    from vitbench.export.cache import ArtifactCache
    from vitbench.report import artifacts
    from vitbench.report.output import emit

    cache = ArtifactCache()
    emit(artifacts.listing(cache.root, cache.entries(), as_json=as_json))


@app.command("verify")
def verify(as_json: Json = False) -> None:
    """Hash every cached file again.

    Exit code 3 when an artifact is damaged; the next run that needs it builds it again.

    Example: vitbench cache verify
    """
    from vitbench.export.cache import ArtifactCache
    from vitbench.report import artifacts
    from vitbench.report.output import emit

    cache = ArtifactCache()
    entries = cache.entries(verify=True)
    emit(artifacts.listing(cache.root, entries, as_json=as_json))
    if any(entry.problem for entry in entries):
        raise typer.Exit(int(ExitCode.INCONCLUSIVE))


@app.command("prune")
def prune(
    unused_for: Annotated[
        float | None, typer.Option("--unused-for", help="Remove what was not used for so many days.", min=0)
    ] = None,
    max_size: Annotated[
        float | None, typer.Option("--max-size", help="Keep the most recently used up to so many MB.", min=0)
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="Remove everything that is not in use.")] = False,
    as_json: Json = False,
) -> None:
    """Remove artifacts that no process uses.

    What killed exports left behind goes as well.

    Examples:

      vitbench cache prune --unused-for 30

      vitbench cache prune --max-size 2000

      vitbench cache prune --all
    """
    from vitbench.export.cache import ArtifactCache
    from vitbench.report import artifacts
    from vitbench.report.output import emit

    if unused_for is None and max_size is None and not everything:
        raise UsageError("nothing said of what to remove", "add --unused-for DAYS, --max-size MB or --all")
    pruned = ArtifactCache().prune(
        unused_for_s=None if unused_for is None else _times("--unused-for", unused_for, 86400),
        max_bytes=None if max_size is None else int(_times("--max-size", max_size, 1e6)),
        everything=everything,
    )
    emit(artifacts.pruned(pruned, as_json=as_json))


def _times(option: str, value: float, factor: float) -> float:
    product = value * factor
    if not math.isfinite(product):
        raise UsageError(f"{option} {value:g} is not a number to count with", "give a number, for example 30")
    return product
