"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Model = Annotated[
    list[str],
    typer.Option(
        "--model",
        "-m",
        help="Model name, or several with commas: effvit-b1,effvit-b2+softmax,timm:resnet50,onnx:net.onnx.",
    ),
]
Target = Annotated[
    list[str], typer.Option("--target", "-t", help="Target name or TOML file, or several with commas.")
]
Resolution = Annotated[
    list[str] | None,
    typer.Option("--resolution", "-r", help="HEIGHTxWIDTH or one side, or several: 224,512x1024."),
]
Attention = Annotated[
    str | None,
    typer.Option("--attention", help="Attention kind or token mixer of the family: softmax, pool, ..."),
]
Upsample = Annotated[
    str | None, typer.Option("--upsample", help="Way of upsampling of the family: bicubic, bilinear.")
]
Part = Annotated[
    str | None, typer.Option("--part", help="Part of the network: encoder, decoder or backbone.")
]
Weights = Annotated[
    Path | None,
    typer.Option("--weights", help="Checkpoint of the original authors (default: seeded weights)."),
]
Results = Annotated[
    str, typer.Option("--results", help="Where the records are: a directory, or an fsspec URL.")
]
Host = Annotated[
    str | None,
    typer.Option(
        "--host",
        help="Which board: USER@HOST or an ssh alias (default: the target's name); `local` for this machine.",
    ),
]
LockClocks = Annotated[
    bool | None,
    typer.Option(
        "--lock-clocks/--no-lock-clocks",
        help="Hold a board's clocks, where sudo takes no password (default: the target's).",
    ),
]
Serial = Annotated[
    str | None,
    typer.Option("--serial", help="Which phone: its serial number, or host:port (default: the only one)."),
]
BenchmarkBinary = Annotated[
    Path | None,
    typer.Option("--benchmark-binary", help="TFLite's benchmark_model for the phone, on this machine."),
]
Cores = Annotated[
    str | None,
    typer.Option("--cluster", help="Cores of the phone: little, big or prime (default: the target's)."),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON on stdout.")]
NoCache = Annotated[bool, typer.Option("--no-cache", help="Export anew even if the artifact is cached.")]


def split(values: list[str] | None) -> list[str]:
    """Flatten repeated and comma-separated values, in order and without doubles."""
    parts = [part.strip() for value in values or [] for part in value.split(",")]
    return list(dict.fromkeys(part for part in parts if part))
