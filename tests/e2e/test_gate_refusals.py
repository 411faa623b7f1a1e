"""What keeps a gate from looking is never a PASS and never a REGRESSION: the real command and its code."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.cli import Done, vitbench
from tests.gate.scripted import write_target

MODEL = "attention-8x16:4x4"
BASELINE = Path("results/baselines/main.json")


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with a scripted target and a baseline of it, saved by the real command."""
    made = tmp_path_factory.mktemp("saved")
    write_target(made)
    done = vitbench("baseline", "save", "-m", MODEL, "-t", "board", cwd=made)
    assert done.code == 0, done.err
    assert "board" in vitbench("baseline", "list", cwd=made).out
    return made


@pytest.fixture
def place(saved: Path, tmp_path: Path) -> Path:
    """A copy of it."""
    return shutil.copytree(saved, tmp_path / "place")


def edit(place: Path, change: Callable[[dict[str, Any]], None]) -> None:
    """Change the one cell of the baseline."""
    document = json.loads((place / BASELINE).read_text())
    change(document["cells"][0])
    (place / BASELINE).write_text(json.dumps(document))


def gate(place: Path, *more: str) -> Done:
    done = vitbench("gate", "--simulated", *more, cwd=place)
    assert "Traceback" not in done.err
    return done


def refused(done: Done, code: int, told: str) -> None:
    """The gate ended with a code and these words; nothing passed, and nothing regressed."""
    assert done.code == code, done.err
    assert told in done.out + done.err
    for verdict in ("PASS", "REGRESSION"):
        assert verdict not in done.out


def test_a_killed_device(place: Path) -> None:
    path = write_target(place)
    path.write_text(path.read_text() + "crash_at_load = true\n")
    done = gate(place)
    refused(done, 5, "NOT MEASURED")
    assert "scripted crash" in done.err


@pytest.mark.parametrize("block", [8, 45])
def test_a_device_that_dies_in_a_stage(place: Path, block: int) -> None:
    """In the first of them, which then goes to the second; in the second, of which nothing is to come."""
    path = write_target(place, latency_ms=6.0)
    path.write_text(path.read_text() + f"crash_in_block = {block}\n")
    # With this seed these blocks are the candidate's.
    done = gate(place, "--json", "--seed", "1")
    (cell,) = done.json()["cells"]
    lost = 1 if block < 40 else 2
    assert [len(stage["log_ratios"]) for stage in cell["stages"]] == [10 - (lost == 1), 16 - (lost == 2)]
    if lost == 2:
        refused(done, 5, '"NOT MEASURED"')
        assert "scripted crash" in done.err
    else:
        refused(done, 3, '"INCONCLUSIVE"')
        assert any("exited with code 70" in note for note in cell["notes"])


@pytest.mark.sshd
def test_an_unreachable_target(place: Path) -> None:
    board = 'name = "board"\ntitle = "nobody there"\ntransport = "ssh"\nruntime = "onnxruntime"\n'
    (place / "targets" / "board.toml").write_text(board + 'host = "vitbench-nobody.invalid"\n')
    edit(place, lambda cell: cell.update(simulated=False, script=None, archive="0" * 64))
    refused(gate(place), 4, "vitbench-nobody.invalid")


@pytest.mark.parametrize("selection", [("-m", "segformer*"), ("-t", "cpu")])
def test_an_empty_selection(place: Path, selection: tuple[str, str]) -> None:
    refused(gate(place, *selection), 2, "nothing to gate")


def test_a_corrupted_baseline(place: Path) -> None:
    text = (place / BASELINE).read_text()
    (place / BASELINE).write_text(text[: len(text) // 2])
    refused(gate(place), 2, "is damaged")


def test_no_baseline_at_all(tmp_path: Path) -> None:
    refused(gate(tmp_path), 2, "vitbench baseline save")


def test_a_baseline_of_another_protocol(place: Path) -> None:
    edit(place, lambda cell: cell["protocol"].update(threads=4))
    done = gate(place, "--json")
    refused(done, 3, "another protocol: threads 4 and 1")
    assert done.json()["cells"][0]["verdict"] == "NOT MEASURED"


def test_a_baseline_of_another_machine(place: Path) -> None:
    edit(place, lambda cell: cell.update(machine_key="0123456789ab", device="another board"))
    done = gate(place)
    refused(done, 3, "another machine (another board")
    assert "--allow-other-machine" in done.out


def test_scripted_figures_are_not_gated_silently(place: Path) -> None:
    done = vitbench("gate", cwd=place)
    refused(done, 2, "--simulated")


def test_a_target_that_was_scripted_and_is_no_more(place: Path) -> None:
    (place / "targets" / "board.toml").write_text(
        'name = "board"\ntitle = "now real"\ntransport = "local"\nruntime = "onnxruntime"\n'
    )
    refused(gate(place), 3, "was scripted when the baseline was saved")
