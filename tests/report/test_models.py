"""Models as text: the list, one model, and the table of all."""

from __future__ import annotations

import csv
import io
import json
from typing import Any

import pytest

from vitbench import catalog
from vitbench.errors import UsageError
from vitbench.report import Screen, zoo
from vitbench.report.columns import columns, width_of
from vitbench.report.models import model, model_list

FIGURE: dict[str, Any] = {
    "resolution": [1024, 2048],
    "params_m": 14.0,
    "macs_g": 244.0,
    "metric": "mIoU",
    "dataset": "a data set with quite a long name, and what was done with it",
    "value": 78.5,
    "latency_ms": 146.0,
    "throughput_img_s": None,
    "device": "a device with a long name",
    "runtime": "its runtime (data transfer included)",
    "precision": "fp16",
    "batch": 16,
    "source": "where it stands",
    "note": "why it differs",
    "params_difference": -0.0225,
    "macs_difference": None,
}
DESCRIBED: dict[str, Any] = {
    "name": "family-b1+softmax",
    "title": "A family",
    "task": "seg",
    "design": "original",
    "resolution": [512, 512],
    "inputs": [],
    "attention": "softmax",
    "attention_kinds": ["relu", "softmax"],
    "upsample": "bicubic",
    "upsample_kinds": ["bicubic", "bilinear"],
    "parts": ["backbone"],
    "form": "deploy",
    "paper": "https://example.org/paper",
    "licence": "MIT",
    "formulation": {"softmax": "products"},
    "params": 13684582,
    "params_deploy": 13684326,
    "params_reparam": None,
    "macs": 239129853952,
    "macs_attention": 133143986176,
    "macs_deploy": 239129853952,
    "macs_artifact": 229331959808,
    "bytes_read": 3,
    "bytes_written": 4,
    "published": [FIGURE],
    "reference": {"counts": {"params": 1, "macs": 2}, "equal": True, "differences": {}},
}
DIFFERENT = {
    "counts": {"params": 13684581, "macs": 239129853957},
    "equal": False,
    "differences": {"params": 1, "macs": -5},
}


def test_one_model() -> None:
    text = model(DESCRIBED, Screen(width=200), as_json=False)
    lines = text.splitlines()
    assert lines[0] == "family-b1+softmax at 512x512: A family"
    assert "attention softmax (also: relu)" in lines
    assert "upsampling bicubic (also: bilinear)" in lines
    assert "parts: backbone" in lines
    assert "reference implementation: equal (params, macs)" in lines
    assert "parameters                        13,684,582" in lines
    assert "branches merged" not in text
    assert "MACs, inference form" not in text
    assert ["1024x2048", "14M", "-2.2", "%", "244G", "[1]", "a"] in [line.split() for line in lines]
    assert "[1] where it stands" in lines
    assert "a: why it differs" in lines
    assert "a device with a long name, its runtime (data transfer included), fp16, batch 16" in text
    assert json.loads(model(DESCRIBED, Screen(), as_json=True)) == DESCRIBED


def test_forms_and_designs_that_differ_are_told() -> None:
    text = model(
        DESCRIBED
        | {
            "params_reparam": 5,
            "macs_deploy": 6,
            "design": "vitbench",
            "reference": DIFFERENT,
            "published": [],
        },
        Screen(width=200),
        as_json=False,
    )
    assert "parameters, branches merged                5\n" in text
    assert "MACs, inference form                       6\n" in text
    assert "this one is vitbench's own" in text
    assert "reference implementation: DIFFERENT (params +1, macs -5)\n" in text
    assert text.endswith("no published figures\n")
    assert "reference" not in model(DESCRIBED | {"reference": None}, Screen(), as_json=False)


@pytest.mark.parametrize("width", [80, 60])
def test_a_narrow_screen_is_not_overrun(width: int) -> None:
    text = model(DESCRIBED, Screen(width=width), as_json=False)
    assert width_of(text) <= width
    folded = " ".join(text.split())
    # Nothing is cut off: it stands below its row.
    for told in (FIGURE["dataset"], FIGURE["device"], "batch 16", "146 ms", "78.5"):
        assert told in folded


