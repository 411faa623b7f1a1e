"""What a gate says, in words: one place, so that every form says the same. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence

from vitbench.records.gate import VERDICTS, GateCell, GateRecord
from vitbench.report.numbers import MISSING, significant
from vitbench.text import clean

NOTHING = "nothing was gated"


def ordered(record: GateRecord) -> list[GateCell]:
    """The cells, regressions first and passes last; within a verdict by the size of their change."""
    return sorted(
        record.cells,
        key=lambda cell: (VERDICTS.index(cell.verdict), cell.waived is not None, -(ratio_of(cell) or 0.0)),
    )


def ratio_of(cell: GateCell) -> float | None:
    """Candidate over baseline, by the last stage that ran, or by the history."""
    if cell.history is not None:
        return cell.history.candidate_ms / cell.history.centre_ms
    return next((stage.ratio for stage in reversed(cell.stages) if stage.ratio is not None), None)


def change(cell: GateCell) -> str:
    """`+10.4 % [+9.1, +11.8]`: the change of time with its one-sided 99 % bounds; `-` where there is none."""
    ratio = ratio_of(cell)
    if ratio is None:
        return MISSING
    text = _percent(ratio)
    if cell.history is not None:
        return text
    stage = next(stage for stage in reversed(cell.stages) if stage.ratio is not None)
    if not (stage.low > 0 and math.isfinite(stage.high)):
        return text
    return f"{text} [{_percent(stage.low)[:-2]}, {_percent(stage.high)[:-2]}]"


def times(cell: GateCell) -> tuple[str, str]:
    """Baseline and candidate in ms, side by side as they were measured; never without each other."""
    if cell.history is not None:
        return significant(cell.history.centre_ms), significant(cell.history.candidate_ms)
    stage = next((each for each in reversed(cell.stages) if each.baseline_ms is not None), None)
    if stage is None:
        return MISSING, MISSING
    return significant(stage.baseline_ms), significant(stage.candidate_ms)


def verdict_of(cell: GateCell) -> str:
    """The verdict, and whether it is waived."""
    return f"{cell.verdict} (waived)" if cell.waived is not None else cell.verdict


def why(cell: GateCell) -> str:
    """Why the verdict is what it is, on one line; empty for a pass."""
    parts = list(cell.reasons)
    if cell.waived is not None:
        parts.append(f"waived until {cell.waived.expires}: {cell.waived.reason}")
    return clean("; ".join(parts))


def summary(record: GateRecord) -> str:
    """`REGRESSION: 1 of 3 cells; 2 pass`: the first line of every form."""
    if not record.cells:
        return NOTHING
    waived = sum(cell.waived is not None for cell in record.cells)
    many = f"{len(record.cells)} cells" if len(record.cells) != 1 else "1 cell"
    told = f"{many}: {counted(record.cells)}"
    if waived:
        told += f" ({waived} waived)"
    if record.advisory:
        told += "; advisory: regressions against a history do not fail without --strict"
    return told


def counted(cells: Sequence[GateCell]) -> str:
    """`1 REGRESSION, 2 PASS`."""
    counts = {verdict: sum(cell.verdict == verdict for cell in cells) for verdict in VERDICTS}
    return ", ".join(f"{count} {verdict}" for verdict, count in counts.items() if count)


def sight(record: GateRecord) -> str | None:
    """What this gate can see today; None where nothing was timed in pairs."""
    seen = [(cell, cell.visible) for cell in record.cells if cell.visible is not None]
    if not seen:
        return None
    worst = max(seen, key=lambda each: each[1])
    best = min(seen, key=lambda each: each[1])
    if len(seen) == 1:
        amount = f"{worst[1]:.1%}"
    else:
        amount = f"{best[1]:.1%} ({clean(best[0].label)}) to {worst[1]:.1%} ({clean(worst[0].label)})"
    return f"at today's noise this gate sees slowdowns from {amount} on in 95 of 100 runs"


def place(record: GateRecord) -> str:
    """What was compared with what."""
    if record.mode == "history":
        return "the newest stored run of each cell against the sessions before it"
    now = f"commit {record.candidate_commit[:12]}" if record.candidate_commit else "the working directory"
    then = f" (commit {record.baseline_commit[:12]})" if record.baseline_commit else ""
    return clean(f"{now} against {record.baseline}{then}")


def notes(record: GateRecord) -> list[str]:
    """Remarks: of the gate, then of its cells; the same remark on several cells once."""
    told: dict[str, list[str]] = {}
    for cell in record.cells:
        for note in cell.notes:
            told.setdefault(clean(note), []).append(clean(cell.label))
    every = len(record.cells)
    lines = [
        f"{'every cell' if len(labels) == every > 1 else ', '.join(labels)}: {note}"
        for note, labels in told.items()
    ]
    if any(cell.verdict == "IMPROVEMENT" for cell in record.cells):
        lines.append("an improvement is kept from being lost by `vitbench baseline save`")
    return [*(clean(note) for note in record.notes), *lines]


def _percent(ratio: float) -> str:
    return f"{100 * (ratio - 1):+.1f} %"
