"""The `vitbench` command: registers the commands and turns errors into messages and exit codes."""

from __future__ import annotations

import os
import select
import sys
from pathlib import Path
from typing import Annotated, NoReturn, TextIO

import typer

from vitbench import __version__
from vitbench.cli import (
    baseline,
    cache,
    calibrate,
    compare,
    doctor,
    export,
    gate,
    models,
    report,
    run,
    targets,
)
from vitbench.errors import ExitCode, UsageError, VitbenchError, of_system
from vitbench.remarks import remark

app = typer.Typer(
    name="vitbench",
    help="How fast is this vision transformer on that device, and what does its attention cost there?",
    epilog="First steps: vitbench run -m effvit-b1 -t cpu --quick | vitbench report | vitbench doctor",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # plain help: drawing it with rich takes longer than everything else together
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(value: bool) -> None:
    if value:
        typer.echo(f"vitbench {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Options of every command."""


app.command("run")(run.run)
app.command("compare")(compare.compare)
app.command("report")(report.report)
app.command("gate")(gate.gate)
app.command("calibrate")(calibrate.calibrate)
app.command("doctor")(doctor.doctor)
app.command("export")(export.export)
app.add_typer(models.app, name="models")
app.add_typer(targets.app, name="targets")
app.add_typer(baseline.app, name="baseline")
app.add_typer(cache.app, name="cache")


def main() -> None:
    """Run the command line; every error a user can meet ends in a message and its exit code."""
    if sys.stderr is None:
        sys.stderr = Path(os.devnull).open("w")  # noqa: SIM115 (it stays for as long as the process)
    if sys.stdout is None:
        # Not later: the next file to be opened would get its number, and what is printed would go there.
        _end(UsageError("standard output is closed", "send it to a file, or to /dev/null"))
    try:
        app()
    except VitbenchError as error:
        _end(error)
    except SystemExit as end:
        # Typer makes exits of these two; a command that handles Ctrl-C itself has said so already.
        reason = end.__context__
        if isinstance(reason, BrokenPipeError):
            # The reader of a pipe left (`vitbench --help | head`): nothing is wrong, and nobody reads on. A
            # pipe to anything else, such as a program that died, is no such reader.
            if not _unread(sys.stdout):
                _end(of_system(reason))
            sys.exit(int(ExitCode.OK))
        if reason is not None and isinstance(reason.__cause__, KeyboardInterrupt):
            remark("interrupted")
        raise
    except OSError as error:
        _end(_os_error(error))
    except Exception:
        import traceback

        remark(traceback.format_exc())
        remark(f"error: this is a bug in vitbench {__version__}; please report the lines above")
        sys.exit(int(ExitCode.BUG))


def _end(error: VitbenchError) -> NoReturn:
    remark(error.explain())
    sys.exit(int(error.exit_code))


def _unread(stream: TextIO) -> bool:
    """Whether a stream is a pipe that nobody reads."""
    watch = select.poll()
    watch.register(stream.fileno(), 0)
    return bool(watch.poll(0))


def _os_error(error: OSError) -> UsageError:
    """The error, once nothing is left in standard output that could fail again when the program ends."""
    try:
        sys.stdout.flush()
    except OSError:
        from vitbench.report.output import silence

        silence()
    return of_system(error)


if __name__ == "__main__":
    main()