def test_columns_that_nobody_fills_are_left_out() -> None:
    figure = FIGURE | {"dataset": None, "latency_ms": None, "device": None, "runtime": None, "note": None}
    figure |= {"precision": None, "batch": None}
    text = model(DESCRIBED | {"published": [figure]}, Screen(width=200), as_json=False)
    assert "published at  metric  value  source\n1024x2048     mIoU     78.5  [1]\n" in text
    assert "dataset" not in text
    counts_only = figure | {"value": None, "metric": None}
    assert "metric" not in model(DESCRIBED | {"published": [counts_only]}, Screen(), as_json=False)


def test_the_list_names_every_model_and_fits() -> None:
    families = catalog.load_families()
    text = model_list(families, Screen(width=80), as_json=False)
    assert width_of(text) <= 80
    words = set(text.replace(",", " ").split())
    assert set(catalog.model_names()) <= words
    entries = json.loads(model_list(families, Screen(), as_json=True))
    assert [entry["name"] for entry in entries] == catalog.model_names()
    assert {"resolution", "task", "attention", "upsample", "forms", "design"} <= entries[0].keys()


def test_table() -> None:
    models = [DESCRIBED, DESCRIBED | {"name": "b2", "reference": DIFFERENT, "published": []}]
    models.append(DESCRIBED | {"name": "b3", "reference": None})
    lines = zoo.render(models, "table", Screen(width=1000)).splitlines()
    assert lines[1].split() == [
        *("family-b1+softmax", "512x512", "13,684,582", "13,684,326", "239,129,853,952", "133,143,986,176"),
        *("equal", "14M", "(-2.2", "%)", "-"),
    ]
    assert "params +1, macs -5  -" in lines[2]
    assert lines[3].split()[6] == "-"
    assert lines[-1] == (
        "3 rows; 2 were counted on the reference implementation, 1 of them are equal in every count"
    )
    narrow = zoo.render(models, "table", Screen(width=100))
    assert width_of(narrow) <= 100
    assert "no room for: params_deploy, published params (ours), published MACs (ours)" in narrow
    assert all("239,129,853,952" in line for line in narrow.splitlines()[1:4])


def test_several_sources_make_a_range() -> None:
    second = FIGURE | {"params_m": 13.7, "params_difference": -0.001}
    text = zoo.render([DESCRIBED | {"published": [FIGURE, second, second]}], "table", Screen(width=1000))
    assert "13.7M to 14M (-0.1 % to -2.2 %)" in text


def test_table_as_data() -> None:
    models = [DESCRIBED, DESCRIBED | {"reference": DIFFERENT}]
    header, first, second = csv.reader(io.StringIO(zoo.render(models, "csv", Screen())))
    row = dict(zip(header, first, strict=True))
    assert (row["model"], row["params"], row["MACs"]) == ("family-b1+softmax", "13684582", "239129853952")
    assert second[header.index("reference")] == "params +1, macs -5"
    assert json.loads(zoo.render(models, "json", Screen())) == models
    markdown = zoo.render(models, "markdown", Screen()).splitlines()
    assert markdown[1].startswith("| :--- | :--- | ---: |")
    assert len({line.count(" | ") for line in markdown}) == 1


def test_one_format_at_a_time() -> None:
    assert zoo.chosen_format(as_json=False, as_csv=False, as_markdown=False) == "table"
    assert zoo.chosen_format(as_json=False, as_csv=True, as_markdown=False) == "csv"
    with pytest.raises(UsageError, match="--json contradicts --csv"):
        zoo.chosen_format(as_json=True, as_csv=True, as_markdown=False)


def test_a_pipe_is_as_wide_as_it_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    assert zoo.screen_of(io.StringIO()).width > 10**6
    monkeypatch.setenv("COLUMNS", "90")
    assert zoo.screen_of(io.StringIO()).width == 90


def test_columns_to_the_right() -> None:
    assert columns(("a", "bc"), [("x", "1"), ("yy", "22")], right=("bc",)) == "a   bc\nx    1\nyy  22\n"
