"""The `vitbench` command: registers the commands and turns errors into messages and exit codes."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from vitbench import __version__
from vitbench.cli import cache, doctor, export, models, report, run, targets
from vitbench.errors import ExitCode, VitbenchError

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
app.command("report")(report.report)
app.command("doctor")(doctor.doctor)
app.command("export")(export.export)
app.add_typer(models.app, name="models")
app.add_typer(targets.app, name="targets")
app.add_typer(cache.app, name="cache")


def main() -> None:
    """Run the command line; every error a user can meet ends in a message and its exit code."""
    try:
        app()
    except VitbenchError as error:
        typer.echo(error.explain(), err=True)
        sys.exit(int(error.exit_code))
    except KeyboardInterrupt:
        typer.echo("interrupted", err=True)
        sys.exit(int(ExitCode.INTERRUPTED))
    except BrokenPipeError:
        # The reader of a pipe left (`vitbench report | head`): nothing is wrong, and nobody reads on.
        sys.stderr.close()
        sys.exit(int(ExitCode.OK))
    except Exception:
        import traceback

        traceback.print_exc()
        typer.echo(
            f"\nerror: this is a bug in vitbench {__version__}; please report the lines above", err=True
        )
        sys.exit(int(ExitCode.BUG))


if __name__ == "__main__":
    main()
