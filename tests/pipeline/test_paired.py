"""One row in pairs: what its comparison says before the first of them, and when sides take turns."""

from __future__ import annotations

import json
import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.e2e.cli import vitbench
from vitbench.catalog import resolve_target
from vitbench.pipeline.paired import _can_take_turns, _macs_ratio
from vitbench.runtime import for_target

NETWORK = """\
from torch import nn


def build(**_):
    return nn.Sequential(nn.Conv2d(3, {width}, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten())
"""


@pytest.mark.parametrize(("first", "second", "ratio"), [(10, 5, 0.5), (0, 0, 1.0), (0, 5, math.inf)])
def test_networks_without_multiplications_have_a_ratio(first: int, second: int, ratio: float) -> None:
    assert _macs_ratio(first, second) == ratio


def side(target: str = "cpu", threads: int = 1, link: str = "here") -> tuple[Any, Any]:
    """A device and its header, as far as turns ask for them."""
    header = SimpleNamespace(protocol=SimpleNamespace(threads=threads))
    return SimpleNamespace(engine=for_target(resolve_target(target)), link=link), header


@pytest.mark.parametrize(
    ("first", "second", "turns"),
    [
        (side(), side(), True),
        (side("cpu-tflite"), side("cpu-tflite"), True),
        (side(threads=2), side(threads=2), False),
        (side(), side(threads=2), False),
        (side(), side(link="there"), False),
        (side("sim"), side("sim"), False),
        (side("cuda-torch"), side("cuda-torch"), False),
        (side("orin"), side("orin"), False),
    ],
)
def test_turns_are_taken_where_a_process_that_waits_leaves_the_machine_alone(
    first: tuple[Any, Any], second: tuple[Any, Any], turns: bool
) -> None:
    assert _can_take_turns([first[0], second[0]], [first[1], second[1]]) is turns


def test_a_comparison_on_a_cpu_is_timed_in_turns_on_one_cpu(tmp_path: Path) -> None:
    (tmp_path / "narrow.py").write_text(NETWORK.format(width=8))
    (tmp_path / "wide.py").write_text(NETWORK.format(width=16))
    sides = ("py:narrow.py:build", "py:wide.py:build")
    asked = ("-t", "cpu", "-r", "32", "--quick", "--allow-inconclusive")
    done = vitbench("compare", *sides, *asked, cwd=tmp_path, VITBENCH_CACHE=str(tmp_path / "cache"))
    assert done.code == 0, done.err
    (written,) = (tmp_path / "results").glob("2*.json")
    comparison = json.loads(written.read_text())
    for found in comparison["sides"]:
        assert (found["plan"]["turn_s"], found["plan"]["turn_ci_width"]) == (0.02, None)
        (cpu,) = found["protocol"]["affinity"]
        assert cpu in found["environment"]["facts"]["fastest_cpus"]
        assert all(block["turns"] for block in found["blocks"])
