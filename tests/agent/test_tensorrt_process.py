"""TensorRT as processes: an agent that survives its builder, under other Pythons, without numpy."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.tensorrt_stand_in.interpreter import make_python, old_python
from tests.support.tensorrt_stand_in.toys import build_options, load_options, write_input, write_toy
from vitbench.transport.zipapp import build_zipapp


class Agent:
    """An agent process of a given Python, one request at a time."""

    def __init__(self, python: Path, pyz: Path, **environment: str) -> None:
        self.process = subprocess.Popen(
            [str(python), "-E", "-X", "faulthandler", str(pyz)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**os.environ, **environment},
            start_new_session=True,
        )

    def send(self, op: str, **request: Any) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps({"op": op, **request}).encode() + b"\n")
        self.process.stdin.flush()

    def ask(self, op: str, **request: Any) -> dict[str, Any]:
        assert self.process.stdout is not None
        self.send(op, **request)
        reply: dict[str, Any] = json.loads(self.process.stdout.readline())
        return reply

    def build(self, model: Path, engines: Path, **changed: Any) -> dict[str, Any]:
        return self.ask(
            "build", runtime="tensorrt", model=str(model), options=build_options(engines, **changed)
        )

    def end(self) -> str:
        """End it; what it said on stderr."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        _, said = self.process.communicate()
        return said.decode()


