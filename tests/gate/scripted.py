"""Scripted devices without processes: the agent's own script player, called in place."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from vitbench.agent.backends.sim import SimBackend
from vitbench.agent.timing import time_iterations
from vitbench.catalog import files
from vitbench.errors import TargetUnreachable, ToolError
from vitbench.pipeline.device import Device
from vitbench.runtime.session import LoadInfo, SampleBatch

TARGET = """\
name = "{name}"
title = "a scripted board"
transport = "sim"
runtime = "sim"

[sim]
latency_ms = {latency_ms}
noise = 0.01
block_noise = {block_noise}
h2d_ms = 0.10
d2h_ms = 0.05
load_ms = 20.0
seed = {seed}
"""


class InPlace:
    """One process of a scripted device, without the process."""

    def __init__(self, options: dict[str, Any], scene: Scene, block: int, side: str) -> None:
        self._backend = SimBackend(options, [])
        self._scene, self._block, self._side = scene, block, side
        info = self._backend.info()
        told = {name: info[name] for name in ("load_ns", "import_ns", "runtime_version", "device")}
        self.loaded = LoadInfo(**told, inputs=(), outputs=())

    def warm(self, n: int) -> SampleBatch:
        """Run n iterations."""
        return self._iterate("warm", n)

    def measure(self, n: int) -> SampleBatch:
        """Run n iterations."""
        self._scene.befall(self._block)
        return self._iterate("measure", n)

    def probe(self) -> dict[str, Any]:
        """The script's readings, and what the scene changes of them."""
        found = dict(self._backend.readings() or {})
        found["peak_rss_bytes"] = self._scene.memory_mb.get(self._side, 64.0) * 2**20
        if (clock := self._scene.clock_mhz.get(self._side)) is not None:
            found["clock_mhz"] = clock
        return found

    def describe(self) -> dict[str, Any]:
        """The script's facts."""
        return {**(self._backend.facts() or {}), **self._scene.facts}

    def _iterate(self, op: str, n: int) -> SampleBatch:
        self._backend.iterate(op, n)
        done = time_iterations(self._backend.stages(), n, self._backend.clock)
        samples = {name: tuple(values) for name, values in done["samples"].items()}
        return SampleBatch(**samples, elapsed_ns=done["elapsed_ns"])


@dataclass
class Scene:
    """What happens to scripted devices in a test.

    Attributes:
        memory_mb, clock_mhz: peak memory and clock by side, `baseline` or `candidate`.
        facts: of the machine, beside the script's.
        dies_at, leaves_at: number of the block from which on the process dies, or the device is gone.
        opened: numbers of the blocks that were begun.
    """

    memory_mb: dict[str, float] = field(default_factory=dict)
    clock_mhz: dict[str, float] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)
    dies_at: int | None = None
    leaves_at: int | None = None
    opened: list[int] = field(default_factory=list)
    scripts: dict[str, Any] = field(default_factory=dict)

    def befall(self, block: int) -> None:
        """Do to a block what the scene has for it."""
        if self.dies_at is not None and block >= self.dies_at:
            raise ToolError("the agent exited with code 70", tail="sim: scripted crash")
        if self.leaves_at is not None and block >= self.leaves_at:
            raise TargetUnreachable("no such device")

    def side(self, device: Device) -> str:
        """Which side a device is: the first script that is opened after the candidate's is the baseline's."""
        return self.scripts.setdefault(str(id(device.cell)), "baseline" if self.scripts else "candidate")


@pytest.fixture
def scene(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Scene:
    """Scripted devices in place of processes, in a directory of its own."""
    made = Scene()

    @contextmanager
    def session(device: Device, block: int) -> Iterator[InPlace]:
        made.opened.append(block)
        yield InPlace(device.options(block), made, block, made.side(device))

    monkeypatch.setattr(Device, "session", session)
    monkeypatch.chdir(tmp_path)
    return made


def write_target(
    directory: Path,
    *,
    latency_ms: float = 5.0,
    block_noise: float = 0.004,
    name: str = "board",
    seed: int = 0,
) -> Path:
    """A scripted target's file; noise is that between blocks."""
    path = directory / "targets" / f"{name}.toml"
    path.parent.mkdir(exist_ok=True)
    path.write_text(TARGET.format(name=name, latency_ms=latency_ms, block_noise=block_noise, seed=seed))
    files._targets_from.cache_clear()  # a command reads them once
    return path
