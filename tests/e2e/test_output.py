"""What a terminal gets to see, and what becomes of output that goes nowhere."""

import contextlib
import os
import pty
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.cli import COMMAND, vitbench

COLOUR = re.compile(r"\x1b\[[0-9;]*m")
SIM_RUN = ["run", "-m", "effvit-b0", "-t", "sim", "--allow-inconclusive"]
CALL = shlex.join(COMMAND)

# Presses Ctrl-C where a command without words of its own for it is at work.
INTERRUPTED = """
import os, signal, sys
from vitbench import catalog
from vitbench.cli.main import main
catalog.load_families = lambda: os.kill(os.getpid(), signal.SIGINT)
sys.argv = ["vitbench", "models"]
main()
"""


def on_terminal(*arguments: str, cwd: Path, no_colour: bool) -> tuple[int, str]:
    """Exit code, and everything that a terminal behind both standard output and error was sent."""
    environment = {key: value for key, value in os.environ.items() if key not in ("NO_COLOR", "FORCE_COLOR")}
    environment |= {"TERM": "xterm-256color", "COLUMNS": "150"} | ({"NO_COLOR": "1"} if no_colour else {})
    terminal, far_end = pty.openpty()
    with subprocess.Popen(
        [*COMMAND, *arguments], cwd=cwd, env=environment, stdin=far_end, stdout=far_end, stderr=far_end
    ) as process:
        os.close(far_end)
        seen = b""
        with contextlib.suppress(OSError):  # how Linux says that nobody writes any more
            while data := os.read(terminal, 65536):
                seen += data
        os.close(terminal)
        return process.wait(60), seen.decode()


def in_shell(command: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["sh", "-c", command], cwd=cwd, capture_output=True, text=True, timeout=120)


@pytest.mark.parametrize("no_colour", [False, True])
def test_no_color_on_a_terminal(no_colour: bool, tmp_path: Path) -> None:
    for arguments in (SIM_RUN, ["report", "--simulated"], ["doctor", "-t", "sim", "--no-noise-check"]):
        code, seen = on_terminal(*arguments, cwd=tmp_path, no_colour=no_colour)
        assert code == 0, seen
        assert "SIMULATED" in seen
        assert bool(COLOUR.search(seen)) is not no_colour, repr(seen)


@pytest.mark.parametrize("command", ["models", "run --help", "--version", "report"])
def test_a_closed_standard_output_is_said(command: str, tmp_path: Path) -> None:
    done = in_shell(f"{CALL} {command} >&-", tmp_path)
    assert done.returncode == 2
    assert done.stderr.startswith("error: standard output is closed\n")


def test_a_closed_standard_error_changes_nothing(tmp_path: Path) -> None:
    done = in_shell(f"{CALL} {shlex.join(SIM_RUN)} 2>&-", tmp_path)
    assert done.returncode == 0
    assert "effvit-b0" in done.stdout
    assert in_shell(f"{CALL} models show nothing-b0 2>&-", tmp_path).returncode == 2


@pytest.mark.parametrize("command", ["models", "run --help", "--version"])
def test_a_full_disk_is_said(command: str, tmp_path: Path) -> None:
    done = in_shell(f"{CALL} {command} >/dev/full", tmp_path)
    assert done.returncode == 2
    assert re.match("error: cannot [a-z ]+: No space left on device\n", done.stderr)
    assert "Exception" not in done.stderr


@pytest.mark.parametrize("command", ["models", "run --help"])
def test_a_reader_that_left_is_no_error(command: str, tmp_path: Path) -> None:
    done = in_shell(f"{{ {CALL} {command}; echo code $? >&2; }} | sleep 0", tmp_path)
    assert done.stderr == "code 0\n"


def test_a_working_directory_that_is_gone(tmp_path: Path) -> None:
    # `-m vitbench` would not even be found there where it is not installed.
    start = "import os, sys; from vitbench.cli.main import main; os.rmdir(os.getcwd()); main()"
    for arguments in (["models"], ["targets"], SIM_RUN):
        (tmp_path / "gone").mkdir()
        done = subprocess.run(
            [sys.executable, "-c", start, *arguments], cwd=tmp_path / "gone", capture_output=True, text=True
        )
        assert done.returncode == 2, done.stderr
        assert "cannot tell the working directory: No such file or directory" in done.stderr


@pytest.mark.parametrize("option", ["--max-size", "--unused-for"])
@pytest.mark.parametrize("value", ["inf", "nan", "1e308"])
def test_sizes_and_ages_are_numbers(option: str, value: str, tmp_path: Path) -> None:
    done = vitbench("cache", "prune", option, value, cwd=tmp_path, VITBENCH_CACHE=str(tmp_path / "cache"))
    assert done.code == 2
    assert option in done.err
    assert "Traceback" not in done.err


def test_ctrl_c_is_said(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", INTERRUPTED], cwd=tmp_path, capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr.strip()) == (130, "", "interrupted")


def test_ctrl_c_before_the_command_line_is_there_is_said(tmp_path: Path) -> None:
    (tmp_path / "typer.py").write_text("raise KeyboardInterrupt\n")
    done = vitbench("--version", cwd=tmp_path, PYTHONPATH=str(tmp_path))
    assert (done.code, done.out, done.err) == (130, "", "interrupted\n")
