"""Devices that die or leave while they are gated: neither a pass nor a regression."""

from __future__ import annotations

import errno
import signal
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.cli import in_process
from tests.gate.scripted import Scene, write_target
from tests.gate.test_gate import Heard, run, save
from vitbench.errors import TargetUnreachable
from vitbench.gate import stages
from vitbench.gate.outcome import exit_code
from vitbench.pipeline.bench import Bench
from vitbench.pipeline.gate import SAMPLES
from vitbench.records.files import LocalFiles
from vitbench.records.gate import GateRecord
from vitbench.records.store import Store


def test_a_device_that_dies_is_neither_pass_nor_regression(scene: Scene, tmp_path: Path) -> None:
    write_target(tmp_path)
    save()
    scene.dies_at = 0
    heard = Heard()
    record = run(heard=heard)
    (cell,) = record.cells
    assert cell.verdict == "NOT MEASURED"
    assert "exited with code 70" in cell.reasons[0]
    assert exit_code(record) == 5
    assert any("scripted crash" in note for note in heard.notes)


def test_a_device_that_leaves_in_the_middle(scene: Scene, tmp_path: Path) -> None:
    """What it measured until then decides nothing, whatever it says."""
    write_target(tmp_path)
    save()
    write_target(tmp_path, latency_ms=6.0)
    scene.leaves_at = 11
    record = run()
    (cell,) = record.cells
    assert len(cell.stages[0].log_ratios) == 5
    assert cell.stages[0].outcome == "open"
    assert cell.verdict == "NOT MEASURED"
    assert exit_code(record) == 4
    assert exit_code(record, allow_inconclusive=True) == 4


def test_a_device_that_leaves_in_the_middle_regresses_by_memory_as_little(
    scene: Scene, tmp_path: Path
) -> None:
    write_target(tmp_path)
    save()
    scene.scripts.clear()
    scene.memory_mb = {"baseline": 100.0, "candidate": 112.0}
    scene.leaves_at = 11
    record = run()
    (cell,) = record.cells
    assert "memory" not in {check.name for check in cell.checks}
    assert (cell.verdict, exit_code(record)) == ("NOT MEASURED", 4)


@pytest.mark.parametrize(("befalls", "code"), [("leaves_at", 4), ("dies_at", 5)])
@pytest.mark.parametrize("block", [40, 60, 71])
def test_a_device_that_is_lost_in_the_second_stage(
    scene: Scene, tmp_path: Path, befalls: str, code: int, block: int
) -> None:
    """From its first block, in its middle, with its last: a regression needs the whole of both stages."""
    write_target(tmp_path)
    save()
    write_target(tmp_path, latency_ms=6.0)
    setattr(scene, befalls, block)
    record = run()
    (cell,) = record.cells
    assert cell.stages[0].outcome == "flagged"
    assert (cell.verdict, exit_code(record)) == ("NOT MEASURED", code)
    assert exit_code(record, allow_inconclusive=True) == code


def test_one_cell_that_fails_does_not_stop_the_others(
    scene: Scene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_target(tmp_path, name="board")
    write_target(tmp_path, name="gone")
    save(targets=("gone", "board"))

    def unreachable(target: object) -> object:
        if getattr(target, "name", "") == "gone":
            raise TargetUnreachable("no route to gone", "plug it in")
        return original(target)

    from vitbench import transport

    original = transport.open
    monkeypatch.setattr(transport, "open", unreachable)
    record = run()
    assert [cell.verdict for cell in record.cells] == ["NOT MEASURED", "PASS"]
    assert record.cells[0].reasons == ("no route to gone", "plug it in")
    assert exit_code(record) == 4


def test_a_full_disk_costs_its_cell_and_no_other(
    scene: Scene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was decided before stands, and so do its finished pairs: the next command saves them."""
    write_target(tmp_path, name="board")
    write_target(tmp_path, name="other")
    save(targets=("board", "other"))
    write_target(tmp_path, name="board", latency_ms=6.0)
    befall, begun = scene.befall, len(scene.opened)

    def full(block: int) -> None:
        # Two checks of each cell's sides, the first cell's twenty blocks, some of the second's.
        if len(scene.opened) == begun + 4 + 20 + 8:
            raise OSError(errno.ENOSPC, "No space left on device", "/tmp/input.bin")
        befall(block)

    monkeypatch.setattr(scene, "befall", full)
    heard = Heard()
    record = run(heard=heard)
    assert [cell.verdict for cell in record.cells] == ["REGRESSION", "NOT MEASURED"]
    assert record.cells[1].reasons[0] == "cannot go on: /tmp/input.bin: No space left on device"
    assert (record.cells[1].exit_code, exit_code(record)) == (2, 1)
    monkeypatch.setattr(scene, "befall", befall)
    run(heard=heard)
    assert any("saved 3 finished pairs" in note for note in heard.notes)


def finished() -> GateRecord:
    """A gate, which Ctrl-C must not end; it would end pytest, too."""
    try:
        return run()
    except KeyboardInterrupt:
        pytest.fail("the verdicts are lost")


def test_ctrl_c_while_links_close_loses_no_verdict(
    scene: Scene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_target(tmp_path)
    save()
    write_target(tmp_path, latency_ms=6.0)

    leave = Bench.__exit__

    def interrupted(bench: Bench, *error: Any) -> None:
        leave(bench, *error)
        raise KeyboardInterrupt

    monkeypatch.setattr(Bench, "__exit__", interrupted)
    record = finished()
    assert record.interrupted
    assert [cell.verdict for cell in record.cells] == ["REGRESSION"]
    assert exit_code(record) == 1


def test_ctrl_c_while_it_is_judged_and_recorded_loses_no_verdict(
    scene: Scene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All was measured: one is overlooked, and the next acts as ever."""
    write_target(tmp_path)
    save()
    write_target(tmp_path, latency_ms=6.0)
    visible, pressed = stages.visible_today, [1]

    def interrupted(*arguments: Any) -> float | None:
        for _ in range(pressed[0]):
            signal.raise_signal(signal.SIGINT)
        return visible(*arguments)

    monkeypatch.setattr(stages, "visible_today", interrupted)
    before = signal.getsignal(signal.SIGINT)
    record = finished()
    assert (record.cells[0].verdict, record.interrupted) == ("REGRESSION", False)
    assert Store("results").has(record.id)
    pressed[0] = 2
    with pytest.raises(KeyboardInterrupt):
        run(seed=2)
    assert signal.getsignal(signal.SIGINT) is before


def test_verdicts_that_cannot_be_recorded_are_told(
    scene: Scene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The disk of the results is full by then: a regression stays one, and anything else is an error."""
    write_target(tmp_path)
    save()
    write = LocalFiles.write

    def write_or_not(files: LocalFiles, name: str, data: bytes) -> None:
        if "gate-against" in name and f"/{SAMPLES}" not in str(files.root):
            raise OSError(errno.ENOSPC, "No space left on device")
        write(files, name, data)

    monkeypatch.setattr(LocalFiles, "write", write_or_not)
    for latency_ms, verdict, code in ((5.0, "PASS", 2), (6.0, "REGRESSION", 1)):
        write_target(tmp_path, latency_ms=latency_ms)
        done = in_process("gate", "--simulated", "--seed", "1", cwd=tmp_path)
        assert verdict in done.out
        assert "no space left" in done.err
        assert "hint: make room, and gate again or keep what is shown here" in done.err
        assert done.code == code
