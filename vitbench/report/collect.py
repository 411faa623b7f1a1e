"""What `vitbench report` shows of a store, and what it has to say about it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from vitbench.errors import ExitCode
from vitbench.records import index
from vitbench.records.store import Problem, Store
from vitbench.report.comparisons.rows import Versus, from_flat_comparison
from vitbench.report.rows import Row, from_flat
from vitbench.report.select import Filters, Selection, select, select_comparisons
from vitbench.text import clean

MOST_NAMED = 10


@dataclass(frozen=True)
class Collected:
    """Rows of runs and of comparisons to show, lines for standard error, and the exit code.

    0: some were found. 3: there is nothing to show, because nothing such was measured. 2: a file could not
    be read; what could be is shown all the same.
    """

    rows: list[Row]
    comparisons: list[Versus]
    messages: list[str]
    exit_code: ExitCode

    @property
    def shown(self) -> bool:
        """Whether there is anything to show."""
        return bool(self.rows or self.comparisons)


def collect(store: Store, filters: Filters) -> Collected:
    """Read a store and choose what to show.

    Raises:
        UsageError: the place cannot be read.
    """
    contents = index.load(store)
    everything = [from_flat(flat) for flat in contents.rows]
    compared = [from_flat_comparison(flat) for flat in contents.comparisons]
    runs, comparisons = select(everything, filters), select_comparisons(compared, filters)
    anything = bool(runs.rows or comparisons.rows)
    simulated = runs.simulated + comparisons.simulated
    messages = [
        *_left_out(runs, comparisons),
        *([] if anything or simulated else _nothing(store, everything, compared)),
        *_unreadable(contents.problems),
        *_interrupted(store),
    ]
    if anything and messages:
        messages.insert(0, "")  # apart from a table on the same terminal
    shown = ExitCode.OK if anything else ExitCode.INCONCLUSIVE
    return Collected(
        runs.rows,
        comparisons.rows,
        [clean(message) for message in messages],
        ExitCode.USAGE if contents.problems else shown,
    )


def _left_out(runs: Selection[Row], comparisons: Selection[Versus]) -> list[str]:
    lines = []
    if simulated := runs.simulated + comparisons.simulated:
        lines.append(f"{_records(simulated)} of scripted targets not shown: add --simulated")
    if older := runs.older + comparisons.older:
        lines.append(f"{_records(older)} not shown, a newer one of the same cell is: add --all")
    return lines


def _nothing(store: Store, runs: Sequence[Row], comparisons: Sequence[Versus]) -> list[str]:
    everything = [*runs, *(side.row for row in comparisons for side in row.sides)]
    if not everything:
        return [
            f"no records in `{store.location}`",
            "hint: measure something first, for example `vitbench run -m effvit-b1 -t cpu --quick`",
        ]
    labels = {label for row in comparisons for label in row.labels}
    models = sorted({row.model for row in runs} | labels)
    targets = sorted({row.target for row in everything})
    return [
        f"none of the {_records(len(runs) + len(comparisons))} in `{store.location}` matches",
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
