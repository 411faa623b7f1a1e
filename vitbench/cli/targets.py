"""`vitbench targets`: where it can be measured."""

from __future__ import annotations

from typing import Annotated

import typer

from vitbench.cli.options import BenchmarkBinary, Json, Serial
from vitbench.remarks import remark

app = typer.Typer(help="List the targets, show one, or set one up.")


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


@app.command("setup")
def setup(
    name: Annotated[str, typer.Argument(help="Target name or TOML file: a phone.")],
    benchmark_binary: BenchmarkBinary = None,
    serial: Serial = None,
    as_json: Json = False,
) -> None:
    """Say where a phone's benchmark_model is to be had, or check one and keep it for later runs.

    A phone that is connected is asked what it executes, and which flags the tool knows. Nothing is
    downloaded; the copy is kept below $XDG_DATA_HOME, or ~/.local/share.

    Examples:

      vitbench targets setup snapdragon

      vitbench targets setup snapdragon --benchmark-binary ~/android_aarch64_benchmark_model
    """
    import sys

    from vitbench import catalog
    from vitbench.doctor import phone_setup, phone_setup_tell
    from vitbench.report import Screen
    from vitbench.report.output import emit

    target = catalog.resolve_target(name)
    if serial is not None:
        (target,) = catalog.DeviceOptions(serial).apply([target])
    found = phone_setup.set_up(target, benchmark_binary, on_stage=lambda text: remark(f"{text} ..."))
    as_text = phone_setup_tell.as_text
    emit(phone_setup_tell.as_json(found) if as_json else as_text(found, Screen.of(sys.stdout)))
