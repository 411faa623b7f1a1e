"""Comparisons as Markdown, CSV and JSON: the same rows, safe in what reads them."""

from __future__ import annotations

import io
import json
import math
import re

import pandas as pd
import pytest

from benchmarks.example_comparisons import example_comparison, example_study
from benchmarks.example_records import example_record
from vitbench.errors import UsageError
from vitbench.report import Screen, render_comparisons
from vitbench.report.comparisons.render import FORMATS, render_all
from vitbench.report.comparisons.rows import from_comparisons
from vitbench.report.rows import from_records

HOSTILE = "a|b`c<script>alert(1)</script>\n[x](javascript:1) @everyone *b* \x1b[31m"


def cells(line: str) -> list[str]:
    return [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]


def test_markdown_is_the_same_whatever_the_screen() -> None:
    study = example_study()
    narrow, wide = (render_comparisons(study, "markdown", Screen(width=width)) for width in (40, 200))
    assert narrow == wide
    assert narrow.startswith("### softmax against relu, the attention block at the same width, on cpu\n\n")
    assert "\n#### Arithmetic and traffic\n\n| tokens |" in narrow
    assert "\n- relu is faster than softmax from " in narrow


def test_markdown_tables_are_whole() -> None:
    text = render_comparisons(example_study(), "markdown", timings=True)
    for table in re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE):
        assert len({len(cells(line)) for line in table.splitlines()}) == 1


def test_markdown_escapes_what_comes_from_elsewhere() -> None:
    comparison = example_comparison(labels=(HOSTILE, "relu"), status="unsteady", reasons=(HOSTILE,))
    text = render_comparisons([comparison], "markdown")
    assert not re.search(r"(?<!\\)[<\[*`$]|@everyone|\x1b", text)
    for table in re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE):
        assert len({len(cells(line)) for line in table.splitlines()}) == 1


def test_csv_has_a_line_per_side_that_pandas_reads() -> None:
    study = example_study()
    frame = pd.read_csv(io.StringIO(render_comparisons(study, "csv")))
    assert len(frame) == 2 * len(study)
    assert list(frame["side"][:2]) == ["A", "B"]
    assert list(frame["label"][:2]) == ["softmax", "relu"]
    kinds = {name: frame[name].dtype.kind for name in frame}
    for name in (
        "ratio",
        "ratio_low",
        "ratio_high",
        "speed_up",
        "time_ms",
        "low_ms",
        "high_ms",
        "macs_per_byte",
    ):
        assert kinds[name] == "f", name
    for name in ("tokens", "tokens_height", "macs", "pairs", "seed", "blocks"):
        assert kinds[name] == "i", name
    first = frame.iloc[0]
    assert study[0].ratio is not None
    assert first["ratio"] == study[0].ratio.ratio
    assert first["ns_per_kmac"] == pytest.approx(1e3 / first["gmacs_per_s"])
    assert set(frame["status"]) == {"valid"}
    assert set(frame["id"]) == {comparison.id for comparison in study}
    # The curve of the paper's figure is one line away.
    curve = frame[frame["part"] == "block"].pivot(index="tokens", columns="label", values="time_ms")
    assert list(curve.columns) == ["relu", "softmax"]


def test_csv_of_runs_and_comparisons_is_one_table() -> None:
    runs = from_records([example_record(iterations=5)])
    text = render_all(runs, from_comparisons([example_comparison()]), "csv", Screen())
    frame = pd.read_csv(io.StringIO(text))
    assert list(frame["kind"]) == ["run", "compare", "compare"]
    assert frame["latency_ms"].notna().all()
    assert math.isnan(frame["ratio"][0])


@pytest.mark.parametrize("hostile", ["=1+1", "+cmd", "-2", "@SUM(A1)"])
def test_csv_starts_no_formula(hostile: str) -> None:
    text = render_comparisons([example_comparison(labels=(hostile, "relu"))], "csv")
    frame = pd.read_csv(io.StringIO(text), keep_default_na=False)
    assert list(frame["label"]) == ["'" + hostile, "relu"]


def test_json_has_an_object_per_comparison_and_is_strict() -> None:
    text = render_comparisons([*example_study(2), example_comparison(9, pairs=4)], "json")
    found = json.loads(text, parse_constant=pytest.fail)
    assert len(found) == 5
    assert {item["kind"] for item in found} == {"compare"}
    assert found[0]["sides"][1]["label"] == "relu"
    assert found[0]["sides"][1]["row"]["macs"] > 0
    assert [each["chosen"] for each in found[0]["candidates"][0]] == [True, False]
    assert found[0]["timings"]["wall_s"] == 60.0
    assert found[-1]["ratio_low"] is None


@pytest.mark.parametrize("form", FORMATS)
def test_nothing_is_a_document_too(form: str) -> None:
    text = render_comparisons([], form)
    if form == "json":
        assert json.loads(text) == []
    if form == "csv":
        assert text.startswith("kind,model,")
    if form in ("table", "markdown"):
        assert text == ""


def test_an_unknown_format_is_a_usage_error() -> None:
    with pytest.raises(UsageError, match="unknown format `pdf`"):
        render_comparisons([example_comparison()], "pdf")
