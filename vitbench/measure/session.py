"""What measuring needs of an agent session. `vitbench.runtime.session.AgentSession` is one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Protocol, runtime_checkable

from vitbench.records.schema import Samples, Told

Readings = Mapping[str, float | str | bool]


class Batch(Protocol):
    """Iterations in nanoseconds, in the order they ran; `elapsed_ns` is the loop, on the device's clock."""

    @property
    def total_ns(self) -> Sequence[int]: ...
    @property
    def h2d_ns(self) -> Sequence[int]: ...
    @property
    def compute_ns(self) -> Sequence[int]: ...
    @property
    def d2h_ns(self) -> Sequence[int]: ...
    @property
    def elapsed_ns(self) -> int: ...


class Loaded(Protocol):
    """A loaded model; `load_ns` is the creation of the runtime's session."""

    @property
    def load_ns(self) -> int: ...


class Session(Protocol):
    """One agent process with a model loaded. Every call is one request and blocks until its reply."""

    @property
    def loaded(self) -> Loaded: ...

    def warm(self, n: int) -> Batch:
        """Run n iterations of warm-up; the very first is the first inference."""
        ...

    def measure(self, n: int) -> Batch:
        """Run n timed iterations."""
        ...

    def probe(self) -> Readings:
        """Read the witnesses, named as in `vitbench.agent.probe.read`; one that cannot be read is absent."""
        ...


class Series(Protocol):
    """What a tool tells of one run of it."""

    @property
    def run(self) -> Told: ...
    @property
    def warmup(self) -> Told | None: ...
    @property
    def load_ns(self) -> int | None: ...
    @property
    def first_inference_ns(self) -> int | None: ...
    @property
    def peak_memory_mb(self) -> float | None: ...


@runtime_checkable
class Sampled(Protocol):
    """What a tool tells of one run of it where it may tell every iteration, and what it warns of."""

    @property
    def samples(self) -> Samples | None: ...
    @property
    def warnings(self) -> tuple[str, ...]: ...


@runtime_checkable
class ToolSession(Protocol):
    """A device whose tool runs a whole series in a process of its own, and tells statistics of it.

    A series may be `Sampled` as well.
    """

    def expected_ns(self) -> int:
        """What one iteration takes, from a short run before anything is timed."""
        ...

    def series(self, warmup: int, timed: int, limit_s: float) -> Series:
        """Run exactly so many iterations, which nothing interrupts before the limit."""
        ...

    def probe(self) -> Readings:
        """Read the witnesses, as `Session.probe`."""
        ...


class OpenSession(Protocol):
    """Start a fresh process for the block of the given number, its model loaded."""

    def __call__(self, index: int, /) -> AbstractContextManager[Session | ToolSession]: ...
