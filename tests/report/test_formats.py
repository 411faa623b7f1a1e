"""Markdown, CSV, JSON and formats of others: the same rows, safe in what reads them."""

from __future__ import annotations

import csv
import io
import json
import math
import re
from importlib import metadata
from typing import Any

import pandas as pd
import pytest

from benchmarks.example_records import example_record
from vitbench.errors import UsageError
from vitbench.report import Row, Screen, render, render_records
from vitbench.report.rows import from_records

HOSTILE = "a|b`c<script>alert(1)</script> [x](javascript:1) @everyone *b* _i_ # $m$"


def draw(form: str, *changes: dict[str, Any]) -> str:
    records = [example_record(number, iterations=5, **one) for number, one in enumerate(changes)]
    return render_records(records, form, Screen())


def markdown_cells(line: str) -> list[str]:
    return [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]


def test_markdown_is_a_table_with_its_notes() -> None:
    lines = draw(
        "markdown", {}, {"model": "effvit-b1", "status": "unsteady", "reasons": ("too hot",)}
    ).splitlines()
    table = [markdown_cells(line) for line in lines if line.startswith("|")]
    assert {len(cells) for cells in table} == {len(table[0])}
    assert table[1][0] == ":---"
    assert dict(zip(table[0], table[2], strict=True))["latency ms"] == "27.43 ± 0.21"
    assert dict(zip(table[0], table[3], strict=True))["status"] == r"unsteady \[1\]"
    assert r"\[1\] too hot" in lines


def test_markdown_escapes_what_comes_from_elsewhere() -> None:
    text = draw(
        "markdown", {"model": HOSTILE, "status": "unsteady", "reasons": (HOSTILE,)}, {"target": HOSTILE}
    )
    table = [markdown_cells(line) for line in text.splitlines() if line.startswith("|")]
    assert {len(cells) for cells in table} == {len(table[0])}
    outside_code = re.sub(r"`[^`]*`", "", text)
    assert not re.search(r"(?<!\\)[<\[*_$]|@everyone", outside_code)
    for cells in table[2:]:
        assert all(cell.count("`") in (0, 2) for cell in cells)


def test_markdown_is_watermarked() -> None:
    assert draw("markdown", {"simulated": True}).startswith("**SIMULATED: ")


CHANGES: tuple[dict[str, Any], ...] = (
    {},
    {"model": "effvit-b1", "status": "unsteady", "reasons": ("too hot", 'a "quoted", reason')},
    {"model": "effvit-b3", "estimate": {"latency_ms": None, "ci_low_ms": None, "ci_high_ms": None}},
    {"target": "sim", "simulated": True, "parity": None, "artifact": None},
)


def test_csv_loads_into_pandas_with_the_right_types() -> None:
    frame = pd.read_csv(io.StringIO(draw("csv", *CHANGES)))
    assert len(frame) == 4
    kinds = {name: frame[name].dtype.kind for name in frame}
    for name in ("latency_ms", "ci_low_ms", "compute_ms", "p90_ms", "gmacs_per_s", "half_width_percent"):
        assert kinds[name] == "f", name
    for name in ("params", "macs", "macs_attention", "batch", "threads", "height", "width", "bytes_read"):
        assert kinds[name] == "i", name
    for name in ("simulated", "zero_copy", "spin_wait", "cuda_graph"):
        assert kinds[name] == "b", name
    assert list(frame["status"]) == ["valid", "unsteady", "valid", "valid"]
    assert frame["reasons"][1] == 'too hot; a "quoted", reason'
    assert frame["latency_ms"][0] == 27.43
    assert math.isnan(frame["latency_ms"][2])
    assert pd.to_datetime(frame["created_utc"]).dt.tz is not None


def test_csv_keeps_every_digit() -> None:
    value = 27.431234567890123
    (line,) = csv.DictReader(io.StringIO(draw("csv", {"latency_ms": value})))
    assert float(line["latency_ms"]) == value


@pytest.mark.parametrize("hostile", ["=1+1", "+cmd", "-2", "@SUM(A1)", "\tx"])
def test_csv_starts_no_formula(hostile: str) -> None:
    frame = pd.read_csv(io.StringIO(draw("csv", {"target": hostile})), keep_default_na=False)
    assert frame["target"][0] == "'" + hostile


def test_csv_of_nothing_is_its_header() -> None:
    (header,) = render([], "csv").splitlines()
    assert header.startswith("model,attention,upsample,form,resolution,")


def test_json_has_every_row_as_an_object() -> None:
    first, second, third, fourth = json.loads(draw("json", *CHANGES))
    assert (first["model"], first["resolution"], first["latency_ms"]) == ("effvit-b2", "224x224", 27.43)
    assert second["reasons"] == ["too hot", 'a "quoted", reason']
    assert third["latency_ms"] is None
    assert (fourth["simulated"], fourth["artifact_bytes"]) == (True, None)


def test_json_is_strict() -> None:
    failed = {"passed": False, "max_diff": math.inf}
    text = draw("json", {"parity": failed, "status": "parity-failed"})
    assert json.loads(text, parse_constant=pytest.fail)[0]["parity_max_diff"] is None
    assert render([], "json") == "[]\n"


def test_all_formats_show_all_rows() -> None:
    for form in ("table", "markdown", "csv", "json"):
        text = draw(form, *CHANGES)
        assert all(status in text for status in ("valid", "unsteady")), form
        assert all(name in text for name in ("effvit-b1", "effvit-b2", "effvit-b3")), form


class Point:
    """Stands for an entry point of another package."""

    def __init__(self, name: str, loaded: object) -> None:
        self.name, self.value, self._loaded = name, f"package:{name}", loaded

    def load(self) -> object:
        if isinstance(self._loaded, Exception):
            raise self._loaded
        return self._loaded


def count_rows(rows: list[Row], screen: Screen) -> str:
    return f"{len(rows)} rows on {screen.width}\n"


@pytest.fixture
def other_formats(monkeypatch: pytest.MonkeyPatch) -> None:
    points = [Point("counted", count_rows), Point("broken", ImportError("no module named nothing"))]

    def entry_points(*, group: str) -> list[Point]:
        assert group == "vitbench.renderers"
        return points

    monkeypatch.setattr(metadata, "entry_points", entry_points)


@pytest.mark.usefixtures("other_formats")
def test_another_package_brings_a_format() -> None:
    assert render(from_records([example_record(iterations=5)]), "counted", Screen(100)) == "1 rows on 100\n"


@pytest.mark.usefixtures("other_formats")
def test_a_format_that_does_not_load_says_where_it_comes_from() -> None:
    with pytest.raises(UsageError, match="no module named nothing") as caught:
        render([], "broken")
    assert caught.value.hint == "it comes from `package:broken`"


@pytest.mark.usefixtures("other_formats")
def test_an_unknown_format_names_the_known_ones() -> None:
    with pytest.raises(UsageError, match="`pdf`") as caught:
        render([], "pdf")
    assert caught.value.hint == "one of table, markdown, csv, json, html, broken, counted"
