"""Killed at any moment: the next run works, nothing half-written is read, finished blocks are not lost."""

import contextlib
import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.e2e.cli import COMMAND, vitbench

RUN = ["run", "-m", "effvit-b0:64", "-t", "cpu", "--quick", "--allow-inconclusive"]
WAIT_S = 240.0

# Kills its own process when a record is about to get its final name.
DIE_AT_RENAME = """
import os, signal, sys
from vitbench.records import files
from vitbench.cli.main import main
write = files.LocalFiles.write
def dying(self, name, data):
    os.replace = os.rename = os.link = lambda *a, **k: os.kill(os.getpid(), signal.SIGKILL)
    import pathlib
    pathlib.Path.rename = pathlib.Path.replace = os.replace
    write(self, name, data)
files.LocalFiles.write = dying
sys.argv = ["vitbench", *sys.argv[1:]]
main()
"""


class OnTerminal:
    """A command line whose standard error is a terminal, so that it says what it is doing."""

    def __init__(self, arguments: list[str], cwd: Path, **environment: str) -> None:
        self._terminal, far_end = pty.openpty()
        self.process = subprocess.Popen(
            [*COMMAND, *arguments],
            cwd=cwd,
            env=os.environ | {"TERM": "xterm", "COLUMNS": "150"} | environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=far_end,
            text=True,
            start_new_session=True,
        )
        os.close(far_end)
        self.seen = ""

    def read_until(self, pattern: str) -> None:
        """Read the terminal until the pattern has come."""
        deadline = time.monotonic() + WAIT_S
        while not re.search(pattern, self.seen):
            if time.monotonic() > deadline or not self._read():
                pytest.fail(f"'{pattern}' never came; the terminal said {self.seen[-2000:]}")

    def _read(self) -> bool:
        ready, _, _ = select.select([self._terminal], [], [], 1.0)
        if ready:
            try:
                data = os.read(self._terminal, 65536)
            except OSError:
                return False
            self.seen += data.decode(errors="replace")
            return bool(data)
        return self.process.poll() is None

    def end(self, number: signal.Signals) -> tuple[int, str]:
        """Send a signal to the command itself, read it out, and return its exit status and output."""
        self.process.send_signal(number)
        output = ""
        with contextlib.suppress(subprocess.TimeoutExpired):
            output, _ = self.process.communicate(timeout=60)
        while self._read():
            pass
        os.close(self._terminal)
        return self.process.returncode, output


def records(directory: Path) -> list[dict[str, object]]:
    """Every record of a results directory, by time."""
    return [json.loads(path.read_text()) for path in sorted((directory / "results").glob("[!.]*.json"))]


def processes_of(temporary: Path) -> set[int]:
    """Living processes of the run that was given this directory for temporary files.

    An agent has a session of its own, but the environment of the command that started it.
    """
    found = set()
    for path in Path("/proc").glob("[0-9]*/environ"):
        with contextlib.suppress(OSError):
            if f"TMPDIR={temporary}".encode() in path.read_bytes().split(b"\0"):
                found.add(int(path.parent.name))
    return found


@pytest.mark.parametrize(
    ("moment", "saved_blocks"),
    [
        (r"reference|export", 0),
        (r"block 1/2, warm-up", 0),
        (r"block 2/2, (warm-up|timed)", 1),
    ],
    ids=["export", "warm-up", "second block"],
)
def test_killed(moment: str, saved_blocks: int, tmp_path: Path) -> None:
    cache = {"VITBENCH_CACHE": str(tmp_path / "cache")} if "export" in moment else {}
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    run = OnTerminal(RUN, tmp_path, TMPDIR=str(temporary), **cache)
    run.read_until(moment)
    # The agent must be seen while it lives, or its absence afterwards would say nothing.
    living = processes_of(temporary)
    assert run.process.pid in living
    assert len(living) == (2 if "block" in moment else 1)
    code, _ = run.end(signal.SIGKILL)
    assert code == -signal.SIGKILL
    time.sleep(0.5)
    assert processes_of(temporary) == set()
    assert records(tmp_path) == []

    again = vitbench(*RUN, "--json", cwd=tmp_path, **cache)
    assert again.code == 0, again.err
    found = records(tmp_path)
    assert len(found) == (2 if saved_blocks else 1)
    if saved_blocks:
        assert "saved 1 finished blocks of a run that did not end" in again.err
        assert found[0]["status"] == "inconclusive"
        assert found[0]["reasons"] == ["interrupted after 1 of 2 blocks"]
        assert len(found[0]["blocks"]) == 1  # type: ignore[arg-type]
    assert len(found[-1]["blocks"]) == 2  # type: ignore[arg-type]
    assert not list((tmp_path / "results" / ".running").glob("[!.]*"))


def test_killed_while_the_record_is_written(tmp_path: Path) -> None:
    arguments = [*RUN[:4], "sim", *RUN[5:]]
    done = subprocess.run(
        [sys.executable, "-c", DIE_AT_RENAME, *arguments], cwd=tmp_path, capture_output=True, timeout=WAIT_S
    )
    assert done.returncode == -signal.SIGKILL
    assert records(tmp_path) == []
    again = vitbench(*arguments, cwd=tmp_path)
    assert again.code == 0, again.err
    first, second = records(tmp_path)
    assert first["reasons"] == ["interrupted after 2 of 2 blocks"]
    assert len(second["blocks"]) == 2  # type: ignore[arg-type]


def test_ctrl_c_prints_what_was_finished(tmp_path: Path) -> None:
    run = OnTerminal(RUN, tmp_path)
    run.read_until(r"block 2/2, (warm-up|timed)")
    code, output = run.end(signal.SIGINT)
    assert code == 130
    assert "effvit-b0" in output
    assert "interrupted by the user after 1 of 2 blocks" in output
    assert "Traceback" not in run.seen
    (record,) = records(tmp_path)
    assert record["status"] == "inconclusive"
    assert len(record["blocks"]) == 1  # type: ignore[arg-type]


def test_ctrl_c_during_the_export_leaves_nothing(tmp_path: Path) -> None:
    run = OnTerminal(RUN, tmp_path, VITBENCH_CACHE=str(tmp_path / "cache"))
    run.read_until(r"reference|export")
    code, _ = run.end(signal.SIGINT)
    assert code == 130
    assert "Traceback" not in run.seen
    assert records(tmp_path) == []
