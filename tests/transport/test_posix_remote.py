"""The script that carries a command, in the shells there are; and what is believed of its output."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support.adb_device.phone import wait_until
from vitbench.transport.base import Completed
from vitbench.transport.posix import remote

SHELLS = [found for name in ("sh", "mksh", "bash") if (found := shutil.which(name))]


# In the arguments of processes, to find them by.
PID = os.getpid()


class Carried:
    """One command under the script, without adb in between."""

    def __init__(self, shell: str, *argv: str, path: str = os.environ["PATH"]) -> None:
        self.token = remote.new_token()
        reader, self._lifeline = os.pipe()
        self.process = subprocess.Popen(
            [shell, "-c", remote.carry(argv, self.token)],
            stdin=reader,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={"PATH": path},
        )
        os.close(reader)

    def let_go(self) -> None:
        """End the script's input, as the loss of the host does."""
        os.close(self._lifeline)
        self._lifeline = -1

    def result(self) -> Completed | None:
        """What may be believed of its output."""
        with self.process:
            out, err = self.process.communicate(timeout=20)
        if self._lifeline >= 0:
            self.let_go()
        return remote.read(self.token, out, err)


def running(word: str) -> bool:
    """Whether a process with that word in its command line runs."""
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if word.encode() in path.read_bytes():
                return True
        except OSError:
            continue
    return False


@pytest.mark.parametrize("shell", SHELLS)
class TestInAShell:
    """The script has to work in the phone's shell and in the tests'."""

    def test_streams_and_code_come_apart(self, shell: str) -> None:
        script = "printf out; printf err >&2; exit 42"
        assert Carried(shell, "sh", "-c", script).result() == Completed(42, "out", "err")

    def test_there_is_no_input(self, shell: str) -> None:
        assert Carried(shell, "cat").result() == Completed(0, "", "")

    def test_a_signal_is_a_negative_code(self, shell: str) -> None:
        done = Carried(shell, "sh", "-c", "kill -11 $$").result()
        assert done is not None
        assert done.returncode == -11

    def test_what_cannot_be_started_is_told_by_the_starter(self, shell: str) -> None:
        done = Carried(shell, "no such program").result()
        assert done is not None
        assert done.returncode == 127
        assert f"{remote.STARTER}: " in done.stderr

    def test_children_end_with_their_program(self, shell: str) -> None:
        done = Carried(shell, "sh", "-c", f"sleep 4711.{PID} & exit 3").result()
        assert done == Completed(3, "", "")
        wait_until(lambda: not running(f"4711.{PID}"))

    def test_all_ends_when_the_host_lets_go(self, shell: str) -> None:
        carried = Carried(shell, "sh", "-c", f"echo begun; sleep 4712.{PID} & sleep 4712.{PID}")
        assert carried.process.stdout is not None
        assert os.read(carried.process.stdout.fileno(), 6) == b"begun\n"
        carried.let_go()
        done = carried.result()
        assert done is not None
        assert done.returncode == -9
        wait_until(lambda: not running(f"4712.{PID}"))

    def test_all_ends_on_a_hangup(self, shell: str) -> None:
        carried = Carried(shell, "sh", "-c", f"echo begun; sleep 4713.{PID} & sleep 4713.{PID}")
        assert carried.process.stdout is not None
        assert os.read(carried.process.stdout.fileno(), 6) == b"begun\n"
        carried.process.send_signal(1)
        carried.result()
        wait_until(lambda: not running(f"4713.{PID}"))

    def test_the_reaper_ends_one_command_and_not_another(self, shell: str) -> None:
        lost, other = Carried(shell, "sleep", f"4714.{PID}"), Carried(shell, "sleep", f"4715.{PID}")
        wait_until(lambda: running(f"4714.{PID}") and running(f"4715.{PID}"))
        subprocess.run([shell, "-c", remote.reap(lost.token)], timeout=20, check=False)
        lost.result()
        wait_until(lambda: not running(f"4714.{PID}"))
        assert running(f"4715.{PID}")
        other.let_go()
        other.result()

    def test_it_works_without_setsid(self, shell: str, tmp_path: Path) -> None:
        for name in ("sh", "sleep", "printf"):
            (tmp_path / name).symlink_to(shutil.which(name) or name)
        carried = Carried(shell, "sh", "-c", f"echo begun; exec sleep 4716.{PID}", path=str(tmp_path))
        assert carried.process.stdout is not None
        assert os.read(carried.process.stdout.fileno(), 6) == b"begun\n"
        carried.let_go()
        done = carried.result()
        assert done is not None
        assert done.returncode == -9
        wait_until(lambda: not running(f"4716.{PID}"))


TOKEN = "vitbench0123"


@pytest.mark.parametrize(
    ("out", "err"),
    [
        (b"", b""),
        (b"12.5 ms\n", b""),
        (b"12.5 ms\n", TOKEN.encode()),
        (b"12.5 ms\nvitbench0123:0;", b""),
        (b"12.5 ms\nvitbench0123:", TOKEN.encode()),
        (b"12.5 ms\nvitbench0123:4", TOKEN.encode()),
        (b"12.5 ms\nvitbench012", TOKEN.encode()),
        (b"12.5 ms\nvitbench9999:0;", TOKEN.encode()),
    ],
)
def test_cut_output_is_no_result(out: bytes, err: bytes) -> None:
    assert remote.read(TOKEN, out, err) is None


@pytest.mark.parametrize(
    ("out", "err", "done"),
    [
        (b"vitbench0123:0;", b"vitbench0123", Completed(0, "", "")),
        (b"a\nvitbench0123:137;", b"b\nvitbench0123", Completed(-9, "a\n", "b\n")),
        (b"avitbench0123:255;late", b"bvitbench0123late", Completed(255, "alate", "blate")),
        (b"\xff\nvitbench0123:1;", b"vitbench0123", Completed(1, "\ufffd\n", "")),
    ],
)
def test_whole_output_is_a_result(out: bytes, err: bytes, done: Completed) -> None:
    assert remote.read(TOKEN, out, err) == done


def test_tokens_are_new_each_time() -> None:
    assert len({remote.new_token() for _ in range(100)}) == 100
