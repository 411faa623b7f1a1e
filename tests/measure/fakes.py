"""A scripted session: latencies by a function, time that iterations alone advance, every call in a log."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

from vitbench.measure.block import CellProgress
from vitbench.records.schema import Block, Probe, Samples

Latency = Callable[[int], float]
QUIET = {
    "load1": 0.1,
    "clock_mhz": 2000.0,
    "temp_c": 40.0,
    "governor": "performance",
    "throttle_count": 3,
    "memory_free_mb": 1000.0,
    "cpu_count": 4,
    "cpu_steal_ns": 0,
    "peak_rss_bytes": 64 * 2**20,
}


@dataclass(frozen=True)
class FakeBatch:
    """What a request for iterations answers. A tenth of each iteration goes in, a twentieth comes out."""

    total_ns: tuple[int, ...]
    h2d_ns: tuple[int, ...]
    compute_ns: tuple[int, ...]
    d2h_ns: tuple[int, ...]
    elapsed_ns: int


@dataclass
class FakeSession:
    """One scripted process.

    Attributes:
        latency_ms: of the iteration of the given number, warm-up and untimed ones included.
        log: every call, as (name, iterations); shared by the sessions of a cell.
        readings: what `probe` adds to a quiet machine; a function of the session.
        fail: raises, if it wants to, before the request of the given name.
    """

    latency_ms: Latency
    log: list[tuple[str, int]] = field(default_factory=list)
    readings: Callable[[FakeSession], Mapping[str, Any]] = lambda session: {}
    fail: Callable[[str], None] = lambda name: None
    iteration: int = 0
    now_ns: int = 0
    probes: int = 0
    in_request: bool = False
    loaded: Any = field(default_factory=lambda: SimpleNamespace(load_ns=120_000_000))

    def warm(self, n: int) -> FakeBatch:
        """Run n iterations."""
        return self._iterate("warm", n)

    def measure(self, n: int) -> FakeBatch:
        """Run n iterations."""
        return self._iterate("measure", n)

    def probe(self) -> dict[str, Any]:
        """A quiet machine whose only busy CPU is this process, and what the script changes of it."""
        self.log.append(("probe", 0))
        self.fail("probe")
        self.probes += 1
        seconds = {"uptime_s": self.now_ns / 1e9, "cpu_busy_ns": self.now_ns, "own_cpu_ns": self.now_ns}
        found = {**QUIET, **seconds, **self.readings(self)}
        return {name: value for name, value in found.items() if value is not None}

    def _iterate(self, name: str, n: int) -> FakeBatch:
        assert n >= 1
        self.log.append((name, n))
        self.in_request = True
        self.fail(name)
        total = []
        for _ in range(n):
            total.append(round(self.latency_ms(self.iteration) * 1e6))
            self.iteration += 1
        self.now_ns += sum(total)
        self.in_request = False
        h2d, d2h = [ns // 10 for ns in total], [ns // 20 for ns in total]
        compute = [ns - i - o for ns, i, o in zip(total, h2d, d2h, strict=True)]
        return FakeBatch(tuple(total), tuple(h2d), tuple(compute), tuple(d2h), sum(total))


@dataclass
class FakeDevice:
    """Opens scripted sessions and notes when each begins and ends.

    Attributes:
        script: the session of the block of the given number.
        refuse: raises, if it wants to, when a session is opened.
    """

    script: Callable[[int], FakeSession]
    refuse: Callable[[int], None] = lambda index: None
    log: list[tuple[str, int]] = field(default_factory=list)
    slept_s: list[float] = field(default_factory=list)
    open_sessions: list[FakeSession] = field(default_factory=list)

    @contextmanager
    def __call__(self, index: int, /) -> Iterator[FakeSession]:
        """A session for a block."""
        self.log.append(("open", index))
        self.refuse(index)
        session = self.script(index)
        session.log = self.log
        self.open_sessions.append(session)
        try:
            yield session
        finally:
            self.open_sessions.remove(session)
            self.log.append(("close", index))

    def sleep(self, seconds: float) -> None:
        """Wait, for a device that needs no real time."""
        self.log.append(("sleep", 0))
        self.slept_s.append(seconds)

    def screen(self) -> Screen:
        """A screen that makes sure nothing is under way while it is refreshed."""
        return Screen(self)


@dataclass
class Screen:
    """Keeps what it is shown."""

    device: FakeDevice
    shown: list[CellProgress] = field(default_factory=list)

    def __call__(self, progress: CellProgress) -> None:
        """Take a refresh."""
        assert not any(session.in_request for session in self.device.open_sessions)
        self.device.log.append((f"show {progress.phase}", progress.iterations))
        self.shown.append(progress)


def constant(latency_ms: float) -> Latency:
    """Every iteration alike."""
    return lambda iteration: latency_ms


def block(index: int = 0, **changes: Any) -> Block:
    """A plain block of 200 iterations of 5 ms."""
    figures: dict[str, Any] = {
        "index": index,
        "started_utc": "2025-01-01T00:00:00+00:00",
        "duration_s": 2.0,
        "steady": True,
        "warmup": Samples(total_ns=(9_000_000,)),
        "samples": Samples(total_ns=(5_000_000,) * 200),
        "batch_iterations": 20,
        "median_ms": 5.0,
        "ci_half_width": 0.005,
        "load_ms": 120.0,
        "first_inference_ms": 9.0,
        "peak_memory_mb": 64.0,
        "before": Probe(),
        "after": Probe(),
    }
    return Block(**{**figures, **changes})
