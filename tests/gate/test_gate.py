"""The gate from a saved baseline to its verdicts, on scripted devices."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.gate.scripted import Scene, write_target
from vitbench.gate import stages
from vitbench.gate.baseline import place_of, read
from vitbench.gate.outcome import exit_code
from vitbench.gate.request import AskedGate
from vitbench.gate.save import requests_of
from vitbench.measure import CellProgress
from vitbench.pipeline import device as device_of_pipeline
from vitbench.pipeline import gate_cell
from vitbench.pipeline.baseline import save_baseline
from vitbench.pipeline.device import Device, KnownParity
from vitbench.pipeline.gate import gate_baseline
from vitbench.pipeline.progress import Progress
from vitbench.records.comparison import Comparison
from vitbench.records.gate import GateRecord
from vitbench.records.schema import Header
from vitbench.records.store import Store

MODEL = "attention-8x16:4x4"
SCRIPTED = AskedGate(simulated=True)


class Heard:
    """Keeps what a pipeline says."""

    def __init__(self) -> None:
        self.notes: list[str] = []

    def stage(self, cell: str, text: str) -> None:
        """Say nothing."""

    def measuring(self, cell: str, progress: CellProgress) -> None:
        """Say nothing."""

    def note(self, text: str) -> None:
        """Keep a line."""
        self.notes.append(text)


def save(
    models: tuple[str, ...] = (MODEL,), targets: tuple[str, ...] = ("board",), name: str = "main"
) -> None:
    save_baseline(requests_of(models, targets, []), place_of(name, "results"), Heard())


def run(asked: AskedGate = SCRIPTED, *, seed: int = 1, heard: Heard | None = None) -> GateRecord:
    return gate_baseline(None, asked, "results", heard or Heard(), seed=seed)


def edit_baseline(change: Callable[[dict[str, Any]], None]) -> None:
    """Change the first cell of the saved baseline."""
    path = Path("results/baselines/main.json")
    document = json.loads(path.read_text())
    change(document["cells"][0])
    path.write_text(json.dumps(document))


def test_nothing_changed_passes_in_one_stage(scene: Scene, tmp_path: Path) -> None:
    write_target(tmp_path)
    save()
    heard = Heard()
    record = run(heard=heard)
    (cell,) = record.cells
    assert cell.verdict == "PASS"
    assert exit_code(record) == 0
    assert [stage.stage for stage in cell.stages] == [1]
    assert len(cell.stages[0].log_ratios) == 10
    assert cell.visible is not None
    assert 0.03 < cell.visible < 0.06
    assert heard.notes[0].startswith("gating 1 cell")


def test_a_slowdown_is_a_regression_in_two_stages(scene: Scene, tmp_path: Path) -> None:
    write_target(tmp_path)
    save()
    write_target(tmp_path, latency_ms=5.5)
    scene.opened.clear()
    record = run()
    (cell,) = record.cells
    assert cell.verdict == "REGRESSION"
    assert exit_code(record) == 1
    first, second = cell.stages
    assert (first.outcome, second.outcome) == ("flagged", "flagged")
    assert (len(first.log_ratios), len(second.log_ratios)) == (10, 16)
    assert second.ratio == pytest.approx(1.1, abs=0.01)
    # Fresh blocks: no number, and so no random number, comes twice.
    measured = scene.opened[2:]
    assert len(measured) == len(set(measured)) == 52
    assert set(first.log_ratios).isdisjoint(second.log_ratios)


def test_a_slowdown_that_no_clock_was_there_for_says_so(
    scene: Scene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stages, "in_cycles", lambda *_: None)
    write_target(tmp_path)
    save()
    write_target(tmp_path, latency_ms=5.5)
    (cell,) = run().cells
    assert [stage.cycles_ratio for stage in cell.stages] == [None, None]
    assert any(note.startswith("not looked at in clock cycles") for note in cell.notes)


def test_a_gain_is_an_improvement(scene: Scene, tmp_path: Path) -> None:
    write_target(tmp_path)
    save()
    write_target(tmp_path, latency_ms=4.5)
    record = run()
    assert record.cells[0].verdict == "IMPROVEMENT"
    assert exit_code(record) == 0


def test_noise_is_inconclusive_and_not_a_pass(scene: Scene, tmp_path: Path) -> None:
    write_target(tmp_path, block_noise=0.1)
    save()
    record = run()
    (cell,) = record.cells
    assert cell.verdict == "INCONCLUSIVE"
    assert "too noisy" in cell.reasons[0]
    assert len(cell.stages) == 2
    assert exit_code(record) == 3
    assert exit_code(record, allow_inconclusive=True) == 0


def test_a_regression_wins_over_everything_else(scene: Scene, tmp_path: Path) -> None:
    write_target(tmp_path, name="board")
    write_target(tmp_path, name="other", block_noise=0.1)
    save(targets=("other", "board"))
    write_target(tmp_path, name="board", latency_ms=5.5)
    record = run()
    assert [cell.verdict for cell in record.cells] == ["INCONCLUSIVE", "REGRESSION"]
    assert exit_code(record, allow_inconclusive=True) == 1
    # Alpha of the second stage is shared by the two cells.
    assert {cell.stages[1].alpha for cell in record.cells} == {0.005}


def test_the_samples_are_kept_in_comparisons(scene: Scene, tmp_path: Path) -> None:
    write_target(tmp_path)
    save()
    record = run()
    stored, problems = Store("results").records()
    assert not problems
    assert [document.id for document in stored] == [record.id]
    assert stored[0] == record
    (comparison,), problems = Store("results/gates").records()
    assert not problems
    assert isinstance(comparison, Comparison)
    assert comparison.id == record.cells[0].stages[0].comparison
    assert [pair.log_ratio for pair in comparison.pairs] == list(record.cells[0].stages[0].log_ratios)
    assert comparison.row.study == record.id


def test_the_order_inside_pairs_is_another_one_each_time(scene: Scene, tmp_path: Path) -> None:
    write_target(tmp_path)
    save()
    orders = []
    for _ in range(4):
        record = gate_baseline(None, SCRIPTED, "results", Heard())
        comparison = Store("results/gates").read(str(record.cells[0].stages[0].comparison))
        assert isinstance(comparison, Comparison)
        orders.append(tuple(pair.first for pair in comparison.pairs))
    assert len(set(orders)) > 1


def test_a_slowdown_that_vanishes_in_cycles_is_inconclusive(scene: Scene, tmp_path: Path) -> None:
    write_target(tmp_path)
    save()
    scene.scripts.clear()
    write_target(tmp_path, latency_ms=5.4)
    # Within 90 % of the highest clock, so that no block is void.
    scene.clock_mhz = {"baseline": 2000.0, "candidate": 1840.0}
    record = run()
    (cell,) = record.cells
    assert cell.verdict == "INCONCLUSIVE"
    assert "vanishes in clock cycles: 1.07" in cell.reasons[0]


def test_memory_growth_fires_alone_and_tolerance_keeps_it_silent(scene: Scene, tmp_path: Path) -> None:
    write_target(tmp_path)
    save()
    scene.scripts.clear()
    scene.memory_mb = {"baseline": 100.0, "candidate": 109.0}
    silent = run().cells[0]
    assert silent.verdict == "PASS"
    scene.scripts.clear()
    scene.memory_mb = {"baseline": 100.0, "candidate": 112.0}
    record = run()
    (cell,) = record.cells
    assert cell.verdict == "REGRESSION"
    assert cell.reasons == ("memory: 100.0 MB -> 112.0 MB, +12.0%, 10% is tolerated",)
    assert cell.stages[0].outcome == "passed"
    assert exit_code(record) == 1


def test_a_baseline_of_another_machine(scene: Scene, tmp_path: Path) -> None:
    write_target(tmp_path)
    save()
    scene.facts = {"cpu_model": "another one"}
    record = run()
    (cell,) = record.cells
    assert cell.verdict == "NOT MEASURED"
    assert "is of another machine" in cell.reasons[0]
    assert exit_code(record) == 3
    allowed = run(AskedGate(simulated=True, other_machine=True))
    assert allowed.cells[0].verdict == "PASS"
    assert "both sides ran here" in allowed.cells[0].notes[0]


def test_a_baseline_of_another_protocol(scene: Scene, tmp_path: Path) -> None:
    write_target(tmp_path)
    save()
    edit_baseline(lambda cell: cell["protocol"].update(streams=2))
    record = run()
    (cell,) = record.cells
    assert cell.verdict == "NOT MEASURED"
    assert "another protocol: streams 2 and 1" in cell.reasons[0]
    assert exit_code(record) == 3
    assert cell.stages == ()


def test_a_baseline_whose_artifact_runs_in_another_way_now(
    scene: Scene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The candidate runs as it was saved, the baseline's artifact does not: nothing to compare with."""
    write_target(tmp_path)
    save()
    made: list[Header] = []

    def make_header(device: Device, progress: Progress, known: KnownParity | None = None) -> Header:
        header = device_of_pipeline.make_header(device, progress, known)
        made.append(header)
        streams = len(made)
        return header.model_copy(update={"protocol": header.protocol.model_copy(update={"streams": streams})})

    monkeypatch.setattr(gate_cell, "make_header", make_header)
    record = run()
    assert len(made) == 2
    assert record.cells[0].verdict == "NOT MEASURED"
    assert "another protocol: streams 1 and 2" in record.cells[0].reasons[0]
    assert exit_code(record) == 3


