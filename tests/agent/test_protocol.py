"""The protocol, spoken to the agent as a process."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from vitbench.catalog.specs import SimScript
from vitbench.transport.zipapp import build_zipapp

SCRIPT = SimScript(latency_ms=2.0, noise=0).model_dump()
LOAD_SIM = {"op": "load", "runtime": "sim", "options": {"script": SCRIPT}}


class Agent:
    """An agent process, one line at a time."""

    def __init__(self, argv: list[str]) -> None:
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(argv, stdin=pipe, stdout=pipe, stderr=pipe)
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        assert self.process.stderr is not None
        self.stdin, self.stdout, self.stderr = self.process.stdin, self.process.stdout, self.process.stderr

    def send(self, line: bytes) -> None:
        self.stdin.write(line)
        self.stdin.flush()

    def ask(self, request: Any) -> dict[str, Any]:
        self.send(json.dumps(request).encode() + b"\n")
        return self.reply()

    def reply(self) -> dict[str, Any]:
        reply: dict[str, Any] = json.loads(self.stdout.readline())
        return reply

    def refused(self, request: Any) -> tuple[str, str]:
        reply = self.ask(request)
        assert reply["ok"] is False
        return reply["error"]["kind"], reply["error"]["message"]

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        for pipe in (self.stdin, self.stdout, self.stderr):
            with contextlib.suppress(BrokenPipeError):
                pipe.close()


@pytest.fixture(scope="module")
def pyz(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_zipapp(tmp_path_factory.mktemp("agent") / "agent.pyz")


@pytest.fixture
def agent(pyz: Path) -> Iterator[Agent]:
    agent = Agent([sys.executable, str(pyz)])
    yield agent
    agent.close()


@pytest.mark.parametrize("packed", [True, False], ids=["zipapp", "module"])
def test_says_hello_measures_and_ends(pyz: Path, packed: bool) -> None:
    agent = Agent([sys.executable, *([str(pyz)] if packed else ["-m", "vitbench.agent"])])
    hello = agent.ask({"op": "hello"})
    assert hello["pid"] == agent.process.pid
    assert hello["python"] == ".".join(map(str, sys.version_info[:3]))
    assert set(hello["runtimes"]) >= {"sim", "onnxruntime", "numpy"}
    assert agent.ask(LOAD_SIM)["device"] == "simulated"
    warm = agent.ask({"op": "warm", "n": 2})
    assert warm["samples"]["total_ns"] == [2_000_000] * 2
    assert warm["elapsed_ns"] == 4_000_000
    assert agent.ask({"op": "measure", "n": 3})["samples"]["compute_ns"] == [2_000_000] * 3
    assert agent.ask({"op": "bye"}) == {"ok": True}
    out, err = agent.process.communicate(timeout=10)
    assert (out, err, agent.process.returncode) == (b"", b"", 0)


@pytest.mark.parametrize(
    "line",
    [b"\n", b"garbage\n", b"\xff\xfe\n", b"[1]\n", b'"op"\n', b'{"op": 3}\n', b"{}\n", b"[" * 99999 + b"\n"],
)
def test_survives_lines_that_are_no_request(agent: Agent, line: bytes) -> None:
    agent.send(line)
    reply = agent.reply()
    assert reply["ok"] is False
    assert reply["error"]["kind"] == "usage"
    assert agent.ask({"op": "hello"})["ok"] is True


def test_survives_a_line_over_the_limit(agent: Agent) -> None:
    agent.send(b"x" * (9 * 1024 * 1024) + b"\n")
    assert "at most" in agent.reply()["error"]["message"]
    assert agent.ask({"op": "hello"})["ok"] is True


def test_refuses_what_does_not_fit(agent: Agent) -> None:
    assert agent.refused({"op": "dance"}) == ("usage", "unknown operation 'dance'")
    assert agent.refused({"op": "measure", "n": 1}) == ("usage", "no model is loaded")
    assert "unknown runtime 'abacus'" in agent.refused({"op": "load", "runtime": "abacus"})[1]
    assert "needs a script" in agent.refused({"op": "load", "runtime": "sim"})[1]
    assert "options must be" in agent.refused({"op": "load", "runtime": "sim", "options": []})[1]
    for cpus in ([99999], "all", []):
        request = {**LOAD_SIM, "options": {"script": SCRIPT, "affinity": cpus}}
        kind, message = agent.refused(request)
        assert kind == "usage"
        assert "cannot keep to CPUs" in message
    assert agent.ask(LOAD_SIM)["ok"] is True
    assert "loaded already" in agent.refused(LOAD_SIM)[1]
    for n in (0, -1, True, 1.5, "3", None, 10**9):
        assert "n must be an integer" in agent.refused({"op": "measure", "n": n})[1]
    assert agent.refused({"op": "outputs", "inputs": [], "out_dir": "x"})[0] == "usage"
    assert agent.refused({"op": "outputs"})[0] == "usage"


def test_keeps_to_the_cpus_it_is_given(agent: Agent) -> None:
    cpu = min(os.sched_getaffinity(0))
    assert agent.ask({**LOAD_SIM, "options": {"script": SCRIPT, "affinity": [cpu]}})["ok"] is True
    assert os.sched_getaffinity(agent.process.pid) == {cpu}


def test_a_missing_model_is_an_io_error(agent: Agent) -> None:
    kind, message = agent.refused({"op": "load", "runtime": "onnxruntime", "model": "/nowhere/model.onnx"})
    assert kind == "io"
    assert "/nowhere/model.onnx" in message


def test_probes_a_laid_out_machine_and_this_one(agent: Agent, tmp_path: Path) -> None:
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc/loadavg").write_text("2.5 0 0 1/1 1\n")
    assert agent.ask({"op": "probe", "root": str(tmp_path)})["readings"] == {"load1": 2.5}
    assert agent.ask({"op": "processes", "root": str(tmp_path)})["processes"] == []
    assert agent.ask({"op": "probe"})["readings"]["memory_total_mb"] > 0
    assert agent.ask({"op": "describe"})["facts"]["python"]
    assert any(item["pid"] == os.getpid() for item in agent.ask({"op": "processes"})["processes"])


def test_a_simulated_device_tells_nothing_of_this_machine(agent: Agent) -> None:
    agent.ask(LOAD_SIM)
    assert agent.ask({"op": "probe"})["readings"]["temp_c"] == SCRIPT["temp_c"]
    assert agent.ask({"op": "describe"})["facts"]["cpu_model"] == "simulated"
    assert agent.ask({"op": "processes"})["processes"] == []


def test_ends_with_its_input(agent: Agent) -> None:
    agent.stdin.close()
    assert agent.process.wait(10) == 0


def test_answers_a_last_line_without_an_end(agent: Agent) -> None:
    agent.send(b'{"op": "bye"}')
    agent.stdin.close()
    assert agent.reply() == {"ok": True}
    assert agent.process.wait(10) == 0


def test_ends_when_nobody_reads_even_though_its_input_is_open(agent: Agent) -> None:
    agent.ask({"op": "hello"})
    agent.stdout.close()
    assert agent.process.wait(10) == 0


def test_the_scripted_crash_ends_the_process_in_the_middle_of_its_block(agent: Agent) -> None:
    crashing = SimScript(latency_ms=2.0, crash_in_block=3).model_dump()
    agent.ask({**LOAD_SIM, "options": {"script": crashing, "block": 3}})
    assert agent.ask({"op": "warm", "n": 20})["ok"] is True
    agent.send(b'{"op": "measure", "n": 20}\n')
    out, err = agent.process.communicate(timeout=10)
    assert out == b""
    assert b"scripted crash in block 3" in err
    assert agent.process.returncode == 70


NOISY_RUNTIME = """
import os, sys
from vitbench.agent import backends, main
from vitbench.agent.backends.sim import SimBackend

