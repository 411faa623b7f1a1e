"""Rows as data: CSV and JSON with every figure in full precision, units in the names."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields
from typing import Any

from vitbench.report.rows import Row
from vitbench.report.screen import Screen

# A spreadsheet would run a text that begins so as a formula.
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def render_csv(rows: Sequence[Row], screen: Screen) -> str:
    """Write one line per record; a missing figure is empty, a flag True or False, reasons share a cell."""
    names = [field.name for field in fields(Row)]
    return csv_text(names, [{name: getattr(row, name) for name in names} for row in rows])


def render_json(rows: Sequence[Row], screen: Screen) -> str:
    """Write a list with one object per record; a missing figure, and one that is no number, is null."""
    return json.dumps([strict(asdict(row)) for row in rows], indent=2) + "\n"


def csv_text(names: Sequence[str], lines: Sequence[Mapping[str, object]]) -> str:
    """Lines under a header; what a line does not have is empty."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(names)
    for line in lines:
        writer.writerow([_csv_value(line.get(name)) for name in names])
    return text.getvalue()


def strict(value: Any) -> Any:
    """A value for JSON: None for what is no number (NaN, the infinities), however deep inside."""
    if isinstance(value, Mapping):
        return {name: strict(item) for name, item in value.items()}
    if isinstance(value, tuple | list):
        return [strict(item) for item in value]
    return value if not isinstance(value, float) or math.isfinite(value) else None


def _csv_value(value: object) -> object:
    if isinstance(value, tuple):
        value = "; ".join(str(item) for item in value)
    if isinstance(value, str) and value.startswith(_FORMULA):
        return "'" + value
    return value
