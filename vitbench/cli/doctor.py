"""`vitbench doctor`: what on this machine spoils a measurement."""

from __future__ import annotations

from typing import Annotated

import typer

from vitbench.cli.options import BenchmarkBinary, Cores, Host, Json, Serial
from vitbench.remarks import remark


def doctor(
    target: Annotated[str, typer.Option("--target", "-t", help="Target name or TOML file.")] = "cpu",
    threads: Annotated[
        int | None, typer.Option(min=1, help="Threads of a measurement (default: the target's).")
    ] = None,
    noise_check: Annotated[
        bool, typer.Option("--noise-check/--no-noise-check", help="Measure the noise as well, about 10 s.")
    ] = True,
    host: Host = None,
    serial: Serial = None,
    benchmark_binary: BenchmarkBinary = None,
    cluster: Cores = None,
    as_json: Json = False,
    results: Annotated[
        str, typer.Option("--results", help="Where the records go: a directory, or an fsspec URL.")
    ] = "results",
) -> None:
    """Find what spoils a measurement here.

    Reads each knob of the machine, judges it and says how to mend it; then checks the noise.

    Exit code 0 when the examination ran, whatever it found; 4 when the target cannot be reached.

    Examples:

      vitbench doctor

      vitbench doctor -t cpu --threads 4 --no-noise-check

      vitbench doctor --json | jq '.findings[] | select(.verdict != "ok")'
    """
    import sys

    from vitbench import catalog
    from vitbench.doctor import examine, tell
    from vitbench.report import Screen
    from vitbench.report.output import emit

    (spec,) = catalog.DeviceOptions(serial, benchmark_binary, cluster, host).apply(
        [catalog.resolve_target(target)]
    )
    found = examine.examine(
        spec,
        results=results,
        noise=noise_check,
        threads=threads,
        on_stage=lambda text: remark(f"{text} ..."),
    )
    emit(tell.as_json(found) if as_json else tell.as_text(found, Screen.of(sys.stdout)))
