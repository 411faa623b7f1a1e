"""Show the verdicts of a gate, and write them wherever they are wanted."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

from vitbench.errors import UsageError
from vitbench.records.document import dump
from vitbench.records.gate import GateRecord
from vitbench.remarks import remark
from vitbench.report.gate import github, junit, markdown, table
from vitbench.report.output import emit, write_text
from vitbench.report.screen import Screen

FORMS = ("table", "markdown", "json", "junit")


def check_form(form: str | None, *, as_json: bool) -> str:
    """The form that the options name; a table when they name none.

    Raises:
        UsageError: they contradict each other, or there is no such form.
    """
    if as_json and form not in (None, "json"):
        raise UsageError(f"--json contradicts --format {form}", "give one of them")
    asked = "json" if as_json else form or "table"
    if asked not in FORMS:
        raise UsageError(f"unknown format `{asked}`", f"one of {', '.join(FORMS)}")
    return asked


def check_files(*paths: Path | None) -> None:
    """Refuse, before anything is measured, files that have no directory.

    Raises:
        UsageError: one has none.
    """
    for path in paths:
        if path is not None and not path.absolute().parent.is_dir():
            raise UsageError(
                f"no directory {path.absolute().parent}", f"make it, or write {path.name} elsewhere"
            )


def render(record: GateRecord, form: str, screen: Screen | None = None) -> str:
    """Draw a gate in a form of `FORMS`."""
    if form == "markdown":
        return markdown.render(record)
    if form == "junit":
        return junit.render(record)
    if form == "json":
        return dump(record).decode()
    return table.render(record, screen or Screen.of(sys.stdout))


def show(
    record: GateRecord,
    form: str,
    *,
    markdown_file: Path | None = None,
    junit_file: Path | None = None,
    actions: bool = False,
) -> list[str]:
    """Print a gate on standard output, and write the files that were asked for.

    Args:
        form: of standard output, one of `FORMS`.
        markdown_file, junit_file: files to write; none when None.
        actions: whether GitHub Actions is told: annotations on standard error, where data stays data, and the
            summary of the job.

    Returns:
        What could not be written and what to do: a verdict is not lost for that.
    """
    writers = [lambda: emit(render(record, form))]
    for path, name in ((markdown_file, "markdown"), (junit_file, "junit")):
        if path is not None:
            writers.append(partial(_write, record, path, name))
    if actions:
        writers.append(lambda: remark(github.commands(record), end=""))
        writers.append(lambda: github.append_summary(record))
    return [problem for problem in map(_tried, writers) if problem is not None]


def _write(record: GateRecord, path: Path, form: str) -> None:
    write_text(path, render(record, form))


def _tried(work: Callable[[], None]) -> str | None:
    """Do what may fail, and say what did."""
    try:
        work()
    except UsageError as error:
        return error.explain()
    return None
