"""Where a report goes: standard output or a file."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from vitbench.errors import UsageError
from vitbench.report.comparisons.render import FORMATS, render_all
from vitbench.report.comparisons.rows import Versus
from vitbench.report.render import find_renderer, render
from vitbench.report.rows import Row
from vitbench.report.screen import Screen


def chosen_format(form: str | None, *, as_json: bool) -> str:
    """The format that the options name; a table when they name none.

    Raises:
        UsageError: they contradict each other, or there is no such format.
    """
    if as_json and form not in (None, "json"):
        raise UsageError(f"--json contradicts --format {form}", "give one of them")
    asked = "json" if as_json else form or "table"
    find_renderer(asked)
    return asked


def write(
    rows: Sequence[Row],
    comparisons: Sequence[Versus],
    form: str,
    output: Path | None,
    columns: Sequence[str] = (),
    *,
    timings: bool = False,
) -> None:
    """Draw runs, then comparisons, to a file, whole or not at all, or to standard output.

    Args:
        rows: runs to show.
        comparisons: comparisons to show; formats of other packages have none.
        form: name of the format.
        output: the file; standard output when None.
        columns: names of the columns of a table of runs; those that say the most when empty.
        timings: whether to say where the time of comparisons went.

    Raises:
        UsageError: the file cannot be written, or there is no such column.
    """
    screen = replace(Screen.of(sys.stdout) if output is None else Screen(), columns=tuple(columns))
    if comparisons and form in FORMATS:
        text = render_all(rows, comparisons, form, screen, timings=timings)
    else:
        text = render(rows, form, screen)
    if output is None:
        emit(text)
    else:
        write_text(output, text)


def write_text(output: Path, text: str) -> None:
    """Write a report to a file, whole or not at all.

    Raises:
        UsageError: it cannot be written.
    """
    from vitbench.records.files import write_atomically

    try:
        write_atomically(output, text.encode())
    except OSError as error:
        raise UsageError(
            f"cannot write `{output}`: {error.strerror or error}", "choose another file with --output"
        ) from error


def emit(text: str) -> None:
    """Print text on standard output, at once and with replacements for letters it cannot show.

    A reader that has left (`| head`) wants no more, and that is no error: what is printed from then on goes
    nowhere.

    Raises:
        UsageError: it cannot be written, for example to a file on a full disk.
    """
    try:
        sys.stdout.write(Screen.of(sys.stdout).encode(text))
        sys.stdout.flush()
    except BrokenPipeError:
        silence()
    except OSError as error:
        silence()
        raise UsageError(
            f"cannot write to standard output: {error.strerror or error}", "make room, or write elsewhere"
        ) from error


def silence() -> None:
    """Send what is still printed on standard output nowhere."""
    # The interpreter flushes what is still buffered when it ends, and would complain again.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
