"""Programs on a board: exactly the arguments that were given, exactly the end they had, or no result."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.sshd.board import Board, wait_until
from tests.support.sshd.fixtures import open_board
from tests.transport.test_posix_quoting import HOSTILE
from vitbench.errors import TargetUnreachable, ToolError
from vitbench.transport.base import Completed
from vitbench.transport.posix.process import Answer
from vitbench.transport.ssh import SshTransport

pytestmark = pytest.mark.sshd

JOB = """\
import sys, time
from tests.support.sshd.fixtures import open_board
with open_board() as link:
    print(link.execute(["echo", "ours"], 10).stdout, end="", flush=True)
    time.sleep(float(sys.argv[1]))
"""


@pytest.fixture
def link(board: Board) -> Iterator[SshTransport]:
    with open_board() as opened:
        yield opened


def start_job(seconds: float) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", JOB, str(seconds)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])},
    )


def test_arguments_arrive_as_they_are(link: SshTransport) -> None:
    words = [word for word in HOSTILE if "utf-8" not in word]
    assert link.execute(["printf", "%s\\0", *words], 10).stdout.split("\0")[:-1] == words


def test_output_and_code(link: SshTransport) -> None:
    done = link.execute(["sh", "-c", "echo out; echo err >&2; exit 255"], 10)
    assert done == Completed(255, "out\n", "err\n")
    assert link.execute(["sh", "-c", "kill -SEGV $$"], 10).returncode == -11


def test_a_login_shell_that_talks(board: Board) -> None:
    board.program("env", 'echo noise >&2; exec /usr/bin/env "$@"')
    with open_board() as link:
        assert link.execute(["echo", "out"], 10).stdout == "out\n"
        assert link.push(Path(__file__))
    board.program("env", 'echo welcome; exec /usr/bin/env "$@"')
    with pytest.raises(ToolError, match="prints 'welcome' on its own") as caught:
        open_board()
    assert "~/.bashrc" in (caught.value.hint or "")


def test_no_such_program(link: SshTransport) -> None:
    with pytest.raises(ToolError, match=r"cannot run `/no/such` on board board: .*") as caught:
        link.execute(["/no/such"], 10)
    assert "ssh board ls -l '/no/such'" in (caught.value.hint or "")


def test_what_takes_too_long_is_ended_with_all_it_started(link: SshTransport, board: Board) -> None:
    begin = time.monotonic()
    with pytest.raises(ToolError, match=r"`sh` did not end in 0\.5 s on board board"):
        link.execute(["sh", "-c", "sleep 4711 & sleep 4711"], 0.5)
    assert time.monotonic() - begin < 10
    wait_until(lambda: not board.running("4711"), "it still runs")
    assert link.execute(["echo", "on"], 10).stdout == "on\n"


def test_a_cut_in_the_middle_is_no_result(link: SshTransport, board: Board) -> None:
    script = f"echo ran >>{board.home}/runs; sleep 4712 & sleep 4712"
    threading.Timer(0.5, board.cut).start()
    with pytest.raises(TargetUnreachable, match=r"lost during `sh`.*; the board is back") as caught:
        link.execute(["sh", "-c", script], 30)
    assert caught.value.transient
    assert (board.home / "runs").read_text() == "ran\n"
    wait_until(lambda: not board.running("4712"), "it still runs")
    assert link.execute(["echo", "on"], 10).stdout == "on\n"


def test_a_cut_in_between_goes_unnoticed(link: SshTransport, board: Board) -> None:
    board.cut()
    wait_until(lambda: not link._link.up, "ssh does not notice")
    assert link.execute(["echo", "on"], 10).stdout == "on\n"


@pytest.mark.parametrize("cut", range(5))
def test_a_command_that_comes_as_the_link_goes(link: SshTransport, board: Board, cut: int) -> None:
    """Before ssh knows of the loss, its connection is offered still."""
    script = f"echo ran >>{board.home}/runs"
    timer = threading.Timer(0.02 * cut, board.cut)
    timer.start()
    time.sleep(0.05)
    with contextlib.suppress(TargetUnreachable):
        link.execute(["sh", "-c", script], 30)
    timer.join()
    ran = board.home / "runs"
    assert not ran.exists() or ran.read_text() == "ran\n"
    link.scratch()
    assert link.execute(["echo", "on"], 10).stdout == "on\n"


def test_a_connection_that_had_gone_before_is_told_from_one_that_went(link: SshTransport) -> None:
    gone = (
        "kex_exchange_identification: Connection closed by remote host\nConnection closed by UNKNOWN port 1\n"
    )
    assert not link._link.lost("during it", "t", Answer(255, b"", gone.encode())).began
    for out, err in ((b"x", gone), (b"", "mux_client_request_session: read failed\n" + gone), (b"", "")):
        assert link._link.lost("during it", "t", Answer(255, out, err.encode())).began
    assert link._link.lost("during it", "t", Answer(0, b"", gone.encode())).began


def test_a_board_that_comes_back_late(link: SshTransport, board: Board) -> None:
    board.gone()
    threading.Timer(1.0, board.start).start()
    assert link.execute(["echo", "on"], 10).stdout == "on\n"


def test_a_board_that_comes_back_as_another(
    link: SshTransport, board: Board, monkeypatch: pytest.MonkeyPatch
) -> None:
    board.gone()
    board.change_host_key()
    begin = time.monotonic()
    with pytest.raises(TargetUnreachable, match="another host key") as caught:
        link.execute(["echo", "on"], 10)
    assert not caught.value.transient
    assert time.monotonic() - begin < 5


def test_close_leaves_nothing_and_never_raises(board: Board) -> None:
    link = open_board()
    link.scratch()
    token = link._link._master.token
    assert board.running(token)
    board.gone()
    begin = time.monotonic()
    link.close()
    link.close()
    assert time.monotonic() - begin < 5
    wait_until(lambda: not board.running(token), "the guard still runs")


def test_a_second_job_waits_and_says_for_whom(board: Board, capfd: pytest.CaptureFixture[str]) -> None:
    first = start_job(3)
    assert first.stdout is not None
    assert first.stdout.readline() == "ours\n"
    with first, open_board() as second:
        assert first.wait(10) == 0, first.stderr
        assert second.execute(["echo", "on"], 10).stdout == "on\n"
    told = capfd.readouterr().err
    assert told.count("waiting for board board: in use by ") == 1
    assert f", process {first.pid}, since 20" in told


def test_a_holder_that_is_killed_holds_no_more(board: Board) -> None:
    with start_job(60) as first:
        assert first.stdout is not None
        assert first.stdout.readline() == "ours\n"
        threading.Timer(1.0, first.kill).start()
        begin = time.monotonic()
        with open_board() as second:
            assert 0.5 < time.monotonic() - begin < 10
            assert second.execute(["echo", "on"], 10).stdout == "on\n"


def test_one_process_does_not_wait_for_itself(board: Board, capfd: pytest.CaptureFixture[str]) -> None:
    with open_board() as second:
        with open_board() as first:
            assert first.execute(["echo", "on"], 10).stdout == "on\n"
        third = start_job(0)
        assert third.stderr is not None
        assert "in use by" in third.stderr.readline()
        assert second.execute(["echo", "on"], 10).stdout == "on\n"
    with third:
        assert third.wait(20) == 0
    assert "waiting" not in capfd.readouterr().err
