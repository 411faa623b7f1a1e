"""The targets that come with vitbench, and what they measure unless they are told."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from pydantic import ValidationError

from tests.e2e.cli import vitbench
from vitbench import catalog
from vitbench.catalog.specs import TargetSpec
from vitbench.request import parse_request

BOARDS = ("orin", "orin-nano", "jetson-nano")
CARDS = ("a100", "h100", "h200")


def test_boards_and_cards_are_there() -> None:
    known = catalog.load_targets()
    for name in (*BOARDS, *CARDS, "rtx"):
        target = known[name]
        assert target.precision == "fp16"
        assert target.runtime == ("trtexec" if name == "jetson-nano" else "tensorrt")
        assert target.transport == ("local" if name == "rtx" else "ssh")
        assert target.devices
        assert target.needs
        assert target.lock_clocks == (name in BOARDS)


@pytest.mark.parametrize("name", CARDS)
def test_data_centre_gpus_are_measured_by_both_metrics(name: str) -> None:
    cells = parse_request(models=["effvit-b0"], targets=[name, "cpu"], metric=None).cells
    assert [(cell.target.name, cell.metric) for cell in cells] == [
        (name, "latency"),
        (name, "throughput"),
        ("cpu", "latency"),
    ]
    assert [cell.label.rpartition(" on ")[2] for cell in cells] == [
        f"{name}, latency",
        f"{name}, throughput",
        "cpu",
    ]


@pytest.mark.parametrize("metric", ["latency", "throughput"])
def test_a_metric_that_is_asked_for_is_the_only_one(metric: str) -> None:
    cells = parse_request(models=["effvit-b0"], targets=["a100", "cpu"], metric=metric).cells  # type: ignore[arg-type]
    assert [cell.metric for cell in cells] == [metric, metric]


def test_other_commands_measure_latency() -> None:
    assert [cell.metric for cell in parse_request(models=["effvit-b0"], targets=["a100"]).cells] == [
        "latency"
    ]


@pytest.mark.parametrize(
    "field",
    [
        {"metrics": []},
        {"metrics": ["speed"]},
        {"devices": ["-"]},
        {"devices": "A100"},
        {"lock_clocks": "yes!"},
    ],
)
def test_fields_that_make_no_sense(field: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        TargetSpec.model_validate(
            {"name": "x", "title": "", "transport": "local", "runtime": "tensorrt", **field}
        )


def test_show_tells_what_a_repeatable_measurement_needs(tmp_path: Path) -> None:
    done = vitbench("targets", "show", "orin", cwd=tmp_path)
    assert done.code == 0
    needs = [line for line in done.out.splitlines() if line.startswith("needs ")]
    assert len(needs) == len(catalog.resolve_target("orin").needs) > 3
    for word in ("nvpmodel -m 0", "jetson_clocks", "multi-user.target"):
        assert word in done.out
    assert "[" not in done.out
    told = json.loads(vitbench("targets", "show", "orin", "--json", cwd=tmp_path).out)
    assert told["devices"] == ["AGX Orin"]
