"""From all that is known of a cell to its verdict and exit code, and from all cells to the gate's. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

from vitbench.errors import ExitCode, VitbenchError, worst
from vitbench.gate import exact, verdict
from vitbench.gate.config import Waiver
from vitbench.gate.request import PlannedCell
from vitbench.gate.verdict import Judgement
from vitbench.records.gate import Check, GateCell, GateRecord, GateStage, Verdict, Waived

CODES: dict[Verdict, ExitCode] = {
    "PASS": ExitCode.OK,
    "IMPROVEMENT": ExitCode.OK,
    "REGRESSION": ExitCode.REGRESSION,
    "INCONCLUSIVE": ExitCode.INCONCLUSIVE,
    "NOT MEASURED": ExitCode.INCONCLUSIVE,
}


def waived_gates(waivers: Sequence[Waiver], today: date) -> set[str]:
    """Names of the gates that living waivers cover."""
    return {name for waiver in waivers if waiver.expires >= today for name in waiver.gates}


def blocked(checks: Sequence[Check], waived: set[str]) -> bool:
    """Whether a cell need not be timed any more: an exact gate failed that nothing waives."""
    return any(check.name not in waived for check in exact.failed(checks))


def conclude(
    planned: PlannedCell,
    *,
    checks: Sequence[Check],
    stages: Sequence[GateStage],
    judged: Sequence[Judgement],
    error: VitbenchError | None,
    notes: Sequence[str],
    today: date,
    visible: float | None,
    digests: Sequence[str | None],
) -> GateCell:
    """The cell with its verdict.

    A failed exact gate is a REGRESSION, whatever the time is; then the time decides. A cell that an error
    ended, or that was never timed, is NOT MEASURED, unless an exact gate had failed before. A regression is
    waived where living waivers cover all that failed.
    """
    waived = waived_gates(planned.waivers, today)
    broken = exact.failed(checks)
    found, reasons = _of_time(planned, judged, error)
    regressed = [check.name for check in broken]
    if found == "REGRESSION":
        regressed.append("time")
    if broken:
        untimed = ("not timed: an exact gate failed",) if error is None and not judged else reasons
        reasons = (*(_told(check) for check in broken), *untimed)
    unforgiven = [name for name in regressed if name not in waived]
    final: Verdict = found
    forgiven = covering(planned.waivers, regressed, today) if regressed and not unforgiven else None
    if broken and (unforgiven or found not in ("INCONCLUSIVE", "NOT MEASURED")):
        final = "REGRESSION"
    code = int(CODES[final])
    if final == "NOT MEASURED" and error is not None:
        code = int(error.exit_code)
    if final == "REGRESSION" and forgiven is not None:
        code = int(ExitCode.OK)
    saved = planned.baseline
    return GateCell(
        label=saved.label,
        model=saved.model,
        target=saved.target,
        limit=planned.limits.regression,
        verdict=final,
        reasons=tuple(reasons),
        notes=(*notes, *expired(planned.waivers, today), *_changes(checks)),
        checks=tuple(checks),
        stages=tuple(stages),
        waived=forgiven if final == "REGRESSION" else None,
        visible=visible,
        baseline_digest=digests[0] if digests and digests[0] else saved.digest,
        candidate_digest=digests[1] if digests else None,
        exit_code=code,
    )


def exit_code(record: GateRecord, *, allow_inconclusive: bool = False, unwritten: bool = False) -> int:
    """What a gate ends with: 1 for a regression, which wins over all; else the highest of its cells; 0.

    The regressions of an advisory gate count as passes. A gate without cells has shown nothing, and neither
    has one that was interrupted before any regression was decided: it ends with 130.

    Args:
        allow_inconclusive: 3 becomes 0.
        unwritten: whether a report that was asked for could not be written: 0 becomes 2.
    """
    codes = [cell.exit_code for cell in record.cells]
    if ExitCode.REGRESSION in codes and not record.advisory:
        return ExitCode.REGRESSION
    if record.interrupted:
        return ExitCode.INTERRUPTED
    if record.advisory:
        codes = [code if code != ExitCode.REGRESSION else int(ExitCode.OK) for code in codes]
    found = worst(codes or [ExitCode.INCONCLUSIVE], allow_inconclusive=allow_inconclusive)
    return max(found, ExitCode.USAGE) if unwritten else found


def _of_time(
    planned: PlannedCell, judged: Sequence[Judgement], error: VitbenchError | None
) -> tuple[Verdict, tuple[str, ...]]:
    if error is not None:
        return "NOT MEASURED", (error.message, *((error.hint,) if error.hint else ()))
    if not judged:
        return "NOT MEASURED", ("it was not timed",)
    second = judged[1] if len(judged) > 1 else None
    return verdict.decide(judged[0], second, planned.limits.regression)


def _told(check: Check) -> str:
    return f"{check.name}: {check.baseline} -> {check.candidate}" + (f", {check.note}" if check.note else "")


def covering(waivers: Sequence[Waiver], names: Sequence[str], today: date) -> Waived | None:
    """The living waivers of these gates, as one: every reason, and the earliest day that one of them ends."""
    living = [
        waiver
        for waiver in waivers
        if waiver.expires >= today and any(name in waiver.gates for name in names)
    ]
    if not living:
        return None
    return Waived(
        reason="; ".join(dict.fromkeys(waiver.reason for waiver in living)),
        expires=min(waiver.expires for waiver in living).isoformat(),
    )


def expired(waivers: Sequence[Waiver], today: date) -> list[str]:
    """Notes on waivers that ended."""
    return [
        f'the waiver "{waiver.reason}" expired on {waiver.expires.isoformat()} and counts no more'
        for waiver in waivers
        if waiver.expires < today
    ]


def _changes(checks: Sequence[Check]) -> list[str]:
    """Exact changes that are no failures, and checks that could not be made."""
    return [
        _told(check)
        for check in checks
        if check.note and (check.passed is None or (check.passed and check.name != "memory"))
    ]
