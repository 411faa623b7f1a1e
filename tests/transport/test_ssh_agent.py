"""Agents on a board: under its own python3, and their end told from that of the link."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections import deque
from collections.abc import Iterator

import pytest

from tests.support.sshd.board import Board, wait_until
from tests.support.sshd.fixtures import open_board
from vitbench import runtime
from vitbench.errors import TargetUnreachable, ToolError
from vitbench.transport.ssh import SshTransport
from vitbench.transport.ssh.agent import BoardPython

pytestmark = pytest.mark.sshd


@pytest.fixture
def link(board: Board) -> Iterator[SshTransport]:
    board.program("python3", f'exec {sys.executable} "$@"')
    with open_board() as opened:
        yield opened


def test_tells_how_it_was_reached(link: SshTransport) -> None:
    told = link.describe()
    assert told["transport"] == "ssh"
    assert told["host"] == "board"
    assert told["ssh_version"].startswith("OpenSSH_")
    assert told["python"] == ".".join(map(str, sys.version_info[:3]))


def test_answers_and_leaves_nothing(link: SshTransport, board: Board) -> None:
    for _ in range(2):
        with runtime.open_agent(link) as agent:
            assert agent.hello().python == link.describe()["python"]
            assert board.running(f"{board.pushed}/")
        wait_until(lambda: not board.running(f"{board.pushed}/"), "the agent still runs")


def test_an_agent_that_is_killed_is_no_lost_link(link: SshTransport) -> None:
    with runtime.open_agent(link) as agent:
        os.kill(agent.hello().pid, signal.SIGKILL)
        with pytest.raises(ToolError, match=r"was killed by signal 9 \(SIGKILL\) during `hello`") as caught:
            agent.hello()
    assert "vitbench" not in caught.value.tail


def test_a_lost_link_is_no_dead_agent(link: SshTransport, board: Board) -> None:
    with runtime.open_agent(link) as agent:
        pid = agent.hello().pid
        threading.Timer(0.5, board.cut).start()
        with pytest.raises(TargetUnreachable, match="the link to board board was lost during") as caught:
            deque(iter(agent.probe, None), maxlen=0)
        assert caught.value.transient
    wait_until(lambda: not board.running(f"{board.pushed}/"), f"the agent {pid} still runs")
    with runtime.open_agent(link) as agent:
        assert agent.hello().pid != pid


def test_a_link_that_stalls_is_given_up(board: Board, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is closed, nothing answers: only the silence tells."""
    from vitbench.transport.ssh import client

    monkeypatch.setitem(client.OPTIONS, "ServerAliveInterval", "1")
    monkeypatch.setitem(client.OPTIONS, "ServerAliveCountMax", "2")
    board.program("python3", f'exec {sys.executable} "$@"')
    with open_board() as link, runtime.open_agent(link) as agent:
        pid = agent.hello().pid
        board.stall()
        begin = time.monotonic()
        with pytest.raises(TargetUnreachable, match="was lost during"):
            agent.hello()
        assert time.monotonic() - begin < 15
        assert link.execute(["echo", "on"], 10).stdout == "on\n"
        wait_until(lambda: not board.alive(pid), "the agent of the stalled link still runs")


def test_no_python(board: Board) -> None:
    board.take_away("python3")
    with open_board() as link, pytest.raises(ToolError, match="board board has no python3") as caught:
        link.start_agent("agent")
    assert "Python 3.8 or later" in (caught.value.hint or "")


def test_a_python_that_is_too_old(board: Board) -> None:
    board.program("python3", """echo '[[3, 6, 9], "/usr/bin/python3", false, true]'""")
    with open_board() as link, pytest.raises(ToolError, match=r"python3 on board board is 3\.6\.9") as caught:
        link.start_agent("agent")
    assert "needs 3.8 or later" in caught.value.message


def test_a_python_that_does_not_work(board: Board) -> None:
    board.program("python3", "echo 'no libpython' >&2; exit 1")
    with open_board() as link, pytest.raises(ToolError, match="does not work: no libpython"):
        link.start_agent("agent")


@pytest.mark.parametrize(
    ("managed", "pip", "told"),
    [
        (False, True, "`ssh me@orin python3 -m pip install --user onnxruntime`"),
        (True, True, "pip install --user --break-system-packages onnxruntime`"),
        (False, False, "`ssh me@orin sudo apt-get install python3-pip`, then `ssh me@orin python3 -m pip"),
    ],
)
def test_how_a_package_is_installed_there(managed: bool, pip: bool, told: str) -> None:
    python = BoardPython((3, 10, 12), "/usr/bin/python3", managed, pip)
    assert told in python.install_hint("me@orin", "onnxruntime")


@pytest.mark.parametrize(("version", "safe"), [((3, 8, 10), False), ((3, 10, 12), False), ((3, 11, 2), True)])
def test_flags_that_the_version_has(version: tuple[int, ...], safe: bool) -> None:
    flags = BoardPython(version, "/usr/bin/python3", managed=False, pip=True).flags()
    assert ("-P" in flags) is safe
    assert flags[0] == "-E"
