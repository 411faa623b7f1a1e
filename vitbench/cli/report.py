"""`vitbench report`: what was measured, as a table, as data or as a page, and in plots."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from vitbench.cli.options import Json, split
from vitbench.remarks import remark


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
        typer.Option("--format", "-f", help="table, markdown, csv, json or html (default: table)."),
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
    plots: Annotated[
        Path | None, typer.Option("--plots", help="Write every plot as PNG and SVG into this directory.")
    ] = None,
    timings: Annotated[
        bool, typer.Option("--timings", help="Show where the time of comparisons went.")
    ] = False,
    history: Annotated[
        str | None,
        typer.Option(
            "--history",
            help="Show every session of these models over time, changes of level marked: effvit-b2.",
        ),
    ] = None,
    results: Annotated[
        str, typer.Option("--results", help="Where the records are: a directory, or an fsspec URL.")
    ] = "results",
) -> None:
    """Show what was measured.

    The newest record of each cell, whatever its status: runs, then comparisons.

    Data goes to standard output, remarks to standard error.

    Exit code 0: something is shown. 3: nothing such was measured.

    2: a file could not be read; what could be is shown.

    Examples:

      vitbench report

      vitbench report -m 'effvit-b*' -t cpu --since 7d --format markdown

      vitbench report --all --format csv --output records.csv

      vitbench report --format html --output report.html --plots plots

      vitbench report --history effvit-b2 -t cpu
    """
    if history is not None:
        from vitbench.report.gate.history import show

        raise typer.Exit(
            show(results, history, split(target), simulated, "json" if as_json else form or "table", output)
        )
    from vitbench.records.store import Store
    from vitbench.report.collect import collect
    from vitbench.report.files import write_stored_plots
    from vitbench.report.output import chosen_format, write
    from vitbench.report.plots.figure import check_plots
    from vitbench.report.select import filters

    form = chosen_format(form, as_json=as_json)
    asked = filters(split(model), split(target), split(status), since, simulated=simulated, every=every)
    if plots:
        check_plots()
    store = Store(results)
    found = collect(store, asked)
    write(found.rows, found.comparisons, form, output, split(columns), timings=timings)
    messages = [*found.messages]
    if plots and found.shown:
        messages += write_stored_plots(plots, store, found.rows, found.comparisons)
    if messages:
        remark("\n".join(messages))
    raise typer.Exit(int(found.exit_code))
