"""`vitbench targets`: where it can be measured."""

from __future__ import annotations

from typing import Annotated

import typer

from vitbench.cli.options import Json

app = typer.Typer(help="List the targets, or show one.")


@app.callback(invoke_without_command=True)
def targets(context: typer.Context, as_json: Json = False) -> None:
    """List the targets.

    Examples: vitbench targets | vitbench targets show cpu
    """
    if context.invoked_subcommand is not None:
        return
    from vitbench import catalog
    from vitbench.report import facts
    from vitbench.report.output import emit

    emit(facts.target_list(catalog.load_targets(), as_json=as_json))


@app.command("show")
def show(
    name: Annotated[str, typer.Argument(help="Target name or TOML file.")],
    as_json: Json = False,
) -> None:
    """Show a target: how it is reached, its runtime and its protocol.

    Example: vitbench targets show cpu --json
    """
    from vitbench import catalog
    from vitbench.report import facts
    from vitbench.report.output import emit

    emit(facts.target(catalog.resolve_target(name), as_json=as_json))
