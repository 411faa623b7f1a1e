"""Boards that cannot be reached: each reason is told apart, with what to do about it."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from tests.support.sshd.board import Board
from tests.support.sshd.fixtures import board_target, open_board
from vitbench.errors import ExitCode, TargetUnreachable, ToolError, UsageError, VitbenchError
from vitbench.transport.ssh import SshTransport, client, master
from vitbench.transport.ssh.refusals import check_host, refusal

pytestmark = pytest.mark.sshd

HOSTILE = ["-oProxyCommand=touch pwned", "--", "", " ", "a b", "a;b", "$(id)", "a`id`", "me@-host", "-l@host"]
HOSTILE += ["host\n", "a'b", 'a"b', "@host", "user@", "ssh://-host", "a\\b", "host|id", "\u00e4", "a\0b"]


def refused(kind: type[VitbenchError] = TargetUnreachable) -> VitbenchError:
    with pytest.raises(kind) as caught:
        open_board()
    return caught.value


def assert_stable(error: VitbenchError, *, transient: bool = False) -> None:
    assert isinstance(error, TargetUnreachable)
    assert error.exit_code == ExitCode.UNREACHABLE
    assert error.transient is transient


@pytest.mark.parametrize("host", HOSTILE)
def test_names_that_are_no_hosts(
    board: Board, host: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match="is no name of a host"):
        check_host(host)
    if host:
        with pytest.raises(UsageError, match="is no name of a host"):
            SshTransport(board_target().model_copy(update={"host": host}))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "host", ["orin", "me@orin", "10.0.0.7", "me@fe80::1%eth0", "ssh://me@orin:2222", "a-b_c.d", "::1"]
)
def test_names_of_hosts(host: str) -> None:
    assert check_host(host) == host


def test_no_ssh_program(board: Board, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    error = refused()
    assert "no ssh program" in error.message
    assert "openssh-client" in (error.hint or "")


def test_nobody_knows_the_name(board: Board) -> None:
    with pytest.raises(TargetUnreachable) as caught:
        open_board("me@nowhere.invalid")
    assert "nobody knows a host of the name nowhere.invalid" in caught.value.message
    assert "    Host nowhere.invalid\n        HostName ADDRESS" in (caught.value.hint or "")
    assert "~/.ssh/config" in (caught.value.hint or "")


@pytest.mark.parametrize(
    ("why", "transient"),
    [("Name or service not known", False), ("Temporary failure in name resolution", True)],
)
def test_a_name_may_be_known_later(why: str, transient: bool) -> None:
    assert refusal("orin", f"ssh: Could not resolve hostname orin: {why}").transient is transient


def test_a_board_without_a_server(board: Board) -> None:
    board.refuse()
    error = refused()
    assert_stable(error, transient=True)
    assert "refuses the connection" in error.message
    assert "systemctl status ssh" in (error.hint or "")


def test_a_board_that_does_not_answer(board: Board, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(client.OPTIONS, "ConnectTimeout", "1")
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        board.write_client_config(f"Host silent\n  HostName 127.0.0.1\n  Port {silent.getsockname()[1]}\n")
        with pytest.raises(TargetUnreachable, match=r"silent does not answer: .*timed out") as caught:
            open_board("silent")
    assert_stable(caught.value, transient=True)


def test_a_board_that_lets_us_in_and_is_silent(board: Board, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(master, "ANSWER_S", 1.0)
    board.program("env", "sleep 20")
    error = refused()
    assert_stable(error, transient=True)
    assert "did not answer in 1 s" in error.message


@pytest.mark.parametrize("lines", ["", "  StrictHostKeyChecking no\n"])
def test_an_unknown_host_key_is_refused_whatever_the_user_allows(board: Board, lines: str) -> None:
    board.write_client_config(lines)
    (board.root / "known_hosts").write_text("")
    error = refused()
    assert_stable(error)
    assert "host key of board is not known here" in error.message
    assert "ssh-keyscan" in (error.hint or "")
    assert (board.root / "known_hosts").read_text() == ""


def test_a_changed_host_key(board: Board) -> None:
    board.change_host_key()
    error = refused()
    assert_stable(error)
    assert "another host key than it used to" in error.message
    assert "ssh-keygen -R" in (error.hint or "")


def test_a_wrong_key(board: Board) -> None:
    (board.root / "key").write_bytes((board.root / "wrong_key").read_bytes())
    (board.root / "key.pub").unlink()
    error = refused()
    assert_stable(error)
    assert "lets nobody in" in error.message
    assert "Permission denied" in error.message
    assert "ssh-copy-id board" in (error.hint or "")


def test_the_users_own_file_does_not_change_how_we_talk(board: Board) -> None:
    lines = ["RemoteCommand id", "RequestTTY force", "LocalForward 1 localhost:1", "LogLevel QUIET"]
    lines += ["ControlMaster auto", f"ControlPath {board.root}/theirs", "BatchMode no", "ForwardAgent yes"]
    board.write_client_config("".join(f"    {line}\n" for line in lines))
    with open_board() as link:
        assert link.execute(["echo", "on"], 10).stdout == "on\n"
    (board.root / "known_hosts").write_text("")
    assert "is not known here" in refused().message


def test_a_home_that_cannot_be_written(board: Board) -> None:
    (board.home / ".cache").write_text("a file in the way")
    error = refused(ToolError)
    assert "cannot keep files" in error.message
    assert f"{board.home}/.cache/vitbench" in (error.hint or "")


@pytest.mark.parametrize("name", ["flock", "sha256sum"])
def test_a_board_without_a_program_that_is_needed(board: Board, name: str) -> None:
    board.take_away(name)
    error = refused(ToolError)
    assert f"has no {'program ' if name == 'flock' else ''}{name}" in error.message
    assert "apt-get install" in (error.hint or "")


def test_what_nobody_has_seen_yet_is_told_as_ssh_says_it() -> None:
    error = refusal("orin", "something\nssh: a new way to fail\n")
    assert "orin: a new way to fail" in error.message
    assert "`ssh orin true`" in (error.hint or "")
