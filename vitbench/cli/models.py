"""`vitbench models`: what there is to measure."""

from __future__ import annotations

from typing import Annotated

import typer

from vitbench.cli.options import Attention, Json

app = typer.Typer(help="List the models, or show one with its counts.")


@app.callback(invoke_without_command=True)
def models(context: typer.Context, as_json: Json = False) -> None:
    """List the models.

    Examples: vitbench models | vitbench models show effvit-b2 --resolution 256 --json
    """
    if context.invoked_subcommand is not None:
        return
    from vitbench import catalog
    from vitbench.report import facts
    from vitbench.report.output import emit

    emit(facts.model_list(catalog.load_families(), as_json=as_json))


@app.command("show")
def show(
    name: Annotated[str, typer.Argument(help="Model name, for example effvit-b2+softmax:256.")],
    resolution: Annotated[
        str | None, typer.Option("--resolution", "-r", help="HEIGHTxWIDTH or one side.")
    ] = None,
    attention: Attention = None,
    as_json: Json = False,
) -> None:
    """Show a model: parameters, MACs, memory traffic, and the published figures beside them.

    Example: vitbench models show effvit-b2 --resolution 256 --json
    """
    from vitbench import catalog, pipeline
    from vitbench.report import facts
    from vitbench.report.output import emit

    size = catalog.parse_resolution(resolution) if resolution else None
    spec = catalog.resolve_model(name, resolution=size, attention=attention)
    emit(facts.model(pipeline.describe_model(spec), as_json=as_json))
