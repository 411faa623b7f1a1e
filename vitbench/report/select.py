"""Which rows a report shows, and in which order."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from fnmatch import fnmatchcase
from typing import Generic, TypeVar

from vitbench.catalog.names import format_resolution, looks_like_resolution, parse_resolution
from vitbench.errors import UsageError
from vitbench.report.comparisons.rows import Versus
from vitbench.report.rows import Row

STATUSES = ("valid", "unsteady", "inconclusive", "parity-failed")
_AGO = re.compile(r"^(\d+)([dh])$")


@dataclass(frozen=True)
class Filters:
    """What a reader asked for. Names may hold `*`; no names mean all.

    Args:
        models: `effvit-b2`, `effvit-*`, `effvit-b2:512x1024`.
        targets: `cpu`.
        statuses: of `STATUSES`.
        since: the earliest time; None for any.
        simulated: whether scripted targets are shown.
        every: whether older records of a cell are shown beside its newest.
    """

    models: Sequence[str] = ()
    targets: Sequence[str] = ()
    statuses: Sequence[str] = ()
    since: datetime | None = None
    simulated: bool = False
    every: bool = False


Shown = TypeVar("Shown", Row, Versus)


@dataclass(frozen=True)
class Selection(Generic[Shown]):
    """The rows to show, and how many were left out for being simulated, or superseded by a newer record."""

    rows: list[Shown]
    simulated: int
    older: int


def select(rows: Iterable[Row], filters: Filters) -> Selection[Row]:
    """Choose rows and sort them by model, resolution, batch, precision, target and time."""
    asked = [row for row in rows if _matches(row, filters)]
    shown = [row for row in asked if filters.simulated or not row.simulated]
    newest = shown if filters.every else _newest(shown)
    return Selection(sorted(newest, key=_order), len(asked) - len(shown), len(shown) - len(newest))


def select_comparisons(rows: Iterable[Versus], filters: Filters) -> Selection[Versus]:
    """Choose comparisons by the same filters, in the order of their studies and of time.

    A model matches by the name or the label of either side, a target by either side's; the status is the
    comparison's own.
    """
    asked = [row for row in rows if _comparison_matches(row, filters)]
    shown = [row for row in asked if filters.simulated or not row.simulated]
    newest = shown if filters.every else _newest_comparisons(shown)
    order = sorted(newest, key=lambda row: (row.study, row.created_utc, row.id))
    return Selection(order, len(asked) - len(shown), len(shown) - len(newest))


def filters(
    models: Sequence[str],
    targets: Sequence[str],
    statuses: Sequence[str],
    since: str | None,
    *,
    simulated: bool,
    every: bool,
) -> Filters:
    """Check what a reader asked for.

    Raises:
        UsageError: an unknown status, or a time that cannot be read.
    """
    for name in statuses:
        if name not in STATUSES:
            raise UsageError(f"unknown status `{name}`", f"one of {', '.join(STATUSES)}")
    moment = parse_since(since, datetime.now(UTC)) if since else None
    return Filters(models, targets, statuses, moment, simulated, every)


def parse_since(text: str, now: datetime) -> datetime:
    """Read a date or time in ISO form (UTC unless it says otherwise), or how long ago: `7d`, `12h`.

    Raises:
        UsageError: it is neither.
    """
    moment = _moment(text)
    if ago := _AGO.match(text):
        # Further back than the calendar reaches is no time.
        with contextlib.suppress(OverflowError):
            count = int(ago.group(1))
            moment = now - (timedelta(days=count) if ago.group(2) == "d" else timedelta(hours=count))
    if moment is None:
        raise UsageError(f"cannot read the time `{text}`", "give 2026-11-21, 2026-11-21T08:15, 7d or 12h")
    return moment


def _matches(row: Row, filters: Filters) -> bool:
    return (
        (not filters.models or any(_model_matches(row, pattern) for pattern in filters.models))
        and (not filters.targets or any(fnmatchcase(row.target, pattern) for pattern in filters.targets))
        and _recent_and_so(row.status, row.created_utc, filters)
    )


def _comparison_matches(row: Versus, filters: Filters) -> bool:
    sides = [side.row for side in row.sides]
    named = any(
        _model_matches(side, pattern) or fnmatchcase(label, pattern)
        for pattern in filters.models
        for side, label in zip(sides, row.labels, strict=True)
    )
    placed = any(fnmatchcase(side.target, pattern) for pattern in filters.targets for side in sides)
    return (
        (named or not filters.models)
        and (placed or not filters.targets)
        and _recent_and_so(row.status, row.created_utc, filters)
    )


def _recent_and_so(status: str, created_utc: str, filters: Filters) -> bool:
    """Whether status and time are those asked for."""
    moment = _moment(created_utc)
    # A record whose time cannot be read is shown rather than lost.
    recent = filters.since is None or moment is None or moment >= filters.since
    return recent and (not filters.statuses or status in filters.statuses)


def _model_matches(row: Row, pattern: str) -> bool:
    if fnmatchcase(row.model, pattern):
        return True
    name, _, size = pattern.rpartition(":")  # names of networks from elsewhere have colons themselves
    if not looks_like_resolution(size):
        return False
    return fnmatchcase(row.model, name) and format_resolution(parse_resolution(size)) == row.resolution


def _newest(rows: list[Row]) -> list[Row]:
    """The newest row of each cell; other protocols, presets, weights and machines are other cells."""
    best: dict[tuple[object, ...], Row] = {}
    for row in rows:
        cell = _cell(row)
        if cell not in best or (row.created_utc, row.id) > (best[cell].created_utc, best[cell].id):
            best[cell] = row
    return list(best.values())


def _newest_comparisons(rows: list[Versus]) -> list[Versus]:
    """The newest comparison of the same two cells, in the same part of a study."""
    best: dict[tuple[object, ...], Versus] = {}
    for row in rows:
        cell = (row.part, row.labels, row.tokens, *(_cell(side.row) for side in row.sides))
        if cell not in best or (row.created_utc, row.id) > (best[cell].created_utc, best[cell].id):
            best[cell] = row
    return list(best.values())


def _cell(row: Row) -> tuple[object, ...]:
    """What makes two records ones of the same cell."""
    return (
        *(row.model, row.resolution, row.batch, row.weights, row.target, row.device, row.machine_key),
        *(row.runtime, row.metric, row.precision, row.threads, row.transfers, row.zero_copy),
        *(row.spin_wait, row.cuda_graph, row.streams, bool(row.overlap), row.mode, row.affinity),
        *(row.builds, row.preset, row.turn_s, row.simulated),
    )


def _order(row: Row) -> tuple[object, ...]:
    size = (row.height * row.width, row.height, row.batch)
    return (_natural(row.model), *size, row.precision, row.target, row.threads, row.created_utc, row.id)


def _natural(name: str) -> tuple[tuple[int, int, str], ...]:
    """Sort key under which `b2` comes before `b10`."""
    return tuple((0, int(p), "") if p.isdecimal() else (1, 0, p) for p in re.split(r"(\d+)", name) if p)


def _moment(text: str) -> datetime | None:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
