"""The verdicts of a gate for GitHub Actions: annotations, and the summary of the job."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from vitbench.errors import UsageError
from vitbench.records.gate import GateCell, GateRecord
from vitbench.report.gate import words
from vitbench.report.gate.markdown import render
from vitbench.text import clean

SUMMARY_VARIABLE = "GITHUB_STEP_SUMMARY"
# GitHub drops a summary beyond one MiB, and annotations beyond ten of a kind per step.
MOST_BYTES = 1_000_000
MOST_ANNOTATIONS = 10


def in_actions(environment: Mapping[str, str] = os.environ) -> bool:
    """Whether this runs as a step of GitHub Actions."""
    return environment.get("GITHUB_ACTIONS") == "true"


def commands(record: GateRecord) -> str:
    """Workflow commands: an error per regression, a warning per cell that says nothing, a notice per gain."""
    kinds: dict[str, list[GateCell]] = {"error": [], "warning": [], "notice": []}
    for cell in words.ordered(record):
        kind = _kind(cell, advisory=record.advisory)
        if kind is not None:
            kinds[kind].append(cell)
    lines = []
    for kind, cells in kinds.items():
        for cell in cells[:MOST_ANNOTATIONS]:
            mark = "simulated " if record.simulated else ""
            title = f"{mark}{words.verdict_of(cell)}: {clean(cell.label)}"
            told = "; ".join(part for part in (words.change(cell), words.why(cell)) if part and part != "-")
            lines.append(f"::{kind} title={_property(title)}::{_data(told or cell.verdict)}")
    return "".join(f"{line}\n" for line in lines)


def append_summary(record: GateRecord, environment: Mapping[str, str] = os.environ) -> None:
    """Append the Markdown of a gate to the summary of the job; nothing where there is none.

    Raises:
        UsageError: it cannot be written.
    """
    target = environment.get(SUMMARY_VARIABLE)
    if not target:
        return
    data = render(record).encode()[:MOST_BYTES]
    try:
        with Path(target).open("ab") as file:
            file.write(data)
    except OSError as error:
        raise UsageError(
            f"cannot write the summary of the job to {target}: {error.strerror or error}",
            f"unset {SUMMARY_VARIABLE}, or add --no-github",
        ) from error


def _kind(cell: GateCell, *, advisory: bool) -> str | None:
    if cell.verdict == "REGRESSION":
        return "warning" if cell.waived is not None or advisory else "error"
    if cell.verdict == "IMPROVEMENT":
        return "notice"
    return None if cell.verdict == "PASS" else "warning"


def _data(text: str) -> str:
    """Text as the value of a workflow command, whose line it must not end."""
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
