"""`vitbench` on a board: the real ssh, its server on loopback, and ONNX Runtime in an agent behind it."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.e2e.cli import Done, vitbench
from tests.e2e.phones import Inside
from tests.support.sshd.board import Board
from vitbench.records.schema import Record
from vitbench.records.store import Store
from vitbench.transport.ssh.agent import BoardChannel

pytestmark = pytest.mark.sshd
MODEL = "effvit-b0:64x64"
COMMAND = ("run", "-m", MODEL, "-t", "bench")
TARGET = """\
name = "bench"
title = "a board on loopback, ONNX Runtime"
transport = "ssh"
runtime = "onnxruntime"
"""


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A directory with a target of its own."""
    (tmp_path / "targets").mkdir()
    (tmp_path / "targets" / "bench.toml").write_text(TARGET)
    return tmp_path


def run(place: Path, *more: str) -> Done:
    return vitbench(*COMMAND, "--quick", *more, cwd=place)


def recorded(place: Path) -> list[Record]:
    documents, problems = Store(str(place / "results")).records()
    assert not problems
    return [document for document in documents if isinstance(document, Record)]


def lead_python(board: Board) -> None:
    """Give the board a python3 with a runtime."""
    board.program("python3", f'exec {sys.executable} "$@"')


def test_from_a_name_to_a_figure(board: Board, place: Path) -> None:
    lead_python(board)
    done = run(place, "--host", "board", "--blocks", "2", "--allow-inconclusive")
    assert done.code == 0, done.err
    (record,) = recorded(place)
    assert record.target.transport == "ssh"
    assert record.parity is not None
    assert record.parity.passed
    assert len(record.blocks) == 2
    assert [path.name for path in board.pushed.iterdir() if path.name.startswith((".", "scratch"))] == []


def test_a_cut_in_a_block_costs_that_block_and_no_more(
    board: Board, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lead_python(board)
    assert vitbench("export", "-m", MODEL, "-t", "cpu", cwd=place).code == 0
    agents: list[BoardChannel] = []
    cuts: list[str] = []
    receive = BoardChannel._receive

    def receive_or_cut(channel: BoardChannel, op: str, timeout_s: float) -> bytes:
        if channel not in agents:
            agents.append(channel)
        # The first agent checks the artifact, the third one takes the second block.
        if op == "measure" and len(agents) == 3 and not cuts:
            cuts.append(op)
            board.cut()
        return receive(channel, op, timeout_s)

    monkeypatch.setattr(BoardChannel, "_receive", receive_or_cut)
    inside = Inside(place)
    done = inside(*COMMAND, "--quick", "--host", "board", "--blocks", "5", "--allow-inconclusive")
    assert done.code == 0, done.err
    assert cuts
    (record,) = recorded(place)
    lost = [reason for reason in record.reasons if "the link was lost" in reason]
    assert len(lost) == 1, record.reasons
    assert lost[0].startswith("block 1 does not count")
    assert len(record.blocks) == 5
    assert len(agents) == 7


def test_a_board_without_the_runtime(board: Board, place: Path) -> None:
    board.program("python3", f'exec {sys.base_prefix}/bin/python3 "$@"')
    done = run(place, "--host", "board")
    assert done.code == 5, done.err
    assert "onnxruntime is not there for python3" in done.err
    assert "python3 -m pip install --user" in done.err
    assert not recorded(place)


def test_the_targets_own_name_is_an_alias_of_ssh(board: Board, place: Path) -> None:
    done = run(place)
    assert done.code == 4
    assert "nobody knows a host of the name bench" in done.err
    assert "Host bench" in done.err
    assert "Traceback" not in done.err


def test_a_board_that_cannot_be_reached(board: Board, place: Path) -> None:
    board.refuse()
    done = run(place, "--host", "board")
    assert done.code == 4
    assert "board refuses the connection" in done.err


@pytest.mark.parametrize("host", ["-oProxyCommand=touch${IFS}pwned", "a;touch${IFS}pwned", "$(id)", "me@-l"])
def test_what_is_no_host(board: Board, place: Path, host: str) -> None:
    done = run(place, f"--host={host}")
    assert done.code == 2, done.err
    assert "is no name of a host" in done.err
    assert not (place / "pwned").exists()


def test_host_without_a_board(board: Board, place: Path) -> None:
    done = vitbench("run", "-m", "effvit-b0", "-t", "cpu", "--host", "board", cwd=place)
    assert done.code == 2
    assert "--host is of boards, and cpu is none" in done.err
