"""`vitbench export`: the artifact of a model, checked, without measuring it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from vitbench.cli.options import Attention, Json, NoCache, Part, Upsample, Weights
from vitbench.cli.run import Precision
from vitbench.errors import ExitCode


def export(
    model: Annotated[str, typer.Option("--model", "-m", help="Model name.")],
    target: Annotated[str, typer.Option("--target", "-t", help="Target the artifact is for.")] = "cpu",
    resolution: Annotated[
        str | None, typer.Option("--resolution", "-r", help="HEIGHTxWIDTH or one side.")
    ] = None,
    batch: Annotated[int, typer.Option("--batch", "-b", help="Batch size of the static graph.")] = 1,
    precision: Annotated[
        Precision | None, typer.Option(help="Number format (default: the target's).")
    ] = None,
    attention: Attention = None,
    upsample: Upsample = None,
    part: Part = None,
    weights: Weights = None,
    seed: Annotated[int, typer.Option(help="Seed of the weights.")] = 0,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Directory to copy the artifact to.")
    ] = None,
    as_json: Json = False,
    no_cache: NoCache = False,
) -> None:
    """Export a model for a target and check it against PyTorch.

    Examples:

      vitbench export -m effvit-b1 -t cpu

      vitbench export -m effvit-b1+softmax:512 -o exported/

      vitbench export -m effvit-sam-l0 --part decoder -o exported/
    """
    from vitbench import pipeline
    from vitbench.cli.progress import TerminalProgress
    from vitbench.report import artifacts
    from vitbench.report.output import emit
    from vitbench.request import parse_request

    request = parse_request(
        models=[model],
        targets=[target],
        resolutions=[resolution] if resolution else (),
        batches=[str(batch)],
        precision=precision.value if precision else None,
        attention=attention,
        upsample=upsample,
        part=part,
        seed=seed,
        weights=weights,
        no_cache=no_cache,
    )
    with TerminalProgress() as progress:
        artifact, parity, where = pipeline.export(request, output, progress)
    emit(artifacts.exported(artifact, parity, where, as_json=as_json))
    if not parity.passed:
        raise typer.Exit(int(ExitCode.INCONCLUSIVE))
