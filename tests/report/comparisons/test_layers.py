"""Time by layer in reports: a table where somebody asked for it, and columns of data."""

from __future__ import annotations

import csv
import io
import json
import re

import pytest

from benchmarks.example_comparisons import example_comparison, example_profile
from vitbench.records.comparison import Comparison
from vitbench.report import Screen, render_comparisons

TITLE = "Time by layer"


def draw(*comparisons: Comparison, width: int = 160, form: str = "table") -> str:
    return render_comparisons(comparisons, form, Screen(width=width))


def both() -> Comparison:
    return example_comparison(profiles=(example_profile(), example_profile(total_ms=2.0, iterations=8)))


def test_each_side_has_a_line() -> None:
    text = draw(both())
    table = text[text.index(TITLE) :]
    assert re.search(
        r"^14x14 +softmax +4\.00 +1\.00 +25\.0 % +12\.5 % +2\.5 % +"
        r"Conv 75\.0 %, MatMul 12\.5 %, Softmax 5\.0 %$",
        table,
        re.MULTILINE,
    )
    assert re.search(r"^14x14 +relu +2\.00 +1\.00 +50\.0 % ", table, re.MULTILINE)
    assert "(onnxruntime 1.31.1; 8 to 20 iterations)" in table
    assert "unattributed: layers that the runtime added" in table


@pytest.mark.parametrize("form", ["table", "markdown", "html"])
def test_it_is_only_told_where_it_is_known(form: str) -> None:
    assert TITLE in draw(both(), form=form)
    assert TITLE not in draw(example_comparison(), form=form)


def test_a_side_that_could_not_be_profiled_has_no_line() -> None:
    text = draw(example_comparison(profiles=(None, example_profile())))
    table = text[text.index(TITLE) :].partition("How each side")[0]
    assert "relu" in table
    assert "softmax" not in table.partition("each side in a process")[0]


def test_a_network_from_elsewhere_has_operators_alone() -> None:
    unknown = example_profile(attention_ms=None, core_ms=None, unattributed_ms=None)
    text = draw(example_comparison(profiles=(unknown, unknown)))
    assert re.search(r"^14x14 +softmax +4\.00 +- +- +- +- +Conv 75\.0 %", text, re.MULTILINE)
    assert "a network from elsewhere does not say which of its layers are attention" in text
    assert "unattributed: layers" not in text


@pytest.mark.parametrize("width", [40, 60, 80, 100])
def test_no_width_is_exceeded(width: int) -> None:
    assert max(map(len, draw(both(), width=width).splitlines())) <= width


def test_data_have_the_shares() -> None:
    lines = list(csv.DictReader(io.StringIO(draw(both(), form="csv"))))
    assert [line["attention_share"] for line in lines] == ["0.25", "0.5"]
    assert [line["unattributed_share"] for line in lines] == ["0.025", "0.05"]
    (bare, _) = csv.DictReader(io.StringIO(draw(example_comparison(), form="csv")))
    assert bare["attention_share"] == ""
    (found,) = json.loads(draw(both(), form="json"))
    assert found["sides"][0]["profile"]["attention_share"] == 0.25
    assert found["sides"][0]["profile"]["operators"][1]["op_type"] == "MatMul"
