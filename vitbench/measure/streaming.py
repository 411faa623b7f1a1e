"""Throughput on a device that works on several requests at once: rounds of requests in place of iterations.

A round is one request for each stream of the device, which is never left without one: its time is from the
end of one round to the end of the next, and the images of a round over that time are the throughput. Warm-up,
stopping and blocks follow the same rules as those of iterations that come one after the other.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Protocol

from vitbench.measure.session import Batch, Loaded, OpenSession, Readings, Session, ToolSession
from vitbench.records.schema import Protocol as ProtocolPart


class StreamingSession(Session, Protocol):
    """A session whose device can have several requests under way."""

    def stream(self, n: int, lanes: int) -> Batch:
        """Keep so many requests under way and time n rounds of one request a lane."""
        ...


@dataclass(frozen=True)
class Rounds:
    """A batch without parts, which requests that overlap do not have."""

    total_ns: tuple[int, ...]
    elapsed_ns: int
    h2d_ns: tuple[int, ...] = ()
    compute_ns: tuple[int, ...] = ()
    d2h_ns: tuple[int, ...] = ()


@dataclass
class Streamed:
    """A session that times rounds of overlapping requests; its first iteration is a request alone."""

    session: StreamingSession
    streams: int
    first: bool = True

    @property
    def loaded(self) -> Loaded:
        """As the session's."""
        return self.session.loaded

    def warm(self, n: int) -> Batch:
        """Run n rounds of warm-up; the very first call one request, the first inference."""
        if not self.first:
            return self.measure(n)
        self.first = False
        alone = self.session.warm(n)
        return Rounds(tuple(alone.total_ns), alone.elapsed_ns)

    def measure(self, n: int) -> Batch:
        """Run n timed rounds."""
        return self.session.stream(n, self.streams)

    def probe(self) -> Readings:
        """As the session's."""
        return self.session.probe()


def overlaps(protocol: ProtocolPart) -> bool:
    """Whether a measurement is of rounds of requests that overlap, on several streams."""
    return protocol.metric == "throughput" and protocol.overlap and protocol.streams > 1


def images_a_sample(protocol: ProtocolPart) -> int:
    """Images of one sample: of a batch, or of as many as there are streams."""
    return protocol.batch * (protocol.streams if overlaps(protocol) else 1)


def as_measured(
    open_session: Callable[[int], AbstractContextManager[StreamingSession | ToolSession]],
    protocol: ProtocolPart,
) -> OpenSession:
    """What opens the sessions of a measurement: in rounds where requests overlap, as they are otherwise.

    A tool of the device that runs whole series overlaps them by itself.
    """
    if not overlaps(protocol):
        return open_session

    @contextmanager
    def opened(index: int, /) -> Iterator[Session | ToolSession]:
        with open_session(index) as session:
            yield session if isinstance(session, ToolSession) else Streamed(session, protocol.streams)

    return opened
