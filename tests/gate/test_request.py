"""What a gate is asked to do: the cells that are chosen, their limits and waivers, options of devices."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.gate.scripted import Scene, write_target
from tests.gate.test_gate import MODEL, run, save
from vitbench.catalog import DeviceOptions
from vitbench.errors import UsageError
from vitbench.gate.baseline import place_of, read
from vitbench.gate.config import Config
from vitbench.gate.outcome import exit_code
from vitbench.gate.request import AskedGate, PlannedCell, plan_gate
from vitbench.gate.save import requests_of


def test_a_living_waiver_keeps_a_regression_from_failing(scene: Scene, tmp_path: Path) -> None:
    write_target(tmp_path)
    save()
    write_target(tmp_path, latency_ms=5.5)
    waiver = '[[waivers]]\nmatch = "attention-8x16*"\nreason = "known, see the plan"\nexpires = {}\n'
    (tmp_path / "gate.toml").write_text(waiver.format("2999-01-31"))
    record = run()
    (cell,) = record.cells
    assert cell.verdict == "REGRESSION"
    assert cell.waived is not None
    assert cell.waived.reason == "known, see the plan"
    assert exit_code(record) == 0
    (tmp_path / "gate.toml").write_text(waiver.format("2020-01-31"))
    record = run()
    assert record.cells[0].waived is None
    assert exit_code(record) == 1
    assert "expired on 2020-01-31" in record.cells[0].notes[0]


def test_a_cell_s_own_limit_and_pairs(scene: Scene, tmp_path: Path) -> None:
    write_target(tmp_path)
    save()
    write_target(tmp_path, latency_ms=5.5)
    (tmp_path / "gate.toml").write_text(
        '[[cells]]\nmatch = "attention-8x16:4x4"\nmax_regression = "15%"\npairs = 12\n'
        '[[cells]]\nmatch = "effvit-b7*"\nmax_regression = 0.2\n'
    )
    record = run()
    (cell,) = record.cells
    assert (cell.verdict, cell.limit, len(cell.stages[0].log_ratios)) == ("PASS", 0.15, 12)
    (note,) = record.notes
    assert note.startswith('[[cells]] match = "effvit-b7*" covers no cell of this gate')


def test_options_of_devices_are_for_those_they_mean(scene: Scene, tmp_path: Path) -> None:
    """A host of a board says nothing of the cells of this machine, in a baseline of both."""
    board = 'name = "rack"\ntitle = "a board"\ntransport = "ssh"\nruntime = "onnxruntime"\n'
    write_target(tmp_path)
    (tmp_path / "targets" / "rack.toml").write_text(board)
    (tmp_path / "targets" / "shelf.toml").write_text(board.replace("rack", "shelf"))
    save()
    here = DeviceOptions(host="user@there")
    requests = {
        name: request for _, name, request in requests_of([MODEL], ["board", "rack"], [], device=here)
    }
    assert requests["rack"].cells[0].target.host == "user@there"
    assert requests["board"].cells[0].target.host is None
    place = place_of("main", "results")
    saved = read(place)

    def planned(*targets: str) -> dict[str, PlannedCell]:
        (cell,) = saved.cells
        cells = tuple(
            cell.model_copy(update={"target": name, "asked": cell.asked.model_copy(update={"target": name})})
            for name in targets
        )
        both = saved.model_copy(update={"cells": cells})
        asked = AskedGate(simulated=True, device=here)
        return {each.baseline.target: each for each in plan_gate(both, place, Config(), asked).cells}

    assert planned("board", "rack")["board"].problem is None
    assert "scripted" in str(planned("board", "rack")["rack"].problem)
    with pytest.raises(UsageError, match="--host is of boards, and board is none"):
        planned("board")
    # One board may be measured in several ways; and a lost target may be the one that is meant.
    assert set(planned("rack", "shelf")) == {"rack", "shelf"}
    assert "unknown target" in str(planned("board", "lost")["lost"].problem)


def test_selection(scene: Scene, tmp_path: Path) -> None:
    write_target(tmp_path, name="board")
    write_target(tmp_path, name="other")
    save((MODEL, "attention-8x16:8x8"), ("board", "other"))
    record = run(AskedGate(models=("attention-8x16:4x4",), targets=("other",), simulated=True, pairs=7))
    assert [cell.label for cell in record.cells] == ["attention-8x16:4x4 on other"]
    assert record.cells[0].stages[0].pairs_wanted == 7
    for asked in (
        AskedGate(models=("segformer*",), simulated=True),
        AskedGate(targets=("sim",), simulated=True),
    ):
        with pytest.raises(UsageError, match="nothing to gate"):
            run(asked)
    # One that means nothing is not left out in silence because another one means something.
    for asked, told in (
        (AskedGate(models=(MODEL, "attention-8x61*"), simulated=True), "-m attention-8x61"),
        (AskedGate(targets=("other", "sim"), simulated=True), "-t sim"),
    ):
        with pytest.raises(UsageError, match=f"nothing to gate for {told}"):
            run(asked)
    with pytest.raises(UsageError, match="scripted, so nothing would be gated"):
        run(AskedGate())
    with pytest.raises(UsageError, match="--pairs must be from 7 to 500"):
        run(AskedGate(simulated=True, pairs=6))


def test_a_limit_that_is_none_is_refused(scene: Scene, tmp_path: Path) -> None:
    write_target(tmp_path)
    save()
    for limit in (0.0, -0.1, 1.0):
        with pytest.raises(UsageError, match="limit must be above 0 and below 1"):
            run(AskedGate(simulated=True, limit=limit))
