"""The verdicts of a gate as Markdown: a pull request's comment, a job's summary. One screen."""

from __future__ import annotations

from collections.abc import Sequence

from vitbench.errors import ExitCode
from vitbench.gate.outcome import exit_code
from vitbench.records.gate import GateCell, GateRecord
from vitbench.report.gate import words
from vitbench.report.markdown import escape
from vitbench.report.sheet import SIMULATED
from vitbench.text import clean

MARKS = {
    "PASS": "✅",
    "IMPROVEMENT": "🚀",
    "REGRESSION": "❌",
    "INCONCLUSIVE": "❔",
    "NOT MEASURED": "⚠️",
}
# What fits on one screen; the rest is folded away.
MOST_ROWS = 15
MOST_REMARKS = 10
HEADER = (
    "| | cell | baseline ms | now ms | change [99 % bounds] | limit |",
    "|:---|:---|---:|---:|---:|---:|",
)


def render(record: GateRecord) -> str:
    """Write the summary, the cells and why they are what they are, regressions on top.

    What is more than one screen of them is folded.
    """
    cells = words.ordered(record)
    lines = [f"### {_mark(record)} vitbench gate: {escape(words.summary(record))}", ""]
    if record.simulated:
        lines += [f"**{escape(SIMULATED)}**", ""]
    remarks = [
        f"- **{escape(clean(cell.label))}**: {escape(words.why(cell))}" for cell in cells if words.why(cell)
    ]
    remarks += [f"- {escape(note)}" for note in words.notes(record)]
    if cells:
        lines += [*HEADER, *map(_row, cells[:MOST_ROWS]), ""]
    lines += remarks[:MOST_REMARKS]
    rest = cells[MOST_ROWS:]
    if rest:
        lines += _folded(f"{len(rest)} more cells: {words.counted(rest)}", [*HEADER, *map(_row, rest)])
    if remarks[MOST_REMARKS:]:
        lines += _folded(f"{len(remarks) - MOST_REMARKS} more remarks", remarks[MOST_REMARKS:])
    lines += ["", escape("; ".join(part for part in (words.place(record), words.sight(record)) if part))]
    return "\n".join(lines) + "\n"


def _folded(summary: str, lines: Sequence[str]) -> list[str]:
    return ["", f"<details><summary>{summary}</summary>", "", *lines, "", "</details>"]


def _mark(record: GateRecord) -> str:
    """The mark of the whole gate, which agrees with its exit code: waived regressions are no failure."""
    verdicts = {cell.verdict for cell in record.cells}
    code = exit_code(record)
    if code == ExitCode.OK:
        return MARKS["IMPROVEMENT" if "IMPROVEMENT" in verdicts else "PASS"]
    if code == ExitCode.REGRESSION:
        return MARKS["REGRESSION"]
    undecided = "INCONCLUSIVE" in verdicts and "NOT MEASURED" not in verdicts
    return MARKS["INCONCLUSIVE" if undecided and not record.interrupted else "NOT MEASURED"]


def _row(cell: GateCell) -> str:
    before, after = words.times(cell)
    label = clean(cell.label).replace("`", "'").replace("|", "\\|")
    figures = (before, after, words.change(cell), f"+{cell.limit:.1%}")
    marked = f"{MARKS[cell.verdict]} {words.verdict_of(cell)}"
    return f"| {marked} | `{label}` | {' | '.join(map(escape, figures))} |"
