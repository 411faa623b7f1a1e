"""`vitbench run` by trtexec, as a process: on this machine and through the real ssh, with a stand-in."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.e2e.cli import Done, vitbench
from tests.e2e.phones import Inside, recorded
from tests.support.sshd.board import Board
from tests.support.trtexec import install
from vitbench.records.schema import Record

MODEL = "attention-4x16:7x7"
TARGET = """\
name = "bench"
title = "a stand-in for a board"
transport = "{transport}"
runtime = "trtexec"
precision = "fp16"

[options]
trtexec = "{program}"
"""


def place(directory: Path, *, transport: str = "local", **environment: str) -> Path:
    """A directory with a target of its own, whose trtexec is a stand-in."""
    program = install(directory / "bin", **environment)
    (directory / "targets").mkdir(exist_ok=True)
    text = TARGET.format(transport=transport, program=program)
    (directory / "targets" / "bench.toml").write_text(text)
    return directory


def run(directory: Path, *more: str) -> Done:
    # A batch holds most of the images that are compared, each run of which takes a process.
    return vitbench("run", "-m", MODEL, "-t", "bench", "--batch", "16", *more, cwd=directory)


def only(directory: Path) -> Record:
    (record,) = recorded(directory)
    return record


def test_from_a_name_to_a_figure(tmp_path: Path) -> None:
    place(tmp_path, TRT_FAULT="warns")
    done = run(tmp_path, "--quick", "--allow-inconclusive")
    assert done.code == 0, done.err
    assert done.out.startswith("SIMULATED")
    assert "copies overlap" not in done.out
    assert "built engine in 12 s" in done.err
    record = only(tmp_path)
    assert record.simulated
    assert record.parity is not None
    assert record.parity.passed, record.parity
    assert record.parity.inputs == 2
    assert (record.target.runtime, record.target.runtime_version) == ("trtexec", "10.3.0")
    assert record.target.device == "Imitated GPU"
    protocol = record.protocol
    assert (protocol.transfers, protocol.overlap, protocol.streams) == ("timed", False, 1)
    assert (protocol.cuda_graph, protocol.spin_wait, protocol.precision) == (False, False, "fp16")
    assert record.estimate is not None
    assert record.estimate.latency_paper_ms == pytest.approx(1.154, abs=0.01)
    assert record.estimate.latency_ms is not None
    assert record.estimate.latency_ms > record.estimate.latency_paper_ms
    assert len(record.blocks) == 2
    facts = record.environment["facts"]["trtexec"]
    assert facts["layer_types"] == {"fp16": 1}
    assert "--stronglyTyped" in facts["build_command"]
    assert "--exposeDMA" in facts["run_command"]
    assert any("may not be locked (2 of 2 blocks)" in reason for reason in record.reasons)


@pytest.mark.sshd
def test_the_paper_on_a_board_behind_ssh(board: Board, tmp_path: Path) -> None:
    place(tmp_path, transport="ssh")
    done = run(tmp_path, "--host", "board", "--protocol", "paper", "--blocks", "1", "--allow-inconclusive")
    assert done.code == 0, done.err
    assert "copies overlap" in done.out
    record = only(tmp_path)
    assert record.target.transport == "ssh"
    assert record.plan.preset == "paper"
    assert record.protocol.overlap
    assert record.parity is not None
    assert record.parity.passed, record.parity
    (block,) = record.blocks
    assert len(block.samples.total_ns) == 100
    assert record.estimate is not None
    assert record.estimate.latency_ms == record.estimate.latency_paper_ms == pytest.approx(1.154)
    command = record.environment["facts"]["trtexec"]["run_command"]
    assert "--iterations=100 --duration=0 --warmUp=200" in command
    assert "--exposeDMA" not in command
    engines = list((board.home / ".cache" / "vitbench" / "engines").rglob("*.plan"))
    assert len(engines) == 1
    left = [path.name for path in board.pushed.iterdir() if path.name.startswith((".", "scratch"))]
    assert left == []


@pytest.fixture
def inside(tmp_path: Path) -> Inside:
    """The command line in this process."""
    return Inside(tmp_path)


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("crash", "TensorRT gave up: the assertion tensor != nullptr failed"),
        ("other-options", "trtexec ran with `ExposeDMA: Disabled`, where `Enabled` was asked for"),
        ("no-gpu", "TensorRT finds no GPU that it can use"),
    ],
)
def test_a_tool_that_fails_is_told_with_its_last_lines(fault: str, words: str, inside: Inside) -> None:
    place(inside.cwd, TRT_FAULT=fault)
    done = inside("run", "-m", MODEL, "-t", "bench", "--batch", "16", "--quick")
    assert done.code == 5, done.err
    assert words in done.err
    assert "  | " in done.err
    assert "Traceback" not in done.err
    assert inside.records() == []


def test_a_device_without_trtexec(inside: Inside) -> None:
    (place(inside.cwd) / "bin" / "trtexec").unlink()
    done = inside("run", "-m", MODEL, "-t", "bench", "--batch", "16", "--quick")
    assert done.code == 5
    assert "bench has no trtexec as" in done.err
    assert "libnvinfer-bin" in done.err
    assert inside.records() == []


def test_a_protocol_that_a_target_does_not_have(inside: Inside) -> None:
    done = inside("run", "-m", MODEL, "-t", "cpu", "--protocol", "paper")
    assert done.code == 2
    assert "the onnxruntime runtime of cpu knows no protocol 'paper', only serial" in done.err
