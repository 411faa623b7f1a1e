"""`vitbench models`: what there is to measure."""

from __future__ import annotations

from typing import Annotated

import typer

from vitbench.cli.options import Attention, Json, Part, Upsample
from vitbench.errors import ExitCode

app = typer.Typer(help="List the models, or show them with their counts.")


@app.callback(invoke_without_command=True)
def models(context: typer.Context, as_json: Json = False) -> None:
    """List the models.

    Examples: vitbench models | vitbench models show effvit-b2 --resolution 256 --json
    """
    if context.invoked_subcommand is not None:
        return
    import sys

    from vitbench import catalog
    from vitbench.report import Screen
    from vitbench.report.models import model_list
    from vitbench.report.output import emit

    emit(model_list(catalog.load_families(), Screen.of(sys.stdout), as_json=as_json))


@app.command("show")
def show(
    name: Annotated[str, typer.Argument(help="Model name, for example effvit-b2+softmax:256.")],
    resolution: Annotated[
        str | None, typer.Option("--resolution", "-r", help="HEIGHTxWIDTH or one side.")
    ] = None,
    attention: Attention = None,
    upsample: Upsample = None,
    part: Part = None,
    as_json: Json = False,
) -> None:
    """Show a model: parameters, MACs, memory traffic, and the published figures beside them.

    Examples:

      vitbench models show effvit-b2 --resolution 256 --json

      vitbench models show effvit-sam-l0 --part decoder
    """
    import sys

    from vitbench import catalog
    from vitbench.describe import describe_model
    from vitbench.report import Screen
    from vitbench.report.models import model
    from vitbench.report.output import emit

    size = catalog.parse_resolution(resolution) if resolution else None
    spec = catalog.resolve_model(name, resolution=size, attention=attention, upsample=upsample, part=part)
    emit(model(describe_model(spec), Screen.of(sys.stdout), as_json=as_json))


@app.command("table")
def table(
    family: Annotated[str | None, typer.Option("--family", help="Only this family.")] = None,
    as_json: Json = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print CSV on stdout.")] = False,
    as_markdown: Annotated[bool, typer.Option("--markdown", help="Print Markdown on stdout.")] = False,
    check: Annotated[
        bool, typer.Option("--check", help="Exit 1 when a count differs from the reference implementation.")
    ] = False,
) -> None:
    """Count every model and show it beside its reference implementation and the published figures.

    Every variant at its published resolution, and wherever the reference was counted. Takes minutes.

    Examples:

      vitbench models table --family segformer

      vitbench models table --check --csv > counts.csv
    """
    import sys

    from vitbench import describe
    from vitbench.cli.progress import TerminalProgress
    from vitbench.report import zoo
    from vitbench.report.output import emit

    form = zoo.chosen_format(as_json=as_json, as_csv=as_csv, as_markdown=as_markdown)
    specs = describe.table_specs(family)
    described = []
    with TerminalProgress() as progress:
        for number, spec in enumerate(specs, 1):
            progress.stage(f"{number}/{len(specs)}", f"counting {spec.name}")
            described.append(describe.describe_model(spec))
    emit(zoo.render(described, form, zoo.screen_of(sys.stdout)))
    if check and any(map(describe.differs, described)):
        raise typer.Exit(int(ExitCode.REGRESSION))
