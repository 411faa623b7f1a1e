"""The benchmark of real gates: its command line, and what it says of gates that it finds."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import pytest

from benchmarks import gate_real
from tests.gate.test_outputs import cell, record, stage
from vitbench.errors import UsageError
from vitbench.records.store import Store


@pytest.mark.parametrize("kinds", ["foo", "null,foo", "null,", ""])
def test_unknown_kinds_are_a_usage_error(
    tmp_path: Path, kinds: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    results = tmp_path / "results"
    monkeypatch.setattr(gate_real, "calibrated", lambda *_: None)
    monkeypatch.setattr(sys, "argv", ["gate_real", "--results", str(results), "--kinds", kinds])
    with pytest.raises(SystemExit) as end:
        gate_real.main()
    assert end.value.code == 2
    told = capsys.readouterr().err
    assert f"--kinds: no kind '{kinds.rpartition(',')[2]}', there are null, 10, 5, cost" in told
    assert not results.exists()


SETTING = gate_real.Setting(
    conditions=gate_real.conditions("cpu"),
    latency_ms=0.8,
    pair_sd=0.01,
    pairs=10,
    limit=0.03,
    shares={"10": 0.1, "5": 0.05},
    achieved={"10": (1.1, 1.09, 1.11), "5": (1.05, 1.04, 1.06)},
)
FLAGGED = stage(1.1).model_copy(update={"outcome": "flagged"})


def keep(place: Path, kind: str, *, count: int, passed: int = 0, by_memory: int = 0) -> None:
    """Store so many gates of a kind; those that neither pass nor fail by memory are slower in both stages."""
    for seed in range(count):
        if seed < passed:
            found = cell("effvit-b0:96x96 on cpu", "PASS")
        else:
            stages = (FLAGGED,) if seed < passed + by_memory else (FLAGGED, FLAGGED)
            found = cell("effvit-b0:96x96 on cpu", "REGRESSION", stages=stages)
        name = f"20261121T081500Z-gate-{kind}-0x0-cpu-{seed:08x}"
        Store(place / kind).save(record(found, id=name, seed=seed))


def keep_all(place: Path) -> None:
    """A series in which every promise is kept."""
    for kind, passed in (("null", 50), ("10", 0), ("5", 1), ("cost", 1)):
        keep(place, kind, count=gate_real.RUNS[kind], passed=passed)


def test_a_whole_series_that_keeps_its_promises(tmp_path: Path) -> None:
    keep_all(tmp_path)
    lines, kept = gate_real.summarise(tmp_path, SETTING)
    assert kept
    assert (
        lines[4]
        == "| null | - | 50 | 50 PASS | no REGRESSION; 100.0% PASS | 0 REGRESSION; 100.0% PASS | kept |"
    )
    assert "| 20 | 20 REGRESSION | caught in 98.0%, at least 19 of 20 | caught in 100.0% | kept |" in lines[5]
    assert lines[-1].endswith("62 s, 1 PASS; under 5 min was promised")


@pytest.mark.parametrize(
    ("kind", "gates", "told"),
    [
        ("null", {"passed": 49}, "NOT KEPT"),
        ("null", {"count": 49, "passed": 49}, "kept, 1 to come"),
        ("10", {"passed": 2}, "NOT KEPT"),
        ("10", {"by_memory": 2}, "NOT KEPT"),
        ("10", {"count": 19}, "kept, 1 to come"),
        ("5", {"passed": 12}, "NOT KEPT"),
        ("5", {"count": 0}, "kept, 20 to come"),
        ("cost", {}, "1 REGRESSION; under"),
        ("cost", {"count": 0}, "to come; under"),
    ],
)
def test_one_promise_that_is_not_kept_or_not_shown(
    tmp_path: Path, kind: str, gates: dict[str, int], told: str
) -> None:
    keep_all(tmp_path)
    shutil.rmtree(tmp_path / kind)
    keep(tmp_path, kind, **{"count": gate_real.RUNS[kind], **gates})
    lines, kept = gate_real.summarise(tmp_path, SETTING)
    assert not kept
    (line,) = (line for line in lines if line.startswith((f"| {kind} |", "the gate over")) and told in line)
    assert line.startswith("the gate over" if kind == "cost" else f"| {kind} |")


def test_one_miss_in_twenty_is_allowed(tmp_path: Path) -> None:
    keep_all(tmp_path)
    shutil.rmtree(tmp_path / "10")
    keep(tmp_path, "10", count=20, passed=1)
    assert gate_real.summarise(tmp_path, SETTING)[1]


def test_gates_of_other_conditions_are_not_mixed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "setting.json").write_text(json.dumps(vars(SETTING)))
    assert gate_real.calibrated(tmp_path, "cpu", 28) == SETTING
    with pytest.raises(UsageError, match="of other conditions"):
        gate_real.calibrated(tmp_path, "other", 28)
    monkeypatch.setenv("GLIBC_TUNABLES", "glibc.malloc.hugetlb=1")
    with pytest.raises(UsageError, match="of other conditions"):
        gate_real.calibrated(tmp_path, "cpu", 28)
