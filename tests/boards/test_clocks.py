"""Clocks of a board are held while something runs, and as they were afterwards, whatever happens."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from tests.e2e.cli import vitbench
from tests.e2e.test_ssh import TARGET, lead_python, recorded
from tests.support.sshd.board import Board
from tests.support.sshd.fixtures import board_target
from vitbench.boards.clocks import HeldClocks, held_clocks
from vitbench.catalog.specs import TargetSpec
from vitbench.errors import TargetUnreachable, ToolError, UsageError
from vitbench.pipeline.link import open_link
from vitbench.pipeline.progress import Progress
from vitbench.transport import Completed, Transport
from vitbench.transport.local import LocalTransport

# A sudo that lets its user run one program, which keeps a state in a file: free, or locked.
SUDO = """\
[ "$1" = -n ] && [ "$2" = jetson_clocks ] || {{ echo "sudo: a password is required" >&2; exit 1; }}
shift 2
echo "$*" >> {root}/asked
case $1 in
    --store) cat {root}/state > "$2" ;;
    --restore) cat "$2" > {root}/state ;;
    "") echo locked > {root}/state ;;
esac
"""


class Note(Progress):
    """Keeps what a user would read."""

    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, text: str) -> None:
        self.notes.append(text)


class Clocks:
    """The clocks of a board behind ssh."""

    def __init__(self, board: Board, state: str = "free") -> None:
        self.root = board.root
        (self.root / "state").write_text(f"{state}\n")
        board.program("sudo", SUDO.format(root=board.root))

    @property
    def state(self) -> str:
        return (self.root / "state").read_text().strip()

    @property
    def asked(self) -> list[str]:
        """What jetson_clocks was asked for, without the file."""
        asked = self.root / "asked"
        lines = asked.read_text().splitlines() if asked.exists() else []
        return [line.split(" ")[0] for line in lines]


def target(**changes: object) -> TargetSpec:
    return board_target().model_copy(update={"host": "board", "lock_clocks": True, **changes})


@pytest.mark.sshd
def test_held_for_as_long_as_the_link_is_open(board: Board) -> None:
    clocks, told = Clocks(board), Note()
    with open_link(target(), told) as link:
        assert clocks.state == "locked"
        assert link.held == {"clocks": True}
    assert clocks.state == "free"
    assert clocks.asked == ["--store", "", "--restore"]
    assert told.notes == []
    assert [path for path in board.home.rglob("*") if path.name == "clocks"] == []


@pytest.mark.sshd
def test_a_board_that_was_locked_stays_locked(board: Board) -> None:
    clocks = Clocks(board, "locked")
    with open_link(target(), Note()):
        pass
    assert clocks.state == "locked"
    assert clocks.asked[-1] == "--restore"


@pytest.mark.sshd
@pytest.mark.parametrize("error", [ToolError("crash"), KeyboardInterrupt(), UsageError("no")])
def test_given_back_after_errors_and_ctrl_c(board: Board, error: BaseException) -> None:
    clocks = Clocks(board)

    def fail() -> None:
        with open_link(target(), Note()):
            assert clocks.state == "locked"
            raise error

    with pytest.raises(type(error)):
        fail()
    assert clocks.state == "free"


@pytest.mark.sshd
def test_given_back_over_a_new_connection_when_the_old_one_was_cut(board: Board) -> None:
    clocks, told = Clocks(board), Note()

    def lose() -> None:
        with open_link(target(), told):
            board.cut()
            raise TargetUnreachable("the link was lost", transient=True)

    with pytest.raises(TargetUnreachable):
        lose()
    assert clocks.state == "free"
    assert told.notes == []


@pytest.mark.sshd
def test_a_user_who_may_not_leaves_the_board_as_it_is(board: Board) -> None:
    board.program("sudo", 'echo "sudo: a password is required" >&2; exit 1')
    told = Note()
    with open_link(target(), told) as link:
        assert link.held == {"clocks": False, "clocks_refused": "sudo: a password is required"}
    refused = "board: the clocks cannot be held: sudo: a password is required"
    assert told.notes == [refused]
    with open_link(target(needs=("a line in sudoers",)), told):
        pass
    assert told.notes[1:] == [f"{refused}; `vitbench targets show board` has what that needs"]


@pytest.mark.sshd
def test_nobody_is_asked_who_is_not_told_to(board: Board) -> None:
    clocks = Clocks(board)
    with open_link(target(lock_clocks=False), Note()) as link:
        assert link.held == {}
    assert clocks.asked == []


@pytest.mark.sshd
def test_a_record_says_that_its_clocks_were_held(board: Board, tmp_path: Path) -> None:
    clocks = Clocks(board)
    lead_python(board)
    (tmp_path / "targets").mkdir()
    (tmp_path / "targets" / "bench.toml").write_text(TARGET)
    command = ["run", "-m", "attention-4x16:7x7", "-t", "bench", "--host", "board", "--quick"]
    done = vitbench(*command, "--blocks", "1", "--lock-clocks", "--allow-inconclusive", cwd=tmp_path)
    assert done.code == 0, done.err
    (record,) = recorded(tmp_path)
    assert record.environment["held"] == {"clocks": True}
    assert clocks.state == "free"
    assert clocks.asked == ["--store", "", "--restore"]


class Answering(LocalTransport):
    """A board whose answers to `jetson_clocks` are given, by its first argument."""

    def __init__(self, answers: dict[str, Callable[[], Completed]]) -> None:
        super().__init__(target(transport="local"))
        self.answers = answers
        self.asked: list[str] = []

    def execute(self, argv: Sequence[str], timeout_s: float) -> Completed:
        assert tuple(argv[:3]) == ("sudo", "-n", "jetson_clocks")
        what = argv[3] if len(argv) > 3 else ""
        self.asked.append(what)
        return self.answers.get(what, lambda: Completed(0, "", ""))()


def failing(error: BaseException) -> Callable[[], Completed]:
    def answer() -> Completed:
        raise error

    return answer


@contextlib.contextmanager
def answering(**answers: Callable[[], Completed]) -> Iterator[tuple[Answering, list[str]]]:
    with Answering(
        {name.replace("lock", "").replace("_", "--"): step for name, step in answers.items()}
    ) as link:
        yield link, []


def hold(link: Transport, told: list[str]) -> HeldClocks:
    with held_clocks(link, told.append) as clocks:
        return clocks


def test_no_sudo_at_all() -> None:
    with answering(_store=failing(ToolError("cannot run `sudo`: No such file"))) as (link, told):
        assert hold(link, told) == HeldClocks(False, "cannot run `sudo`: No such file")
        assert link.asked == ["--store"]
        assert told == []


def test_a_board_that_stores_but_does_not_lock_gets_back_what_was_stored() -> None:
    with answering(lock=lambda: Completed(1, "Error: no GPU\n", "")) as (link, told):
        assert hold(link, told) == HeldClocks(False, "Error: no GPU")
        assert link.asked == ["--store", "", "--restore"]


def test_a_lock_whose_answer_was_lost_is_given_back() -> None:
    with answering(lock=failing(TargetUnreachable("the link was lost", transient=True))) as (link, told):
        with pytest.raises(TargetUnreachable):
            hold(link, told)
        assert link.asked == ["--store", "", "--restore"]


def test_clocks_that_cannot_be_given_back_are_told_and_void_nothing() -> None:
    gone = failing(TargetUnreachable("nobody answers", transient=True))
    with answering(_restore=gone) as (link, told):
        assert hold(link, told).held
        assert link.asked == ["--store", "", "--restore", "--restore", "--restore"]
    assert len(told) == 1
    assert "the clocks of board may still be held (nobody answers)" in told[0]
    assert "reboot" in told[0]


def test_what_the_board_says_cannot_steer_the_terminal() -> None:
    with answering(_restore=lambda: Completed(1, "", "\x1b[2Jno\n")) as (link, told):
        assert hold(link, told).held
    assert "\x1b" not in told[0]


def test_somebody_who_does_not_wait_is_told() -> None:
    gone = failing(KeyboardInterrupt())
    with answering(_restore=gone) as (link, told), pytest.raises(KeyboardInterrupt):
        hold(link, told)
    assert "may still be held (interrupted)" in told[0]
