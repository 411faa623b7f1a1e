"""The exit code of a gate is that of its verdict, whatever becomes of what it prints."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.e2e.cli import COMMAND, in_process, vitbench
from tests.gate.scripted import write_target
from vitbench.report.gate import show

BASELINE = Path("results/baselines/main.json")
GATE = ("gate", "--simulated", "--seed", "1", "--junit", "gate.xml")


@pytest.fixture(scope="module")
def grown(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory whose gate finds a regression at once: the network had fewer parameters."""
    made = tmp_path_factory.mktemp("grown")
    write_target(made)
    done = vitbench("baseline", "save", "-m", "attention-8x16:4x4", "-t", "board", cwd=made)
    assert done.code == 0, done.err
    document = json.loads((made / BASELINE).read_text())
    document["cells"][0]["counts"]["params_deploy"] -= 1
    (made / BASELINE).write_text(json.dumps(document))
    return made


@contextmanager
def opened(behind: str) -> Iterator[int]:
    """A descriptor that takes nothing."""
    if behind == "a full disk":
        end = os.open("/dev/full", os.O_WRONLY)
    else:
        reader, end = os.pipe()
        os.close(reader)
    try:
        yield end
    finally:
        os.close(end)


def run(place: Path, *more: str, out: int = subprocess.PIPE, err: int = subprocess.PIPE) -> tuple[int, str]:
    """The exit code of a gate, and what it printed where that can be read."""
    (place / "gate.xml").unlink(missing_ok=True)
    done = subprocess.run([*COMMAND, *GATE, *more], cwd=place, stdout=out, stderr=err, text=True, timeout=300)
    assert "<failure" in (place / "gate.xml").read_text()
    return done.returncode, (done.stdout or "") + (done.stderr or "")


@pytest.mark.parametrize("behind", ["a full disk", "a pipe that nobody reads"])
def test_remarks_that_nobody_gets(behind: str, grown: Path) -> None:
    """Neither those of the progress, at which rich would end the program, nor annotations at its end."""
    with opened(behind) as err:
        code, told = run(grown, "--github", err=err)
    assert code == 1
    assert "REGRESSION" in told


@pytest.mark.parametrize("behind", ["a full disk", "a pipe that nobody reads"])
def test_a_network_that_prints(behind: str, tmp_path: Path) -> None:
    """What a file of the user says goes the way of remarks, wherever it prints."""
    said = "print('hello')\nprint('there', file=sys.stderr)\n"
    (tmp_path / "net.py").write_text(f"import sys\nimport torch\n{said}build = torch.nn.Identity\n")
    asked = [*COMMAND, "models", "show", "py:net.py:build:4x4"]
    with opened(behind) as err:
        done = subprocess.run(asked, cwd=tmp_path, stdout=subprocess.PIPE, stderr=err, text=True, timeout=300)
    assert done.returncode == 0
    assert "hello" not in done.stdout
    assert "py:net.py:build" in done.stdout


def test_ctrl_c_while_the_verdict_is_shown(grown: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is decided and recorded: it is shown, too."""
    emit = show.emit

    def interrupted(text: str) -> None:
        signal.raise_signal(signal.SIGINT)
        emit(text)

    monkeypatch.setattr(show, "emit", interrupted)
    done = in_process("gate", "--simulated", "--seed", "1", cwd=grown)
    assert done.code == 1
    assert "REGRESSION" in done.out


def test_a_table_on_a_full_disk(grown: Path) -> None:
    with opened("a full disk") as out:
        code, told = run(grown, out=out)
    assert code == 1
    assert "error: cannot write to standard output: No space left on device" in told


def test_nothing_that_anybody_reads(grown: Path) -> None:
    """As in `vitbench gate 2>&1 | head -1`."""
    with opened("a pipe that nobody reads") as both:
        assert run(grown, "--github", out=both, err=both)[0] == 1


def test_a_terminal_that_is_closed_meanwhile(grown: Path) -> None:
    controller, terminal = pty.openpty()
    with subprocess.Popen(
        [*COMMAND, *GATE],
        cwd=grown,
        env=os.environ | {"TERM": "xterm"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=terminal,
        text=True,
    ) as process:
        os.close(terminal)
        os.read(controller, 1)
        os.close(controller)
        out, _ = process.communicate(timeout=300)
    assert process.returncode == 1
    assert "REGRESSION" in out


def test_a_broken_pipe_that_is_not_our_output(tmp_path: Path) -> None:
    """A program that died, say: whoever prints into a pipe that is read has not succeeded."""
    program = (
        "import errno\n"
        "from vitbench.cli import main\n"
        "from vitbench.pipeline import gate\n"
        "def died(*_, **__):\n"
        "    raise BrokenPipeError(errno.EPIPE, 'Broken pipe')\n"
        "gate.gate_baseline = died\n"
        "import sys\n"
        "sys.argv = ['vitbench', 'gate']\n"
        "main.main()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 2
    assert "error: cannot go on: Broken pipe" in done.stderr
