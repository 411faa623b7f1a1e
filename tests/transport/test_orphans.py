"""Whatever becomes of the host, no agent stays behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

HOST = """
import sys
from vitbench import transport
from vitbench.catalog.specs import SimScript, TargetSpec

spec = TargetSpec(name="sim", title="", transport="sim", runtime="sim", sim=SimScript(latency_ms=1))
opened = transport.open(spec)
channel = opened.start_agent("agent")
channel.request({"op": "load", "runtime": "sim", "options": {"script": spec.sim.model_dump()}}, 10)
print(channel.pid, flush=True)
if sys.argv[1] == "busy":
    # Seconds of work in one request, of which the agent is told nothing more until it is done.
    channel.request({"op": "measure", "n": 1000000}, 600)
else:
    sys.stdin.read()
"""


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def cpu_ticks(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11])


def wait_until(condition: Callable[[], bool], timeout_s: float) -> bool:
    deadline = time.monotonic() + timeout_s
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.005)
    return condition()


@pytest.mark.parametrize("state", ["idle", "busy"])
@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGTERM])
def test_a_killed_host_leaves_no_agent(state: str, end: signal.Signals, tmp_path: Path) -> None:
    argv, pipe = [sys.executable, "-c", HOST, state], subprocess.PIPE
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    with subprocess.Popen(argv, stdin=pipe, stdout=pipe, env=environment) as host:
        assert host.stdout is not None
        agent = int(host.stdout.readline())
        if state == "busy":
            before = cpu_ticks(agent)
            assert wait_until(lambda: cpu_ticks(agent) > before, 5)
        assert alive(agent)
        host.send_signal(end)
        host.wait()
        # The request would go on for much longer than this.
        assert wait_until(lambda: not alive(agent), 0.5)
