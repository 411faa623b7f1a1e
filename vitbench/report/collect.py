"""What `vitbench report` shows of a store, and what it has to say about it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from vitbench.errors import ExitCode
from vitbench.records import index
from vitbench.records.store import Problem, Store
from vitbench.report.rows import Row, from_flat
from vitbench.report.select import Filters, Selection, select
from vitbench.text import clean

MOST_NAMED = 10


@dataclass(frozen=True)
class Collected:
    """Rows to show, lines for standard error, and the exit code.

    0: rows were found. 3: there is nothing to show, because nothing such was measured. 2: a file could not
    be read; what could be is shown all the same.
    """

    rows: list[Row]
    messages: list[str]
    exit_code: ExitCode


def collect(store: Store, filters: Filters) -> Collected:
    """Read a store and choose what to show.

    Raises:
        UsageError: the place cannot be read.
    """
    contents = index.load(store)
    everything = [from_flat(flat) for flat in contents.rows]
    chosen = select(everything, filters)
    messages = [
        *_left_out(chosen),
        *_nothing(store, chosen, everything),
        *_unreadable(contents.problems),
        *_interrupted(store),
    ]
    if chosen.rows and messages:
        messages.insert(0, "")  # apart from a table on the same terminal
    shown = ExitCode.OK if chosen.rows else ExitCode.INCONCLUSIVE
    return Collected(
        chosen.rows, [clean(message) for message in messages], ExitCode.USAGE if contents.problems else shown
    )


def _left_out(chosen: Selection) -> list[str]:
    lines = []
    if chosen.simulated:
        lines.append(f"{_records(chosen.simulated)} of scripted targets not shown: add --simulated")
    if chosen.older:
        lines.append(f"{_records(chosen.older)} not shown, a newer one of the same cell is: add --all")
    return lines


def _nothing(store: Store, chosen: Selection, everything: Sequence[Row]) -> list[str]:
    if chosen.rows or chosen.simulated:
        return []
    if not everything:
        return [
            f"no records in `{store.location}`",
            "hint: measure something first, for example `vitbench run -m effvit-b1 -t cpu --quick`",
        ]
    models = sorted({row.model for row in everything})
    targets = sorted({row.target for row in everything})
    return [
        f"none of the {_records(len(everything))} in `{store.location}` matches",
        f"hint: there are the models {_some(models)} on {_some(targets)}",
    ]


def _unreadable(problems: Sequence[Problem]) -> list[str]:
    lines = [f"cannot read `{problem.name}`: {problem.reason}" for problem in problems[:MOST_NAMED]]
    if len(problems) > MOST_NAMED:
        lines.append(f"... and {len(problems) - MOST_NAMED} more files that cannot be read")
    if lines:
        lines.append("hint: move files that are no records elsewhere; remove damaged ones and measure again")
    return lines


def _interrupted(store: Store) -> list[str]:
    try:
        if not any(store.running_dir.iterdir()):
            return []
    except OSError:
        return []
    from vitbench.records.journal import abandoned

    return [
        f"a run that was interrupted left finished blocks in `{path}`; the next `vitbench run` saves them"
        for path in abandoned(store)
    ]


def _records(count: int) -> str:
    return f"{count} record" + ("s" if count != 1 else "")


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
    return ", ".join(names[:MOST_NAMED]) + more