def test_a_candidate_that_has_no_name_any_more(scene: Scene, tmp_path: Path) -> None:
    write_target(tmp_path)
    save((MODEL, "attention-8x16:8x8"))
    edit_baseline(lambda cell: cell["asked"].update(model="effvit-b00"))
    record = run()
    assert [cell.verdict for cell in record.cells] == ["NOT MEASURED", "PASS"]
    assert "unknown model 'effvit-b00'" in record.cells[0].reasons[0]
    assert exit_code(record) == 2


def test_exact_growth_is_a_regression_without_timing(scene: Scene, tmp_path: Path) -> None:
    """A baseline of one parameter fewer; the same baseline without a change is silent."""
    write_target(tmp_path)
    save()
    silent = run().cells[0]
    assert {check.name: check.passed for check in silent.checks} == {
        "params": True,
        "macs": True,
        "memory": True,
    }
    edit_baseline(lambda cell: cell["counts"].update(params_deploy=silent_params(cell) - 1))
    record = run()
    (cell,) = record.cells
    assert cell.verdict == "REGRESSION"
    assert cell.stages == ()
    assert cell.reasons[0].startswith("params: ")
    assert cell.reasons[1] == "not timed: an exact gate failed"
    assert exit_code(record) == 1
    (tmp_path / "gate.toml").write_text(
        '[[waivers]]\nmatch = "*"\ngates = ["params"]\nreason = "a wider head"\nexpires = 2999-12-31\n'
    )
    record = run()
    assert len(record.cells[0].stages) == 1
    assert exit_code(record) == 0


