"""`vitbench report`: what was measured, as a table or as data."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from vitbench.cli.options import Json, split


def report(
    model: Annotated[
        list[str] | None,
        typer.Option(
            "--model", "-m", help="Models to show, with commas; * stands for anything: effvit-b*:512."
        ),
    ] = None,
    target: Annotated[
        list[str] | None, typer.Option("--target", "-t", help="Targets to show, with commas.")
    ] = None,
    status: Annotated[
        list[str] | None,
        typer.Option("--status", help="Only these: valid, unsteady, inconclusive, parity-failed."),
    ] = None,
    since: Annotated[
        str | None, typer.Option("--since", help="Only newer ones: 2026-11-21, 2026-11-21T08:15, 7d, 12h.")
    ] = None,
    every: Annotated[
        bool, typer.Option("--all", help="Show older records of a cell beside its newest.")
    ] = False,
    simulated: Annotated[bool, typer.Option("--simulated", help="Show scripted targets too.")] = False,
    form: Annotated[
        str | None,
        typer.Option("--format", "-f", help="table, markdown, csv or json (default: table)."),
    ] = None,
    columns: Annotated[
        list[str] | None,
        typer.Option(
            "--columns",
            help="Columns of a table or of Markdown: value,gmacs,params,rate,parity,size,nodes,export, ...",
        ),
    ] = None,
    as_json: Json = False,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Write to this file instead of standard output.")
    ] = None,
    results: Annotated[
        str, typer.Option("--results", help="Where the records are: a directory, or an fsspec URL.")
    ] = "results",
) -> None:
    """Show what was measured.

    The newest record of each cell, whatever its status.

    Data goes to standard output, remarks to standard error.

    Exit code 0: something is shown. 3: nothing such was measured.

    2: a file could not be read; what could be is shown.

    Examples:

      vitbench report

      vitbench report -m 'effvit-b*' -t cpu --since 7d --format markdown

      vitbench report --all --format csv --output records.csv
    """
    from vitbench.records.store import Store
    from vitbench.report.collect import collect
    from vitbench.report.output import chosen_format, write
    from vitbench.report.select import filters

    form = chosen_format(form, as_json=as_json)
    asked = filters(split(model), split(target), split(status), since, simulated=simulated, every=every)
    found = collect(Store(results), asked)
    write(found.rows, form, output, split(columns))
    typer.echo("\n".join(found.messages), err=True, nl=bool(found.messages))
    raise typer.Exit(int(found.exit_code))