class Noisy(SimBackend):
    def stages(self):
        put, run, fetch = super().stages()
        def loud():
            print("from python")
            os.write(1, b"from a library\\n")
            os.system("echo from a child; cat")
            run()
        return put, loud, fetch
    def outputs(self, inputs, out_dir):
        return 1 / 0

backends.load = lambda runtime, model, options, inputs: Noisy(options, inputs)
sys.exit(main.main())
"""


def test_no_runtime_can_write_into_the_replies_or_read_the_requests() -> None:
    agent = Agent([sys.executable, "-c", NOISY_RUNTIME])
    agent.ask(LOAD_SIM)
    agent.send(b'{"op": "measure", "n": 2}\n{"op": "hello"}\n')
    assert agent.reply()["samples"]["total_ns"] == [2_000_000] * 2
    assert agent.reply()["pid"] == agent.process.pid
    assert agent.refused({"op": "outputs", "inputs": [], "out_dir": "x"}) == (
        "runtime",
        "ZeroDivisionError: division by zero",
    )
    agent.stdin.close()
    said = agent.stderr.read()
    assert said.count(b"from a library") == said.count(b"from a child") == 2
    assert b"ZeroDivisionError" in said
    agent.close()


def test_the_agent_starts_quickly(pyz: Path) -> None:
    begin = time.monotonic()
    agent = Agent([sys.executable, str(pyz)])
    agent.ask({"op": "hello"})
    agent.close()
    assert time.monotonic() - begin < 3
