"""Every model's counts beside the reference's and the published ones: text, Markdown, CSV or JSON."""

from __future__ import annotations

import csv
import io
import json
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TextIO

from vitbench.catalog import format_resolution
from vitbench.errors import UsageError
from vitbench.report.columns import columns, width_of
from vitbench.report.markdown import escape
from vitbench.report.models import percent
from vitbench.report.numbers import MISSING
from vitbench.report.screen import Screen

Described = Mapping[str, Any]
FORMATS = ("table", "markdown", "csv", "json")


@dataclass(frozen=True)
class Column:
    """A column. When a table is too wide, the one with the highest `drop` goes first; 0 never goes."""

    header: str
    cell: Callable[[Described], str]
    drop: int = 0
    right: bool = True


def _count(name: str) -> Callable[[Described], str]:
    return lambda data: f"{data[name]:,}"


def reference_word(data: Described) -> str:
    """`equal`, the differences by column, or `-` where nothing was counted."""
    reference = data["reference"]
    if reference is None:
        return MISSING
    return ", ".join(f"{name} {by:+,}" for name, by in reference["differences"].items()) or "equal"


def _published(value: str, difference: str, unit: str) -> Callable[[Described], str]:
    """What was published of this network at this resolution, and our difference; a range of several."""

    def cell(data: Described) -> str:
        figures = [figure for figure in data["published"] if figure[difference] is not None]
        told = sorted({(figure[value], percent(figure[difference])) for figure in figures})
        if not told:
            return MISSING
        values, differences = zip(*(told[0], told[-1]), strict=True)
        shown = [f"{each:g}{unit}" for each in dict.fromkeys(values)]
        return f"{' to '.join(shown)} ({' to '.join(dict.fromkeys(differences))})"

    return cell


COLUMNS = (
    Column("model", lambda data: data["name"], right=False),
    Column("HxW", lambda data: format_resolution(tuple(data["resolution"])), right=False),
    Column("params", _count("params")),
    Column("params_deploy", _count("params_deploy"), drop=2),
    Column("MACs", _count("macs")),
    Column("attention MACs", _count("macs_attention"), drop=1),
    Column("reference", reference_word, right=False),
    Column("published params (ours)", _published("params_m", "params_difference", "M"), drop=4, right=False),
    Column("published MACs (ours)", _published("macs_g", "macs_difference", "G"), drop=3, right=False),
)


def screen_of(stream: TextIO) -> Screen:
    """The screen behind a stream; a file or a pipe is as wide as it takes, unless COLUMNS says otherwise."""
    found = Screen.of(stream)
    piped = not stream.isatty() and not os.environ.get("COLUMNS")
    return replace(found, width=sys.maxsize) if piped else found


def chosen_format(*, as_json: bool, as_csv: bool, as_markdown: bool) -> str:
    """The format that flags name; a table when none is set.

    Raises:
        UsageError: several are set.
    """
    flags = {"json": as_json, "csv": as_csv, "markdown": as_markdown}
    chosen = [form for form, wanted in flags.items() if wanted]
    if len(chosen) > 1:
        raise UsageError(f"--{chosen[0]} contradicts --{chosen[1]}", "give one of them")
    return chosen[0] if chosen else "table"


def render(models: Sequence[Described], form: str, screen: Screen) -> str:
    """Draw models, as `describe.describe_model` gives them, in one of `FORMATS`.

    JSON has everything that is known of them, the other formats what the table shows.
    """
    if form == "json":
        return json.dumps(list(models), indent=2) + "\n"
    if form == "csv":
        return _csv(models)
    if form == "markdown":
        return _markdown(models)
    return _table(models, screen)


def _csv(models: Sequence[Described]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([column.header for column in COLUMNS])
    for data in models:
        writer.writerow(
            [column.cell(data).replace(",", "") if column.right else column.cell(data) for column in COLUMNS]
        )
    return text.getvalue()


def _markdown(models: Sequence[Described]) -> str:
    lines = [
        [escape(column.header) for column in COLUMNS],
        ["---:" if column.right else ":---" for column in COLUMNS],
        *([escape(column.cell(data)) for column in COLUMNS] for data in models),
    ]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _table(models: Sequence[Described], screen: Screen) -> str:
    """Columns go until the table fits, and it says which."""
    kept = list(COLUMNS)
    while True:
        text = columns(
            tuple(column.header for column in kept),
            [tuple(column.cell(data) for column in kept) for data in models],
            right=[column.header for column in kept if column.right],
        )
        widest = max(kept, key=lambda column: column.drop)
        if width_of(text) <= screen.width or not widest.drop:
            break
        kept.remove(widest)
    return text + "".join(f"{line}\n" for note in _notes(models, kept) for line in ["", *screen.wrap(note)])


def _notes(models: Sequence[Described], kept: Sequence[Column]) -> list[str]:
    counted = [data["reference"] for data in models if data["reference"] is not None]
    equal = sum(reference["equal"] for reference in counted)
    notes = [
        f"{len(models)} rows; {len(counted)} were counted on the reference implementation, {equal} of them "
        "are equal in every count"
    ]
    left_out = [column.header for column in COLUMNS if column not in kept]
    if left_out:
        notes.append(f"no room for: {', '.join(left_out)}; --json and --csv have them, and a wider terminal")
    return notes
