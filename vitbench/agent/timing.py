"""The loop that times: one for every backend, for warm-up and measurement alike."""

from __future__ import annotations

import gc
import time
from typing import Any, Callable, Dict, List, Optional, Tuple

Clock = Callable[[], int]
Stages = Tuple[Callable[[], Any], Callable[[], Any], Callable[[], Any]]
Parts = Callable[[], Tuple[int, int, int]]


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
