"""What an iteration takes from the supply: a pass of its own, in which nothing is timed.

The sensors of boards are coarse and slow: the figures inform, and decide nothing.
"""

from __future__ import annotations

import statistics
import threading
import time
from typing import Any, Callable, Dict, List, Optional

from .gpu import Watch

SAMPLE_S = 0.05


def spend(watch: Watch, iterate: Callable[[], int], min_s: float) -> Optional[Dict[str, Any]]:
    """Iterate for a while and tell what that took.

    Where the GPU counts its energy, the count tells; otherwise its power is sampled meanwhile, which disturbs
    the iterations, and its mean over the pass counts.

    Args:
        iterate: runs some iterations, and tells how many.
        min_s: for at least this long.

    Returns:
        `joules` (of the pass), `iterations`, `seconds`, `power_w` (mean), `counted` (bool: by the GPU, not by
        sampling), and where they are measured `rail_NAME_w` (mean of each rail). None where nothing measures
        power.
    """
    if watch.energy_j() is None and not watch.power():
        return None
    iterate()
    samples = _Samples(watch) if watch.energy_j() is None else None
    begin_j, begin_s = watch.energy_j(), time.perf_counter()
    if samples is not None:
        samples.start()
    done = 0
    try:
        while time.perf_counter() - begin_s < min_s:
            done += iterate()
    finally:
        means = samples.stop() if samples is not None else {}
    seconds = time.perf_counter() - begin_s
    end_j = watch.energy_j()
    if begin_j is not None and end_j is not None:
        joules = end_j - begin_j
        means = {"power_w": joules / seconds}
    elif "power_w" in means:
        joules = means["power_w"] * seconds
    else:
        return None
    return {"joules": joules, "iterations": done, "seconds": seconds, "counted": samples is None, **means}


class _Samples:
    """Readings of the power, taken in a thread until it is stopped."""

    def __init__(self, watch: Watch) -> None:
        self._watch = watch
        self._taken: List[Dict[str, float]] = []
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._sample, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> Dict[str, float]:
        """Mean of each reading."""
        self._ended.set()
        self._thread.join()
        names = {name for taken in self._taken for name in taken}
        return {
            name: statistics.mean(taken[name] for taken in self._taken if name in taken)
            for name in sorted(names)
        }

    def _sample(self) -> None:
        while not self._ended.wait(SAMPLE_S):
            self._taken.append(self._watch.power())
