"""Comparisons as data: CSV with one line per comparison and side, JSON with one object per comparison."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, fields
from typing import Any

from vitbench.report.comparisons.rows import Side, Versus
from vitbench.report.data import csv_text, strict
from vitbench.report.rows import Row

_ROW = tuple(field.name for field in fields(Row))
_OF_SIDE = ("label", "time_ms", "low_ms", "high_ms", "ns_per_kmac", "macs_per_byte", "gbytes_per_s")
_OF_PROFILE = ("attention_ms", "attention_share", "core_share", "unattributed_share")
_SHARED = (
    *("study", "title", "part", "macs_ratio", "ratio", "ratio_low", "ratio_high"),
    *("speed_up", "speed_up_low", "speed_up_high", "confidence", "pairs", "pairs_taken", "pairs_invalid"),
    *("seed", "mismatch"),
)


def long_form(row: Versus) -> list[dict[str, Any]]:
    """Two lines, one for each side: what is of the comparison, what is of the side, and its whole record.

    `status`, `reasons`, `id` and `created_utc` are the comparison's; the record's begin with `side_`.
    """
    return [_line(row, number, side) for number, side in enumerate(row.sides)]


def _line(row: Versus, number: int, side: Side) -> dict[str, Any]:
    record = {name: getattr(side.row, name) for name in _ROW}
    own = {name: record[name] for name in ("id", "status", "reasons", "created_utc")}
    height, width = row.tokens or (None, None)
    return {
        "kind": "compare",
        "side": "AB"[number],
        "other_label": row.labels[1 - number],
        "tokens_height": height,
        "tokens_width": width,
        "tokens": row.count,
        "compared": row.value_is,
        **{name: getattr(row, name) for name in _SHARED},
        **{name: getattr(side, name) for name in _OF_SIDE},
        **{name: getattr(side.profile, name, None) for name in _OF_PROFILE},
        **record,
        **{name: getattr(row, name) for name in ("id", "status", "reasons", "created_utc", "simulated")},
        **{f"side_{name}": value for name, value in own.items()},
    }


def csv_of(rows: Sequence[Row], comparisons: Sequence[Versus]) -> str:
    """Runs and both sides of comparisons in one long table; a cell that says nothing of its line is empty."""
    lines = [line for comparison in comparisons for line in long_form(comparison)]
    names = list(lines[0]) if lines else ["kind", *_ROW]
    runs = [{"kind": "run"} | {name: getattr(row, name) for name in _ROW} for row in rows]
    return csv_text(names, [*runs, *lines])


def objects(rows: Sequence[Versus]) -> list[dict[str, Any]]:
    """One mapping per comparison, with both sides, the candidates and where the time went."""
    return [{"kind": "compare"} | asdict(row) for row in rows]


def json_of(rows: Sequence[Row], comparisons: Sequence[Versus]) -> str:
    """A list: an object per run, then one per comparison."""
    found = [strict(asdict(row)) for row in rows] + [strict(item) for item in objects(comparisons)]
    return json.dumps(found, indent=2) + "\n"
