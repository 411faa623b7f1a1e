"""The loop that times: one for every backend, for warm-up and measurement alike."""

from __future__ import annotations

import gc
import time
from typing import Any, Callable, Dict, List, Optional, Protocol, Sequence, Tuple

Clock = Callable[[], int]
Stages = Tuple[Callable[[], Any], Callable[[], Any], Callable[[], Any]]
Parts = Callable[[], Tuple[int, int, int]]


class Lane(Protocol):
    """A queue of a device, with buffers for one request at a time."""

    def submit(self) -> None:
        """Let the device begin a request, input to output; returns while it works."""

    def wait(self) -> None:
        """Wait until the last request's outputs are in the host's memory. It may be called again."""


def time_iterations(
    stages: Stages, n: int, clock: Clock = time.perf_counter_ns, parts: Optional[Parts] = None
) -> Dict[str, Any]:
    """Run n iterations and time each and its parts.

    Nothing is allocated, collected or written between iterations but what the stages do themselves.

    Args:
        stages: input to the device, compute, output to the host; called in this order.
        n: iterations.
        clock: nanoseconds, monotonic.
        parts: for a device that works while the host goes on, and has a clock of its own: what the stages of
            the iteration just ended took there, in nanoseconds. Asked between iterations, outside of what is
            timed.

    Returns:
        `samples`: lists of n nanosecond integers `total_ns`, `h2d_ns`, `compute_ns`, `d2h_ns`, where total
        is by the host's clock, and the sum of the others unless `parts` gave them; `elapsed_ns`: the whole
        loop.
    """
    put, run, fetch = stages
    h2d: List[int] = [0] * n
    compute: List[int] = [0] * n
    d2h: List[int] = [0] * n
    total: List[int] = [0] * n
    collecting = gc.isenabled()
    gc.disable()
    try:
        begin = clock()
        for i in range(n):
            start = clock()
            put()
            placed = clock()
            run()
            done = clock()
            fetch()
            end = clock()
            h2d[i] = placed - start
            compute[i] = done - placed
            d2h[i] = end - done
            total[i] = end - start
            if parts is not None:
                h2d[i], compute[i], d2h[i] = parts()
        elapsed = clock() - begin
    finally:
        if collecting:
            gc.enable()
    samples = {"total_ns": total, "h2d_ns": h2d, "compute_ns": compute, "d2h_ns": d2h}
    return {"samples": samples, "elapsed_ns": elapsed}


def time_rounds(lanes: Sequence[Lane], n: int, clock: Clock = time.perf_counter_ns) -> Dict[str, Any]:
    """Keep every lane busy and time n rounds of one request a lane.

    A lane gets its next request as soon as its last one is done, so that the device always has something to
    do. What fills and drains the lanes is run, and not timed: a round is from the end of one round's last
    request to that of the next one's.

    Args:
        lanes: at least one; with one alone requests come one after the other.
        n: rounds.
        clock: nanoseconds, monotonic.

    Returns:
        `samples`: a list of n nanosecond integers `total_ns`, one a round; `elapsed_ns`: all of it.
    """
    marks: List[int] = [0] * (n + 1)
    collecting = gc.isenabled()
    gc.disable()
    try:
        begin = clock()
        for lane in lanes:
            lane.submit()
        for i in range(n + 1):
            for lane in lanes[:-1]:
                lane.wait()
                lane.submit()
            lanes[-1].wait()
            marks[i] = clock()
            lanes[-1].submit()
        for lane in lanes:
            lane.wait()
        elapsed = clock() - begin
    finally:
        if collecting:
            gc.enable()
    return {"samples": {"total_ns": [marks[i + 1] - marks[i] for i in range(n)]}, "elapsed_ns": elapsed}
