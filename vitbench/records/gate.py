"""The record of one run of the regression gate: every cell with its checks, stages and verdict."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from vitbench.records.schema import ID_PATTERN, SCHEMA_VERSION, Part

Verdict = Literal["PASS", "IMPROVEMENT", "REGRESSION", "INCONCLUSIVE", "NOT MEASURED"]
Outcome = Literal["flagged", "passed", "improved", "open"]
Mode = Literal["paired", "history"]
# In the order of a reader's interest: what must be acted upon first.
VERDICTS: tuple[Verdict, ...] = ("REGRESSION", "NOT MEASURED", "INCONCLUSIVE", "IMPROVEMENT", "PASS")


class Check(Part):
    """One exact gate: a count or a fact that needs no statistics.

    `name`: `params`, `macs`, `bytes`, `fallback`, `partitions`, `parity` or `memory`. `baseline` and
    `candidate` are what is compared, in words a reader knows. `passed` is None where it could not be
    compared; `note` says why, or what a failure or a change that is none means.
    """

    name: str
    baseline: str
    candidate: str
    passed: bool | None
    note: str | None = None


class GateStage(Part):
    """One stage of a cell.

    `log_ratios` are log(candidate / baseline) of the pairs that count, in the order they were taken;
    `disturbed` counts those that do not. `p` is that of "not slower than the limit", at level `alpha`;
    `low`, `high` are one-sided 99 % bounds of the ratio. `comparison` is the id of the record with every
    sample, in the store of the gate.
    """

    stage: Literal[1, 2]
    alpha: float
    pairs_wanted: int
    log_ratios: tuple[float, ...]
    disturbed: int
    baseline_ms: float | None
    candidate_ms: float | None
    ratio: float | None
    low: float
    high: float
    p: float
    pair_sd: float | None
    serial_p: float
    cycles_ratio: float | None
    outcome: Outcome
    reasons: tuple[str, ...] = ()
    comparison: str | None = None


class History(Part):
    """A stored session against the ones before it, in ms. `limit_ms` is the one-sided prediction limit."""

    sessions: int
    centre_ms: float
    limit_ms: float
    candidate_ms: float
    candidate: str


class Waived(Part):
    """Why a regression of this cell does not count, and until when (ISO date, that day included)."""

    reason: str
    expires: str


class GateCell(Part):
    """One cell of a gate.

    `limit` is d as a fraction. `visible` is the smallest slowdown that both stages see with power 0.95 at the
    noise met today, None where there were too few pairs. `exit_code` is what the cell alone would end with;
    0 where its regression is waived.
    """

    label: str
    model: str
    target: str
    limit: float
    verdict: Verdict
    reasons: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    checks: tuple[Check, ...] = ()
    stages: tuple[GateStage, ...] = ()
    history: History | None = None
    waived: Waived | None = None
    visible: float | None = None
    baseline_digest: str | None = None
    candidate_digest: str | None = None
    exit_code: int


class GateRecord(Part):
    """One run of the gate in one immutable document; the samples are in the comparisons that it names.

    `baseline` is where the baseline is, None against the history. `advisory`: its regressions do not fail.
    """

    schema_version: int = SCHEMA_VERSION
    kind: Literal["gate"] = "gate"
    id: Annotated[str, Field(pattern=ID_PATTERN)]
    created_utc: str
    vitbench_version: str
    simulated: bool
    mode: Mode
    advisory: bool
    baseline: str | None
    baseline_commit: str | None
    candidate_commit: str | None
    seed: int
    wall_s: float
    interrupted: bool = False
    notes: tuple[str, ...] = ()
    cells: tuple[GateCell, ...]
