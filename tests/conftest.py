"""What every test may need, and what happens to tests whose program is not on this machine."""

from __future__ import annotations

import os
import shutil
import signal
import threading
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest
from hypothesis import settings

from tests.support.adb_device.fixtures import adb_server, make_phone
from tests.support.sshd.fixtures import board
from tests.support.tensorrt_stand_in.interpreter import old_python

# TensorRT 8.6 is for Pythons up to 3.10, and vitbench for 3.11 and later: only the agent runs under this one.
TENSORRT_PYTHON = "VITBENCH_TENSORRT_PYTHON"

__all__ = ["adb_server", "board", "make_phone"]


def _nvidia_gpu() -> bool:
    return Path("/dev/nvidia0").exists()


def _tensorrt() -> bool:
    return TENSORRT_PYTHON in os.environ or find_spec("tensorrt") is not None


# marker: (is it here?, how to get it)
NEEDS: dict[str, tuple[Callable[[], bool], str]] = {
    "adb": (lambda: shutil.which("adb") is not None, "apt-get install adb"),
    "sshd": (lambda: Path("/usr/sbin/sshd").exists(), "apt-get install openssh-server"),
    "tflite": (lambda: find_spec("ai_edge_litert") is not None, "pip install -c constraints.txt '.[tflite]'"),
    "rtx": (
        lambda: find_spec("tensorrt_rtx_bindings") is not None,
        "pip install -c constraints.txt '.[rtx]'",
    ),
    "python38": (lambda: old_python() is not None, "pyenv install 3.8, or any other python3.8"),
    "tensorrt": (_tensorrt, f"name a Python that has TensorRT in ${TENSORRT_PYTHON}"),
    "gpu": (_nvidia_gpu, "run on a machine with an NVIDIA GPU"),
}
_deselected: dict[str, int] = {}
# Directories of files that take minutes: first, for what comes last is run by one worker alone.
LONG = ("zoo", "counting", "export", "e2e")


# The same examples in every run, however busy the machine is: a red test is a change of the code.
settings.register_profile("repeatable", deadline=None, derandomize=True)
settings.load_profile("repeatable")


def pytest_configure() -> None:
    """Take Ctrl-C and hang-ups even where a shell or nohup started this with them ignored by all."""
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.signal(signal.SIGHUP, signal.SIG_DFL)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Deselect tests whose program is absent, unless VITBENCH_REQUIRE names it; long ones first."""
    required = {name for name in os.environ.get("VITBENCH_REQUIRE", "").split(",") if name}
    if unknown := required - set(NEEDS):
        raise pytest.UsageError(f"VITBENCH_REQUIRE names {sorted(unknown)}; known are {sorted(NEEDS)}")
    if absent := sorted(name for name in required if not NEEDS[name][0]()):
        advice = "; ".join(f"{name}: {NEEDS[name][1]}" for name in absent)
        raise pytest.UsageError(f"VITBENCH_REQUIRE names what is not here ({advice})")
    kept, dropped = [], []
    for item in items:
        missing = [name for name, (here, _) in NEEDS.items() if item.get_closest_marker(name) and not here()]
        (dropped if missing else kept).append(item)
        for name in missing:
            _deselected[name] = _deselected.get(name, 0) + 1
    if dropped:
        config.hook.pytest_deselected(items=dropped)
    items[:] = sorted(kept, key=lambda item: _rank(item.path.relative_to(Path(__file__).parent)))


def _rank(path: Path) -> int:
    return LONG.index(path.parts[0]) if path.parts[0] in LONG else len(LONG)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say which tests did not run for want of what, and how to get it."""
    for name, count in _deselected.items():
        terminalreporter.write_line(f"{count} tests need {name}: {NEEDS[name][1]}")


@pytest.fixture(autouse=True, scope="session")
def _own_cache(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep the user's cache out of the tests; workers of one test session share artifacts."""
    base = tmp_path_factory.getbasetemp()
    if hasattr(request.config, "workerinput"):
        base = base.parent
    with pytest.MonkeyPatch.context() as patch:
        # Else each of hundreds of commands compiles all of vitbench anew.
        patch.delenv("PYTHONDONTWRITEBYTECODE", raising=False)
        patch.setenv("VITBENCH_CACHE", str(base / "cache"))
        yield
