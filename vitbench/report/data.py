"""Rows as data: CSV and JSON with every figure in full precision, units in the names."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from dataclasses import asdict, fields

from vitbench.report.rows import Row
from vitbench.report.screen import Screen

# A spreadsheet would run a text that begins so as a formula.
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def render_csv(rows: Sequence[Row], screen: Screen) -> str:
    """Write one line per record; a missing figure is empty, a flag True or False, reasons share a cell."""
    names = [field.name for field in fields(Row)]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(names)
    for row in rows:
        writer.writerow([_csv_value(getattr(row, name)) for name in names])
    return text.getvalue()


def render_json(rows: Sequence[Row], screen: Screen) -> str:
    """Write a list with one object per record; a missing figure, and one that is no number, is null."""
    return json.dumps([_finite(asdict(row)) for row in rows], indent=2) + "\n"


def _csv_value(value: object) -> object:
    if isinstance(value, tuple):
        value = "; ".join(str(item) for item in value)
    if isinstance(value, str) and value.startswith(_FORMULA):
        return "'" + value
    return value


def _finite(row: dict[str, object]) -> dict[str, object]:
    # NaN compares unequal to itself, and infinity minus itself is NaN.
    return {name: None if isinstance(v, float) and v - v != 0 else v for name, v in row.items()}
