"""The commands around the gate as processes: help, calibrate, against the history; and what they import."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.cli import in_process, vitbench
from tests.e2e.test_imports import PROBE
from tests.gate.scripted import write_target
from tests.gate.test_history import steady, store
from vitbench.cli.main import app
from vitbench.errors import UsageError

NEVER = {"torch", "onnx", "onnxscript", "onnxruntime", "tensorrt"}


@pytest.fixture
def measured(tmp_path: Path) -> Path:
    """A directory with twelve sessions, and one that is slower."""
    store(tmp_path / "results", [*steady(12), 22.0])
    return tmp_path


def test_against_the_history(measured: Path) -> None:
    asked = ("gate", "--against-history", "-m", "effvit-b2", "-t", "cpu")
    advisory = in_process(*asked, cwd=measured)
    assert advisory.code == 0, advisory.err
    assert "REGRESSION" in advisory.out
    assert "advisory" in advisory.out
    strict = in_process(*asked, "--strict", "--json", cwd=measured)
    assert strict.code == 1, strict.err
    assert strict.json()["mode"] == "history"
    refused = in_process("gate", "--against-history", "-m", "cga*", cwd=measured)
    assert refused.code == 2
    assert "nothing to gate" in refused.err


@pytest.mark.parametrize(
    "options",
    [
        ("--baseline", "main"),
        ("--pairs", "7"),
        ("--allow-other-machine",),
        ("--artifacts", "there"),
        ("--seed", "0"),
        ("--weights", "w.pt"),
        ("--host", "local"),
        ("--serial", "x"),
        ("--benchmark-binary", "b"),
        ("--cluster", "big"),
        ("--no-cache",),
    ],
)
def test_a_history_takes_no_options_of_a_measurement(
    measured: Path, options: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(measured)
    with pytest.raises(UsageError, match=f"^{options[0]}: of a gate that measures") as caught:
        app(["gate", "--against-history", *options], standalone_mode=False)
    assert caught.value.hint == f"drop {options[0]}"


def test_all_options_that_a_history_does_not_take_are_named(measured: Path) -> None:
    done = in_process("gate", "--against-history", "--pairs", "7", "--weights", "w.pt", cwd=measured)
    assert (done.code, done.out) == (2, "")
    assert "--weights" in done.err
    assert "--pairs" in done.err
    assert "Traceback" not in done.err


def test_a_history_as_a_report(measured: Path) -> None:
    done = in_process("report", "--history", "effvit-b2", "-t", "cpu", cwd=measured)
    assert done.code == 0, done.err
    assert "13 sessions" in done.out
    assert in_process("report", "--history", "cga-m0", cwd=measured).code == 3
    in_process("report", "--history", "effvit-b2", "-f", "json", "-o", "history.json", cwd=measured)
    assert len(json.loads((measured / "history.json").read_text())[0]["sessions"]) == 13


@pytest.mark.parametrize(
    "arguments",
    [
        ["gate", "--against-history"],
        ["gate", "--help"],
        ["baseline", "list"],
        ["calibrate", "--help"],
        ["report", "--history", "effvit-b2"],
    ],
)
def test_they_import_neither_torch_nor_a_runtime(measured: Path, arguments: list[str]) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROBE, json.dumps(arguments)],
        cwd=measured,
        capture_output=True,
        text=True,
        check=True,
    )
    seen = json.loads(done.stdout.splitlines()[-1])
    assert seen["code"] == 0, done.stderr
    assert not set(seen["modules"]) & NEVER


def test_calibrate_proposes_a_gate(tmp_path: Path) -> None:
    write_target(tmp_path)
    asked = ("calibrate", "-m", "attention-8x16:4x4", "-t", "board", "--pairs", "8")
    done = vitbench(*asked, cwd=tmp_path)
    assert done.code == 0, done.err
    assert "P(all 1 pass when nothing changed)" in done.out
    assert 'match = "attention-8x16:4x4"' in done.out
    assert vitbench("calibrate", "-t", "board", cwd=tmp_path).code == 2