def silent_params(cell: dict[str, Any]) -> int:
    """Parameters of a saved cell."""
    return int(cell["counts"]["params_deploy"])


def test_ctrl_c_keeps_what_was_decided(scene: Scene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_target(tmp_path, name="board")
    write_target(tmp_path, name="other")
    save(targets=("board", "other"))
    scene.opened.clear()
    befall = scene.befall

    def interrupt(block: int) -> None:
        # Two checks of each cell's sides, then the first cell's twenty blocks and some of the second's.
        if len(scene.opened) > 4 + 26:
            raise KeyboardInterrupt
        befall(block)

    monkeypatch.setattr(scene, "befall", interrupt)
    record = run()
    assert exit_code(record) == 130
    assert [cell.verdict for cell in record.cells] == ["PASS", "INCONCLUSIVE"]
    assert "interrupted by the user" in record.notes[0]
    assert read(place_of("main", "results")).cells


def test_ctrl_c_after_a_regression_was_decided(
    scene: Scene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_target(tmp_path, name="board")
    write_target(tmp_path, name="other")
    save(targets=("board", "other"))
    write_target(tmp_path, name="board", latency_ms=5.5)
    write_target(tmp_path, name="other", latency_ms=5.5)
    scene.opened.clear()
    befall = scene.befall

    def interrupt(block: int) -> None:
        # Both first stages, the second one of the first cell, and some of the other cell's.
        if len(scene.opened) > 4 + 2 * 20 + 32 + 6:
            raise KeyboardInterrupt
        befall(block)

    monkeypatch.setattr(scene, "befall", interrupt)
    record = run()
    assert record.interrupted
    assert [cell.verdict for cell in record.cells] == ["REGRESSION", "INCONCLUSIVE"]
    assert exit_code(record) == 1


def test_from_python(scene: Scene, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    from vitbench import api

    write_target(tmp_path)
    save()
    with caplog.at_level("INFO", logger="vitbench"):
        record = api.gate(pairs=7, max_regression=0.05, seed=1, simulated=True)
    assert (record.cells[0].verdict, record.cells[0].limit) == ("PASS", 0.05)
    assert "gating 1 cell" in caplog.text


def test_a_damaged_script_is_a_cell_that_is_not_measured(scene: Scene, tmp_path: Path) -> None:
    write_target(tmp_path)
    save()
    edit_baseline(lambda cell: cell["script"].update(latency_ms="soon"))
    record = run()
    assert record.cells[0].verdict == "NOT MEASURED"
    assert (
        "the script in the baseline of attention-8x16:4x4 on board is damaged" in record.cells[0].reasons[0]
    )
    assert exit_code(record) == 3
