"""The gate against stored sessions, and how a history is shown."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest

from benchmarks.example_records import change, example_record
from vitbench.errors import UsageError
from vitbench.gate.config import Config
from vitbench.gate.history import gate_history
from vitbench.gate.outcome import exit_code
from vitbench.records.gate import GateRecord
from vitbench.records.store import Store
from vitbench.report.gate import table
from vitbench.report.gate.history import tell
from vitbench.report.screen import Screen


def store(directory: Path, medians: list[float], *, start: int = 0, **changes: Any) -> None:
    """Keep one session per median, a minute apart."""
    place = Store(directory)
    for number, latency_ms in enumerate(medians, start):
        record = example_record(number, latency_ms=latency_ms, iterations=20, **changes)
        place.save(change(record, estimate={"latency_ms": latency_ms}))


def steady(count: int, sd: float = 0.005, level: float = 20.0) -> list[float]:
    source = random.Random(count)
    return [level * (1 + sd * source.gauss(0, 1)) for _ in range(count)]


def judge(directory: Path, **asked: Any) -> GateRecord:
    return gate_history(str(directory), Config(), **asked)


def test_within_the_limit_passes(tmp_path: Path) -> None:
    store(tmp_path, [*steady(12), 20.3])
    record = judge(tmp_path)
    (cell,) = record.cells
    assert cell.verdict == "PASS"
    assert exit_code(record) == 0
    assert cell.history is not None
    assert cell.history.sessions == 12
    assert "12 sessions predict up to +" in cell.notes[0]


def test_a_regression_is_advisory_unless_strict(tmp_path: Path) -> None:
    store(tmp_path, [*steady(12), 22.0])
    record = judge(tmp_path)
    (cell,) = record.cells
    assert cell.verdict == "REGRESSION"
    assert (exit_code(record), exit_code(judge(tmp_path, strict=True))) == (0, 1)
    text = table.render(record, Screen())
    assert "+10." in text
    assert "advisory" in text


def test_each_precision_is_a_cell(tmp_path: Path) -> None:
    """A good run in half precision hides no slower one in single precision."""
    store(tmp_path, [*steady(12), 22.0])
    store(tmp_path, [*steady(12, level=10.0), 10.0], start=100, protocol={"precision": "fp16"})
    record = judge(tmp_path)
    assert {cell.label.rpartition(" ")[2]: cell.verdict for cell in record.cells} == {
        "fp32": "REGRESSION",
        "fp16": "PASS",
    }
    assert not record.notes


def test_each_metric_is_a_cell(tmp_path: Path) -> None:
    """A good throughput hides no slower latency."""
    store(tmp_path, [*steady(12), 22.0])
    store(tmp_path, steady(13), start=100, protocol={"metric": "throughput"})
    record = judge(tmp_path)
    verdicts = {cell.label.rpartition(" ")[2]: cell.verdict for cell in record.cells}
    assert set(verdicts) == {"latency", "throughput"}
    assert verdicts["latency"] == "REGRESSION"


def test_a_noisy_history_is_inconclusive(tmp_path: Path) -> None:
    store(tmp_path, [*steady(12, sd=0.05), 21.0])
    record = judge(tmp_path)
    assert record.cells[0].verdict == "INCONCLUSIVE"
    assert exit_code(record) == 3


@pytest.mark.parametrize(
    "other",
    [
        {"environment": {"machine_key": "ffffffffffff"}},
        {"protocol": {"threads": 2}},
        {"status": "inconclusive"},
        {"plan": {"preset": "quick"}},
    ],
)
def test_under_ten_sessions_of_the_same_kind_it_refuses(tmp_path: Path, other: dict[str, Any]) -> None:
    store(tmp_path, steady(9, level=10.0), **other)
    store(tmp_path, [*steady(9), 40.0], start=100)
    record = judge(tmp_path)
    (cell,) = record.cells
    assert cell.verdict == "NOT MEASURED"
    assert cell.reasons[0].startswith("9 earlier sessions of this machine and protocol, 10 are needed")
    assert exit_code(record) == 3


def test_the_newest_run_of_another_machine_is_not_judged_by_this_one(tmp_path: Path) -> None:
    store(tmp_path, steady(13))
    store(tmp_path, [40.0], start=50, environment={"machine_key": "ffffffffffff"})
    record = judge(tmp_path)
    (cell,) = record.cells
    assert cell.verdict == "NOT MEASURED"
    assert cell.reasons[0].startswith("0 earlier sessions")


def test_selection_and_scripted_runs(tmp_path: Path) -> None:
    store(tmp_path, steady(12), simulated=True, artifact=None, parity=None)
    with pytest.raises(UsageError, match="scripted ones would be with --simulated"):
        judge(tmp_path)
    assert judge(tmp_path, simulated=True).simulated
    with pytest.raises(UsageError, match="nothing to gate"):
        judge(tmp_path, simulated=True, models=["segformer*"])
    assert judge(tmp_path, simulated=True, models=["effvit-b2:224"], targets=["c*"]).cells


def test_a_history_is_shown_with_its_changes(tmp_path: Path) -> None:
    store(tmp_path, [*steady(10), *steady(8, level=22.0)])
    text, code = tell(str(tmp_path), "effvit-b2", targets=["cpu"])
    assert code == 0
    assert "18 sessions" in text
    lines = text.splitlines()
    (mark,) = [number for number, line in enumerate(lines) if line.startswith("--")]
    assert mark - 2 == 10
    assert "+10." in lines[mark]
    assert "advisory" in lines[-1]
    (document,) = json.loads(tell(str(tmp_path), "effvit-*:224", form="json")[0])
    assert document["changes"][0]["index"] == 10
    assert document["changes"][0]["ratio"] == pytest.approx(1.1, abs=0.01)
    assert "from here on" in tell(str(tmp_path), "effvit-b2", form="markdown")[0]


def test_a_history_without_ruptures_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "ruptures", None)
    store(tmp_path, [*steady(10), *steady(8, level=22.0)])
    text, code = tell(str(tmp_path), "effvit-b2")
    assert code == 0
    assert "vitbench[history]" in text


def test_no_history(tmp_path: Path) -> None:
    assert tell(str(tmp_path), "effvit-b2") == (f"no sessions of effvit-b2 in {tmp_path}\n", 3)
    with pytest.raises(UsageError, match="no format `csv`"):
        tell(str(tmp_path), "effvit-b2", form="csv")


def test_waivers_hold_against_a_history_too(tmp_path: Path) -> None:
    store(tmp_path, [*steady(12), 22.0])
    for expires, code in (("2999-01-31", 0), ("2020-01-31", 1)):
        waiver = {"match": "effvit-b2", "reason": "known", "expires": expires}
        record = gate_history(str(tmp_path), Config.model_validate({"waivers": [waiver]}), strict=True)
        assert record.cells[0].verdict == "REGRESSION"
        assert exit_code(record) == code
    assert "expired on 2020-01-31" in record.cells[0].notes[-1]


def test_what_is_not_judged_is_told(tmp_path: Path) -> None:
    store(tmp_path, steady(13), protocol={"threads": 2})
    store(tmp_path, steady(13), start=50)
    record = judge(tmp_path)
    assert [cell.verdict for cell in record.cells] == ["PASS"]
    assert "not judged are the older runs of 1 other machine or protocol" in record.notes[0]


@pytest.mark.parametrize("status", ["parity-failed", "inconclusive"])
def test_a_newest_run_of_no_use_is_not_passed_by_the_one_before_it(tmp_path: Path, status: str) -> None:
    store(tmp_path, steady(13))
    store(tmp_path, [20.0], start=50, status=status)
    record = judge(tmp_path)
    (cell,) = record.cells
    assert cell.verdict == "NOT MEASURED"
    assert cell.reasons[0].endswith(f"is {status}")
    assert exit_code(record) == 3
    store(tmp_path, [20.0], start=60)
    # A look, which is no session, takes nothing from the run before it.
    store(tmp_path, [40.0], start=70, plan={"preset": "quick"})
    assert judge(tmp_path).cells[0].verdict == "PASS"


def test_a_misspelt_cell_is_not_left_out_in_silence(tmp_path: Path) -> None:
    store(tmp_path, steady(12))
    with pytest.raises(UsageError, match="nothing to gate for -m efvit-b1, -t orn"):
        judge(tmp_path, models=["effvit-b2", "efvit-b1"], targets=["cpu", "orn"])


def test_a_phone_has_its_own_limit(tmp_path: Path) -> None:
    place = Store(tmp_path)
    for number, latency_ms in enumerate([*steady(12), 20.8]):
        record = example_record(number, latency_ms=latency_ms, iterations=20)
        place.save(change(record, estimate={"latency_ms": latency_ms}, target={"transport": "adb"}))
    (cell,) = judge(tmp_path).cells
    assert (cell.limit, cell.verdict) == (0.05, "PASS")


def test_a_misspelt_table_is_told(tmp_path: Path) -> None:
    store(tmp_path, [*steady(12), 20.3])
    config = Config.model_validate({"cells": [{"match": "effvit-b77"}, {"match": "*"}]})
    (note,) = gate_history(str(tmp_path), config).notes
    assert note.startswith('[[cells]] match = "effvit-b77" covers no cell')
