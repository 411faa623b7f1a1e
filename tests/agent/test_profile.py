"""A profile of ONNX Runtime, as it writes one, adds up to the time of each layer."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from vitbench.agent.backends import profile
from vitbench.agent.errors import AgentError


def layer(name: str, ts: int, dur: int, op_type: str = "Conv") -> dict[str, Any]:
    return {"cat": "Node", "name": f"{name}_kernel_time", "ts": ts, "dur": dur, "args": {"op_name": op_type}}


def iteration(ts: int, dur: int = 100) -> dict[str, Any]:
    return {"cat": "Session", "name": "model_run", "ts": ts, "dur": dur, "args": {}}


# The profiler writes an event when it ends: a run after its layers.
EVENTS = [
    {"cat": "Session", "name": "session_initialization", "ts": 1, "dur": 500, "args": {}},
    layer("a", 1010, 50),
    layer("b", 1060, 9, "Relu"),
    iteration(1000),
    layer("a", 2010, 20),
    layer("b", 2030, 3, "Relu"),
    iteration(2000),
    layer("a", 3010, 30),
    layer("b", 3040, 4, "Relu"),
    iteration(3000),
]


def test_the_last_iterations_are_added_up() -> None:
    assert profile.add_up(EVENTS, 2) == [
        {"name": "a", "op_type": "Conv", "total_ns": 50_000, "calls": 2},
        {"name": "b", "op_type": "Relu", "total_ns": 7_000, "calls": 2},
    ]


def test_what_ran_inside_of_a_layer_is_counted_once() -> None:
    events = [layer("inner", 10, 20), layer("inner", 30, 10), layer("loop", 10, 35), iteration(5)]
    assert [(each["name"], each["total_ns"]) for each in profile.add_up(events, 1)] == [("loop", 35_000)]


def test_too_few_iterations_are_told() -> None:
    with pytest.raises(AgentError, match="holds 3 iterations of 4"):
        profile.add_up(EVENTS, 4)


def test_the_file_is_gone_afterwards(tmp_path: Path) -> None:
    path = tmp_path / "profile.json"
    path.write_text(json.dumps(EVENTS))
    assert len(profile.read(path, 3)) == 2
    assert not path.exists()


def test_a_file_that_is_no_profile_is_told_and_gone(tmp_path: Path) -> None:
    path = tmp_path / "profile.json"
    path.write_text('[{"cat": ')
    with pytest.raises(AgentError, match="cannot read the profile"):
        profile.read(path, 1)
    assert not path.exists()


def test_a_full_profile_is_not_believed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(profile, "MAX_EVENTS", len(EVENTS))
    path = tmp_path / "profile.json"
    path.write_text(json.dumps(EVENTS))
    with pytest.raises(AgentError, match="the profile is full"):
        profile.read(path, 1)
