"""The gate of machines that cannot run the baseline again: the newest stored run against those before it."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import UTC, date, datetime
from fnmatch import fnmatchcase

from vitbench import __version__
from vitbench.errors import ExitCode, UsageError
from vitbench.gate import outcome
from vitbench.gate.config import Config, limits_of, matches, unmatched, unselected, waivers_of
from vitbench.records import index
from vitbench.records.gate import GateCell, GateRecord, History, Verdict
from vitbench.records.sessions import CellHistory, histories
from vitbench.records.store import Store, new_id
from vitbench.stats.history import MIN_SESSIONS, prediction_limit


def gate_history(
    results: str,
    config: Config,
    *,
    models: Sequence[str] = (),
    targets: Sequence[str] = (),
    limit: float | None = None,
    simulated: bool = False,
    strict: bool = False,
) -> GateRecord:
    """Judge the newest run of every cell by the ones before it on the same machine; nothing is measured.

    Args:
        results: the store.
        models, targets: patterns of the cells; all when empty.
        limit: slowdown that is allowed, of every cell, instead of what the configuration says.
        simulated: whether scripted runs are judged too.
        strict: whether its regressions fail; they are advisory otherwise.

    Raises:
        UsageError: the place cannot be read, or nothing is selected.
    """
    begin, started = time.perf_counter(), datetime.now(UTC)
    found = histories(index.load(Store(results)).rows)
    chosen = [
        each
        for each in found
        if (not targets or any(fnmatchcase(each.target, pattern) for pattern in targets))
        and (not models or any(matches(pattern, each.model, each.resolution) for pattern in models))
    ]
    shown = [each for each in chosen if simulated or not each.simulated]
    if not shown:
        scripted = "; its scripted ones would be with --simulated" if chosen else ""
        raise UsageError(
            f"nothing to gate: no run in `{results}` is selected{scripted}",
            "`vitbench report` lists what was measured",
        )
    if useless := unselected(models, targets, [_named(each) for each in shown]):
        raise UsageError(
            f"nothing to gate for {useless}: no run in `{results}` is meant by it",
            "`vitbench report` lists what was measured",
        )
    current = _current(shown)
    cells = tuple(
        _waived(_judged(each, limit or _limit_of(config, each)), each, config, started.date()).model_copy(
            update={"label": _label(each, current)}
        )
        for each in current
    )
    return GateRecord(
        id=new_id(started, "gate-against-history", (0, 0), shown[0].target),
        created_utc=started.isoformat(timespec="seconds"),
        vitbench_version=__version__,
        simulated=any(each.simulated for each in shown),
        mode="history",
        advisory=not strict,
        baseline=None,
        baseline_commit=None,
        candidate_commit=None,
        seed=0,
        wall_s=time.perf_counter() - begin,
        notes=(*_not_judged(shown, current), *unmatched(config, [_named(each) for each in found])),
        cells=cells,
    )


def _not_judged(found: Sequence[CellHistory], current: Sequence[CellHistory]) -> list[str]:
    """Notes on cells with runs of other machines or protocols: a reader may take them for judged."""
    others = [(each, sum(_cell_of(other) == _cell_of(each) for other in found) - 1) for each in current]
    return [
        f"{_label(each, current)}: not judged are the older runs of {count} other "
        f"machine{'s' * (count > 1)} or protocol{'s' * (count > 1)}"
        for each, count in others
        if count
    ]


def _named(history: CellHistory) -> tuple[str, tuple[int, int], str]:
    """What tables of `gate.toml` and options are matched against."""
    return history.model, history.resolution, history.target


def _cell_of(history: CellHistory) -> tuple[str, str, str]:
    return history.label, history.precision, history.metric


def _label(history: CellHistory, current: Sequence[CellHistory]) -> str:
    """What a cell is called: by its precision and its metric as well, where it is judged in several."""
    named = [each for each in current if each.label == history.label]
    parts = [history.precision] * (len({each.precision for each in named}) > 1)
    parts += [history.metric] * (len({each.metric for each in named}) > 1)
    return " ".join([history.label, *parts])


def _waived(cell: GateCell, found: CellHistory, config: Config, today: date) -> GateCell:
    """The cell, its regression waived where a waiver of time covers it, and notes on those that ended."""
    waivers = waivers_of(config, found.model, found.resolution, found.target)
    living = outcome.covering(waivers, ["time"], today) if cell.verdict == "REGRESSION" else None
    told = (*cell.notes, *outcome.expired(waivers, today))
    code = cell.exit_code if living is None else int(ExitCode.OK)
    return cell.model_copy(update={"notes": told, "waived": living, "exit_code": code})


def _limit_of(config: Config, cell: CellHistory) -> float:
    return limits_of(config, cell.model, cell.resolution, cell.target, cell.transport).regression


def _current(found: Sequence[CellHistory]) -> list[CellHistory]:
    """Of each cell the machine and protocol of its newest run: only there is something new to judge."""
    newest: dict[tuple[str, str, str], CellHistory] = {}
    for each in found:
        known = newest.get(_cell_of(each))
        if known is None or each.newest_utc > known.newest_utc:
            newest[_cell_of(each)] = each
    return list(newest.values())


def _judged(found: CellHistory, limit: float) -> GateCell:
    """REGRESSION: beyond the prediction limit and beyond d. PASS: within d. Between: too noisy to tell."""
    if found.newest_unused is not None:
        # The sessions before it were judged when they were the newest: their PASS is not that of this run.
        return _cell(found, limit, "NOT MEASURED", (f"its newest run, {found.newest_unused}",), None)
    *before, last = found.sessions or (None,)
    past = [session for session in before if session is not None]
    if last is None or len(past) < MIN_SESSIONS:
        have = len(past)
        left = f", and {found.left_out} more are quick or not valid" if found.left_out else ""
        reason = (
            f"{have} earlier session{'s' if have != 1 else ''} of this machine and protocol, "
            f"{MIN_SESSIONS} are needed{left}"
        )
        return _cell(found, limit, "NOT MEASURED", (reason,), None)
    predicted = prediction_limit([session.value for session in past])
    history = History(
        sessions=len(past),
        centre_ms=predicted.centre,
        limit_ms=predicted.limit,
        candidate_ms=last.value,
        candidate=last.id,
    )
    told = f"{len(past)} sessions predict up to {predicted.limit / predicted.centre - 1:+.1%}"
    if last.value <= predicted.centre * (1 + limit):
        return _cell(found, limit, "PASS", (), history, (told,))
    if last.value <= predicted.limit:
        return _cell(found, limit, "INCONCLUSIVE", (f"slower by more than the limit, but {told}",), history)
    return _cell(found, limit, "REGRESSION", (f"beyond what {told}",), history)


def _cell(
    found: CellHistory,
    limit: float,
    verdict: Verdict,
    reasons: tuple[str, ...],
    history: History | None,
    notes: tuple[str, ...] = (),
) -> GateCell:
    codes = {"PASS": ExitCode.OK, "REGRESSION": ExitCode.REGRESSION}
    return GateCell(
        label=found.label,
        model=found.model,
        target=found.target,
        limit=limit,
        verdict=verdict,
        reasons=reasons,
        notes=notes,
        history=history,
        exit_code=int(codes.get(verdict, ExitCode.INCONCLUSIVE)),
    )
