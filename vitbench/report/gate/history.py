"""Sessions of a cell over time, with the changes of level that are seen in them; advisory."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from vitbench.catalog.names import format_resolution, looks_like_resolution, parse_resolution
from vitbench.errors import ExitCode, UsageError
from vitbench.records import index
from vitbench.records.sessions import CellHistory, histories
from vitbench.records.store import Store
from vitbench.report.numbers import significant
from vitbench.report.screen import Screen
from vitbench.report.sheet import SIMULATED
from vitbench.stats.history import change_points
from vitbench.text import clean

FORMS = ("table", "markdown", "json")
BAR = 24
NO_RUPTURES = "changes of level are not marked: pip install 'vitbench[history]'"
ADVISORY = "changes of level are advisory: they say where to look, not what is for certain"


@dataclass(frozen=True)
class Told:
    """A history and the indices at which a new level begins; `marked` is False without `ruptures`."""

    history: CellHistory
    changes: tuple[int, ...]
    marked: bool

    def shift(self, at: int) -> float:
        """Level that begins there over the level before, as a ratio of medians."""
        bounds = [0, *self.changes, len(self.history.sessions)]
        place = bounds.index(at)
        levels = [
            _median([session.value for session in self.history.sessions[begin:end]])
            for begin, end in ((bounds[place - 1], at), (at, bounds[place + 1]))
        ]
        return levels[1] / levels[0]


def tell(
    results: str,
    pattern: str,
    *,
    targets: Sequence[str] = (),
    simulated: bool = False,
    form: str = "table",
    screen: Screen | None = None,
) -> tuple[str, ExitCode]:
    """The sessions of the cells of a pattern, oldest first, in a form of `FORMS`.

    Args:
        results: the store.
        pattern: a model, `*` for anything, with or without a resolution.
        targets: patterns of targets; all when empty.
        simulated: whether scripted runs are shown too.

    Returns:
        The text, and 0, or 3 where nothing such was measured.

    Raises:
        UsageError: the place cannot be read, or there is no such form.
    """
    if form not in FORMS:
        raise UsageError(f"a history has no format `{form}`", f"one of {', '.join(FORMS)}")
    found = [
        each
        for each in histories(index.load(Store(results)).rows)
        if each.sessions
        and (simulated or not each.simulated)
        and _matches(pattern, each)
        and (not targets or any(fnmatchcase(each.target, target) for target in targets))
    ]
    told = [_told(each) for each in sorted(found, key=lambda each: (each.label, each.newest_utc))]
    code = ExitCode.OK if told else ExitCode.INCONCLUSIVE
    if form == "json":
        return _json(told), code
    if not told:
        return f"no sessions of {clean(pattern)} in {clean(results)}\n", code
    return (_markdown(told) if form == "markdown" else _table(told, screen or Screen())), code


def show(
    results: str, pattern: str, targets: Sequence[str], simulated: bool, form: str, output: Path | None
) -> int:
    """Print a history on standard output, or write it to a file; the exit code. See `tell`.

    Raises:
        UsageError: as `tell`, or it cannot be written.
    """
    from vitbench.report.output import emit, write_text

    screen = Screen.of(sys.stdout) if output is None else Screen()
    text, code = tell(results, pattern, targets=targets, simulated=simulated, form=form, screen=screen)
    if output is None:
        emit(text)
    else:
        write_text(output, text)
    return int(code)


def _told(history: CellHistory) -> Told:
    try:
        found = change_points([session.value for session in history.sessions])
    except ImportError:
        return Told(history, (), marked=False)
    return Told(history, found, marked=True)


def _table(told: Sequence[Told], screen: Screen) -> str:
    lines: list[str] = []
    for each in told:
        lines += [*screen.wrap(_title(each)), ""]
        values = [session.value for session in each.history.sessions]
        low, high = min(values), max(values)
        for number, session in enumerate(each.history.sessions):
            if number in each.changes:
                lines.append(_change(each, number))
            share = (session.value - low) / (high - low) if high > low else 0.0
            bar = " " * round(share * (BAR - 1)) + "*"
            status = "" if session.status == "valid" else f"  {session.status}"
            lines.append(
                f"{session.created_utc[:16]}  {significant(session.value):>8} ms  |{bar:<{BAR}}|  "
                f"{(session.commit or '-')[:10]:<10}{status}".rstrip()
            )
        lines.append("")
    return screen.encode("\n".join(line[: screen.width] for line in [*lines, *_remarks(told)]) + "\n")


def _markdown(told: Sequence[Told]) -> str:
    from vitbench.report.markdown import escape

    lines: list[str] = []
    for each in told:
        lines += [f"**{escape(_title(each))}**", "", "| time | ms | commit | |", "|:---|---:|:---|:---|"]
        for number, session in enumerate(each.history.sessions):
            mark = escape(_change(each, number)) if number in each.changes else ""
            commit = escape((session.commit or "-")[:10])
            lines.append(f"| {session.created_utc[:16]} | {significant(session.value)} | {commit} | {mark} |")
        lines.append("")
    return "\n".join([*lines, *map(escape, _remarks(told))]) + "\n"


def _json(told: Sequence[Told]) -> str:
    documents = [
        {
            **asdict(each.history),
            "changes_marked": each.marked,
            "changes": [
                {"id": each.history.sessions[at].id, "index": at, "ratio": each.shift(at)}
                for at in each.changes
            ],
        }
        for each in told
    ]
    return json.dumps(documents, indent=1) + "\n"


def _title(each: Told) -> str:
    history = each.history
    what = "ms an image" if history.metric == "throughput" else "ms"
    watermark = f" ({SIMULATED})" if history.simulated else ""
    many = f"{len(history.sessions)} session" + ("s" if len(history.sessions) != 1 else "")
    return clean(f"{history.label}, {history.device} ({history.machine_key}): {many}, {what}{watermark}")


def _change(each: Told, at: int) -> str:
    return f"-- from here on {100 * (each.shift(at) - 1):+.1f} % --"


def _remarks(told: Sequence[Told]) -> list[str]:
    left_out = sum(each.history.left_out for each in told)
    return [
        *([ADVISORY] if any(each.changes for each in told) else []),
        *([] if all(each.marked for each in told) else [NO_RUPTURES]),
        *([f"{left_out} runs left out: quick, or neither valid nor unsteady"] if left_out else []),
    ]


def _matches(pattern: str, history: CellHistory) -> bool:
    if fnmatchcase(history.model, pattern):
        return True
    name, _, size = pattern.rpartition(":")
    if not looks_like_resolution(size):
        return False
    same = format_resolution(parse_resolution(size)) == format_resolution(history.resolution)
    return same and fnmatchcase(history.model, name)


def _median(values: Sequence[float]) -> float:
    ordered = sorted(values)
    middle = len(ordered) // 2
    if len(ordered) % 2:
        return ordered[middle]
    return math.sqrt(ordered[middle - 1] * ordered[middle])
