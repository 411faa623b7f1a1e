"""Plant a slowdown of a known size into the candidate of paired measurements; its artifact stays as it is.

The agents of the candidate's blocks are started from a zip application of their own, whose ONNX Runtime
spins after each run for a share of what the run took, inside of what is timed: on a machine whose speed
changes it stays the same share. Nothing of vitbench knows of it.
"""

from __future__ import annotations

import tempfile
import zipfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

from vitbench import measure
from vitbench.transport.channel import Channel
from vitbench.transport.local import LocalTransport
from vitbench.transport.zipapp import PACKAGE, build_zipapp

_MAIN = """\
import time
from {package}.backends import onnxruntime as backend

bind = backend.OnnxRuntimeBackend._bind


def slower(self, feed):
    put, run, fetch = bind(self, feed)

    def run_and_spin():
        begin = time.perf_counter_ns()
        run()
        now = time.perf_counter_ns()
        end = now + {share} * (now - begin)
        while time.perf_counter_ns() < end:
            pass

    return put, run_and_spin, fetch


backend.OnnxRuntimeBackend._bind = slower
from {package}.main import main

raise SystemExit(main())
"""


@contextmanager
def planted(share: float) -> Iterator[None]:
    """Slow every second side of paired measurements down by a share of its computation: 0.1 for 10 %."""
    with tempfile.TemporaryDirectory(prefix="vitbench-planted-") as directory:
        agent = _agent(Path(directory), share)
        at_work: list[bool] = []
        start, pairs = LocalTransport.start_agent, measure.measure_pairs

        def start_agent(link: LocalTransport, label: str) -> Channel:
            if not at_work:
                return start(link, label)
            usual, link._agent = link._agent, agent
            try:
                return start(link, label)
            finally:
                link._agent = usual

        def slow(open_session: Callable[[int], AbstractContextManager[Any]]) -> Callable[[int], Any]:
            @contextmanager
            def opened(block: int) -> Iterator[Any]:
                at_work.append(True)
                manager = open_session(block)
                try:
                    session = manager.__enter__()
                finally:
                    at_work.pop()
                try:
                    yield session
                finally:
                    manager.__exit__(None, None, None)

            return opened

        def measure_pairs(open_sessions: Any, *arguments: Any, **options: Any) -> Any:
            return pairs((open_sessions[0], slow(open_sessions[1])), *arguments, **options)

        with (
            mock.patch.object(LocalTransport, "start_agent", start_agent),
            mock.patch.object(measure, "measure_pairs", measure_pairs),
        ):
            yield


def _agent(directory: Path, share: float) -> Path:
    """The agent's zip application with another beginning."""
    usual = build_zipapp(directory / "usual.pyz")
    made = directory / "planted.pyz"
    with zipfile.ZipFile(usual) as source, zipfile.ZipFile(made, "w") as target:
        for name in source.namelist():
            data = source.read(name)
            if name == "__main__.py":
                data = _MAIN.format(package=PACKAGE, share=share).encode()
            target.writestr(name, data)
    return made