@pytest.fixture(scope="module")
def pyz(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_zipapp(tmp_path_factory.mktemp("agent") / "agent.pyz")


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """This Python with the stand-in, and without any package: numpy least of all."""
    return make_python(tmp_path_factory.mktemp("python") / "python", packages=False)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return write_toy(tmp_path / "model")


@contextlib.contextmanager
def agent(python: Path, pyz: Path, **environment: str) -> Iterator[Agent]:
    started = Agent(python, pyz, **environment)
    try:
        yield started
    finally:
        started.end()


def all_of_it(python: Path, pyz: Path, model: Path, tmp_path: Path) -> None:
    """From hello to the outputs, under one Python."""
    item = write_input(tmp_path / "x.bin")
    with agent(python, pyz) as started:
        assert started.ask("hello")["runtimes"]["tensorrt"] == "10.3.0"
        found = started.ask("examine", runtime="tensorrt", options={})
        assert (found["version"], found["missing"], found["gpu"]["gpu_name"]) == (
            *("10.3.0", None),
            "Stand-in GPU",
        )
        built = started.build(model, tmp_path / "engines")
        assert (built["ok"], built["origin"]) == (True, "built")
        options = load_options(built["engine"], cuda_graph=True)
        loaded = started.ask("load", runtime="tensorrt", model=None, options=options, inputs=[item])
        assert loaded["protocol"] == {"cuda_graph": True}
        samples = started.ask("measure", n=3)["samples"]
        assert samples["compute_ns"] == [5000] * 3
        assert len(samples["total_ns"]) == 3
        assert len(started.ask("stream", n=2, lanes=2)["samples"]["total_ns"]) == 2
        (group,) = started.ask("outputs", inputs=[[item]], out_dir=str(tmp_path / "out"))["outputs"]
        assert Path(group[0]["path"]).read_bytes() == b"12345678"
        assert started.ask("bye") == {"ok": True}


def test_from_hello_to_outputs_without_numpy(python: Path, pyz: Path, model: Path, tmp_path: Path) -> None:
    absent = subprocess.run([str(python), "-c", "import numpy"], capture_output=True, text=True)
    assert "No module named 'numpy'" in absent.stderr
    all_of_it(python, pyz, model, tmp_path)


@pytest.mark.python38
def test_from_hello_to_outputs_under_python_3_8(pyz: Path, model: Path, tmp_path: Path) -> None:
    oldest = old_python()
    assert oldest is not None
    all_of_it(make_python(tmp_path / "python", oldest, packages=False), pyz, model, tmp_path)


@pytest.mark.parametrize(
    ("how", "missing", "words"),
    [("no-gpu", "driver", "the NVIDIA driver finds no GPU"), ("old", "version", "older than 8.5")],
)
def test_what_stands_in_the_way_is_told(python: Path, pyz: Path, how: str, missing: str, words: str) -> None:
    version = {"VITBENCH_STAND_IN_TENSORRT": "8.4.1.5"} if how == "old" else {}
    with agent(python, pyz, VITBENCH_STAND_IN_FAILS=how, **version) as started:
        found = started.ask("examine", runtime="tensorrt", options={})
        assert found["ok"]
        assert found["missing"] == missing
        assert words in found["problem"]


def test_this_machine_is_examined_as_it_is(pyz: Path) -> None:
    with agent(Path(sys.executable), pyz) as started:
        found = started.ask("examine", runtime="tensorrt", options={})
    assert found["ok"]
    assert found["executable"] == sys.executable
    if not Path("/dev/nvidia0").exists():
        assert found["missing"] == "driver"
        assert "NVIDIA driver" in found["problem"]
        assert found["gpu"] is None
    else:
        assert found["missing"] in (None, "package", "version")
        assert found["gpu"]["compute_capability"]


def test_a_tensorrt_that_crashes_at_import_leaves_the_agent_alive(python: Path, pyz: Path) -> None:
    with agent(python, pyz, VITBENCH_STAND_IN_FAILS="import") as started:
        assert "tensorrt" not in started.ask("hello")["runtimes"]
        reply = started.ask("examine", runtime="tensorrt", options={})
        assert reply["error"] == {
            "kind": "runtime",
            "message": "the probe of TensorRT was killed by signal 6 (SIGABRT)",
        }
        assert started.ask("hello")["ok"]


def test_a_builder_that_crashes_leaves_the_agent_alive(
    python: Path, pyz: Path, model: Path, tmp_path: Path
) -> None:
    started = Agent(python, pyz, VITBENCH_STAND_IN_FAILS="build-crash")
    reply = started.build(model, tmp_path / "engines")
    assert reply["error"]["kind"] == "runtime"
    assert reply["error"]["message"] == "the build of TensorRT was killed by signal 6 (SIGABRT)"
    assert started.ask("hello")["ok"]
    said = started.end()
    assert "the builder says a last word" in said
    assert "Fatal Python error: Aborted" in said
    assert list((tmp_path / "engines").iterdir()) == []


def test_a_builder_that_takes_too_much_memory(python: Path, pyz: Path, model: Path, tmp_path: Path) -> None:
    with agent(python, pyz, VITBENCH_STAND_IN_FAILS="build-killed") as started:
        killed = started.build(model, tmp_path / "engines")["error"]
    assert killed["kind"] == "memory"
    assert "by signal 9 (SIGKILL), as what takes more memory than there is" in killed["message"]
    with agent(python, pyz, VITBENCH_STAND_IN_FAILS="build-memory") as started:
        refused = started.build(model, tmp_path / "engines")["error"]
    assert refused["kind"] == "memory"
    assert "Cuda Runtime (out of memory)" in refused["message"]


def test_a_crash_after_the_answer_is_none(python: Path, pyz: Path, model: Path, tmp_path: Path) -> None:
    with agent(python, pyz, VITBENCH_STAND_IN_FAILS="crash-at-end") as started:
        assert started.build(model, tmp_path / "engines")["origin"] == "built"


def test_an_error_of_the_builder_comes_through(python: Path, pyz: Path, model: Path, tmp_path: Path) -> None:
    with agent(python, pyz) as started:
        reply = started.build(model, tmp_path / "engines", avg_timing=0)
        assert reply["error"] == {
            "kind": "usage",
            "message": "avg_timing must be a positive integer, not 0",
        }
        assert started.ask("build", runtime="sim")["error"]["message"] == "nothing is built for 'sim'"
        assert "nothing to examine" in started.ask("examine", runtime="sim")["error"]["message"]


def test_a_builder_ends_with_its_agent(python: Path, pyz: Path, model: Path, tmp_path: Path) -> None:
    started = Agent(python, pyz, VITBENCH_STAND_IN_FAILS="build-hangs")
    options = build_options(tmp_path / "engines")
    started.send("build", runtime="tensorrt", model=str(model), options=options)
    children = _wait_for(lambda: _children(started.process.pid))
    # The agent alone, as when its host is gone: not the group that it leads.
    started.process.kill()
    started.process.wait()
    assert _wait_for(lambda: not any(Path(f"/proc/{child}").exists() for child in children))
    started.end()


def _children(pid: int) -> list[str]:
    found = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    # It has begun once it says so; before, it may still be another program.
    return [child for child in found if b"serve()" in Path(f"/proc/{child}/cmdline").read_bytes()]


def _wait_for(look: Any) -> Any:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError):
            if found := look():
                return found
        time.sleep(0.02)
    raise AssertionError("it does not come to pass")
