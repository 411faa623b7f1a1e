"""Files to a board and back: whole, verified, under their content's hash; cut ones go on where they were."""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.sshd.board import Board, wait_until
from tests.support.sshd.fixtures import open_board
from vitbench.errors import ExitCode, TargetUnreachable, ToolError, UsageError
from vitbench.transport.ssh import SshTransport

pytestmark = pytest.mark.sshd

NAMES = [
    "two words",
    "it's",
    '"double"',
    "; rm -rf .",
    "$(touch pwned)",
    "`id`",
    "-n",
    "a\nb",
    "\\n",
    "*",
    "\u00e4",
]
SIZE = 3_000_000
# Stops after the first megabyte, once; the second time it does what cat does.
HALTING = """\
if mkdir $BOARD/once 2>/dev/null; then
  /bin/dd if=${1:-/dev/stdin} bs=65536 count=16 iflag=fullblock status=none
  touch $BOARD/half
  exec sleep 47
fi
exec /bin/cat "$@"
"""


@pytest.fixture
def link(board: Board) -> Iterator[SshTransport]:
    with open_board() as opened:
        yield opened


@pytest.fixture
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give a lost link up soon."""
    monkeypatch.setattr(SshTransport, "recovery_s", 1.0)


def halfway(board: Board) -> None:
    wait_until((board.root / "half").exists, "the transfer did not begin")


def once_halfway(board: Board, then: object) -> threading.Thread:
    """Do something when the halting cat has halted."""

    def watch() -> None:
        halfway(board)
        assert callable(then)
        then()

    thread = threading.Thread(target=watch)
    thread.start()
    return thread


@pytest.mark.parametrize("name", NAMES)
def test_pushes_whatever_its_name(link: SshTransport, board: Board, tmp_path: Path, name: str) -> None:
    data = os.urandom(1000)
    (tmp_path / name).write_bytes(data)
    remote = link.push(tmp_path / name)
    assert remote == f"{board.pushed}/{hashlib.sha256(data).hexdigest()[:16]}/{name}"
    assert Path(remote).read_bytes() == data
    link.pull(remote, tmp_path / "back")
    assert (tmp_path / "back").read_bytes() == data


def test_pushes_directories_with_their_modes(link: SshTransport, tmp_path: Path) -> None:
    artifact = tmp_path / "artifact"
    (artifact / "sub" / "empty").mkdir(parents=True)
    (artifact / "sub" / "data").write_bytes(b"")
    (artifact / "tool").write_text("#!/bin/sh\necho runs\n")
    remote = Path(link.push(artifact))
    assert (remote / "sub" / "empty").is_dir()
    assert (remote / "sub" / "data").read_bytes() == b""
    assert link.execute([f"{remote}/tool"], 10).stdout == "runs\n"


def test_what_is_there_whole_is_not_sent_again_and_what_is_damaged_is(
    link: SshTransport, board: Board, tmp_path: Path
) -> None:
    (tmp_path / "model").write_bytes(b"weights")
    remote = Path(link.push(tmp_path / "model"))
    there = remote.stat()
    assert link.push(tmp_path / "model") == str(remote)
    assert remote.stat().st_ino == there.st_ino
    remote.write_bytes(b"damaged")
    link.push(tmp_path / "model")
    assert remote.read_bytes() == b"weights"
    assert not list(board.pushed.glob(".partial-*"))


@pytest.mark.parametrize("home", ["it's \u00e4 home"])
def test_a_home_with_a_name_of_its_own(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch, home: str
) -> None:
    board = Board(tmp_path_factory.mktemp("odd"), home)
    monkeypatch.setenv("PATH", board.environment["PATH"])
    try:
        with open_board() as link:
            assert link.push(Path(__file__)).startswith(f"{board.home}/.cache/vitbench/pushed/")
            assert Path(link.scratch()).is_dir()
    finally:
        board.gone()


def test_a_push_that_is_cut_goes_on_where_it_was(link: SshTransport, board: Board, tmp_path: Path) -> None:
    data = os.urandom(SIZE)
    (tmp_path / "model").write_bytes(data)
    board.program("cat", HALTING)
    seen: list[tuple[int, int]] = []

    def cut() -> None:
        (partial,) = board.pushed.glob(".partial-*/model")
        seen.append((partial.stat().st_ino, partial.stat().st_size))
        board.cut()

    thread = once_halfway(board, cut)
    remote = Path(link.push(tmp_path / "model"))
    thread.join()
    assert remote.read_bytes() == data
    assert seen == [(remote.stat().st_ino, 1 << 20)]
    assert not list(board.pushed.glob(".partial-*"))


def test_a_push_goes_on_in_the_next_job(board: Board, hurried: None, tmp_path: Path) -> None:
    data = os.urandom(SIZE)
    (tmp_path / "model").write_bytes(data)
    board.program("cat", HALTING)
    link = open_board()
    thread = once_halfway(board, board.gone)
    with pytest.raises(TargetUnreachable, match=r"while pushing .*did not come back in 1 s") as caught:
        link.push(tmp_path / "model")
    thread.join()
    link.close()
    assert caught.value.transient
    assert caught.value.exit_code == ExitCode.UNREACHABLE
    (partial,) = board.pushed.glob(".partial-*/model")
    there = partial.stat()
    assert there.st_size == 1 << 20
    board.start()
    with open_board() as link:
        remote = Path(link.push(tmp_path / "model"))
    assert remote.read_bytes() == data
    assert remote.stat().st_ino == there.st_ino


def test_a_partial_file_that_was_damaged_is_sent_anew(
    link: SshTransport, board: Board, tmp_path: Path
) -> None:
    data = os.urandom(1000)
    (tmp_path / "model").write_bytes(data)
    partial = board.pushed / f".partial-{hashlib.sha256(data).hexdigest()[:16]}" / "model"
    for content in (b"something else", data + b"more"):
        partial.parent.mkdir()
        partial.write_bytes(content)
        remote = Path(link.push(tmp_path / "model"))
        assert remote.read_bytes() == data
        remote.unlink()


def test_no_space(link: SshTransport, board: Board, tmp_path: Path) -> None:
    (tmp_path / "model").write_bytes(os.urandom(SIZE))
    board.program("cat", "exec /bin/cat >/dev/full")
    with pytest.raises(ToolError, match=f"no space on board board: model needs {SIZE:,} bytes") as caught:
        link.push(tmp_path / "model")
    assert "`ssh board rm -r .cache/vitbench/pushed`" in (caught.value.hint or "")
    assert not [path for path in board.pushed.iterdir() if not path.name.startswith("scratch-")]


def test_a_pull_that_is_cut_is_done_again(link: SshTransport, board: Board, tmp_path: Path) -> None:
    data = os.urandom(SIZE)
    (board.home / "out").write_bytes(data)
    board.program("cat", HALTING)
    thread = once_halfway(board, board.cut)
    link.pull(f"{board.home}/out", tmp_path / "out")
    thread.join()
    assert (tmp_path / "out").read_bytes() == data


def test_a_pull_is_whole_or_not_at_all(board: Board, hurried: None, tmp_path: Path) -> None:
    (board.home / "out").write_bytes(os.urandom(SIZE))
    (tmp_path / "out").write_text("as it was")
    board.program("cat", HALTING)
    link = open_board()
    thread = once_halfway(board, board.gone)
    with pytest.raises(TargetUnreachable, match="while pulling"):
        link.pull(f"{board.home}/out", tmp_path / "out")
    thread.join()
    link.close()
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    assert (tmp_path / "out").read_text() == "as it was"


def test_a_pull_of_what_is_not_there(link: SshTransport, tmp_path: Path) -> None:
    with pytest.raises(ToolError, match="cannot read /no/such file on board board"):
        link.pull("/no/such file", tmp_path / "out")
    with pytest.raises(UsageError, match="there is no directory"):
        link.pull("/etc/passwd", tmp_path / "missing" / "out")
    assert not list(tmp_path.iterdir())


def test_scratch_ends_with_the_transport(board: Board) -> None:
    with open_board() as link:
        first, second = Path(link.scratch()), Path(link.scratch())
        assert first != second
        assert not list(first.iterdir())
        (first / "left").write_text("x")
    link.close()
    assert not first.exists()
    assert not second.exists()
