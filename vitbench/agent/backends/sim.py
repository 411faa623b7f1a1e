"""A scripted device: it computes nothing, and its clock is a number that the script advances."""

from __future__ import annotations

import math
import os
import random
import sys
from typing import Any, Dict, List, Optional

from ..errors import AgentError
from ..timing import Lane, Parts, Stages

CRASH_EXIT_CODE = 70
CLOCK_MHZ = 2000.0
MEMORY_MB = 4096.0
NS_PER_MS = 1e6


class SimBackend:
    """Iterations that take what the script says, in simulated time.

    Options: `script` (the target's `sim` table), `block` and `model` (they and the script's seed choose the
    random numbers: the same three give the same samples).

    The time of iteration i at simulated time t, in ms:
        latency * block factor * noise(i) * warm-up(i) * throttle(t),
    with both noises log-normal, a warm-up factor that falls linearly to 1 over `warmup_iterations`, and
    `throttle_factor` from `throttle_after_s` on. The copies take their scripted share of it. Where requests
    overlap, copy in, compute and copy out of different requests go on at once, and one ends whenever the
    longest of the three has.
    """

    def __init__(self, options: Dict[str, Any], inputs: List[Any]) -> None:
        script = options.get("script")
        if not isinstance(script, dict):
            raise AgentError("usage", "the sim runtime needs a script")
        self._script = script
        self._block = int(options.get("block", 0))
        if script["crash_at_load"]:
            self._crash()
        model = str(options.get("model", ""))
        self._latency_ms = float(script["per_model"].get(model, script["latency_ms"]))
        if self._latency_ms <= script["h2d_ms"] + script["d2h_ms"]:
            raise AgentError("usage", "the script's latency_ms must exceed h2d_ms + d2h_ms")
        self._random = random.Random(f"{script['seed']}/{model}/{self._block}")
        self._block_factor = math.exp(script["block_noise"] * self._random.gauss(0, 1))
        self._now_ns = int(script["load_ms"] * NS_PER_MS)
        self._iteration = 0
        self._crash_at: Optional[int] = None
        self._factor = 1.0

    def info(self) -> Dict[str, Any]:
        """What `load` answers."""
        return {
            "import_ns": 0,
            "load_ns": self._now_ns,
            "runtime_version": "1",
            "device": "simulated",
            "inputs": [],
            "outputs": [],
        }

    def clock(self) -> int:
        """Simulated nanoseconds since the process began."""
        return self._now_ns

    def iterate(self, op: str, n: int) -> None:
        """In the scripted block the process ends in the middle of its first measurement."""
        if op == "measure" and self._script["crash_in_block"] == self._block:
            self._crash_at = self._iteration + n // 2

    def stages(self) -> Stages:
        """Copy in, compute and copy out, each advancing the clock by its share."""
        h2d_ms, d2h_ms = self._script["h2d_ms"], self._script["d2h_ms"]
        compute_ms = self._latency_ms - h2d_ms - d2h_ms

        def put() -> None:
            self._begin()
            self._advance(h2d_ms)

        def run() -> None:
            self._advance(compute_ms)

        def fetch() -> None:
            self._advance(d2h_ms)
            self._iteration += 1

        return put, run, fetch

    def lanes(self, count: int) -> List[Lane]:
        """So many requests at once; alone, its three parts come one after the other."""
        return [_SimLane(self, alone=count == 1) for _ in range(count)]

    def advance_request(self, alone: bool) -> None:
        """Let the time of a request pass that is alone, or that overlaps with others."""
        if alone:
            for stage in self.stages():
                stage()
            return
        h2d_ms, d2h_ms = self._script["h2d_ms"], self._script["d2h_ms"]
        self._begin()
        self._advance(max(h2d_ms, self._latency_ms - h2d_ms - d2h_ms, d2h_ms))
        self._iteration += 1

    def parts(self) -> Optional[Parts]:
        """The host's clock serves."""
        return None

    def outputs(self, inputs: List[Any], out_dir: str) -> List[Any]:
        """There is no network, so there is nothing to compare."""
        raise AgentError("usage", "a simulated target computes no outputs")

    def profile(self, n: int) -> List[Any]:
        """There is no network, so there are no layers."""
        raise AgentError("usage", "a simulated target has no layers")

    def readings(self) -> Dict[str, Any]:
        """Witnesses of the simulated device at its present time."""
        throttled = self._throttled()
        seconds = self._now_ns / 1e9
        return {
            "clock_mhz": CLOCK_MHZ / (self._script["throttle_factor"] if throttled else 1.0),
            "clock_max_mhz": CLOCK_MHZ,
            "governor": "performance",
            "temp_c": self._script["temp_c"] + self._script["temp_rise_c_per_s"] * seconds,
            "throttled": throttled,
            "throttle_count": int(throttled),
            "load1": 0.0,
            "memory_free_mb": MEMORY_MB / 2,
            "memory_total_mb": MEMORY_MB,
            "cpu_count": 1,
            "cpu_busy_ns": self._now_ns,
            "cpu_idle_ns": 0,
            "cpu_steal_ns": 0,
            "own_cpu_ns": self._now_ns,
            "uptime_s": seconds,
        }

    def facts(self) -> Dict[str, Any]:
        """Static facts of the simulated device."""
        return {"cpu_model": "simulated", "machine": "simulated", "memory_total_mb": MEMORY_MB}

    def _begin(self) -> None:
        if self._iteration == self._crash_at:
            self._crash()
        self._factor = self._next_factor()

    def _throttled(self) -> bool:
        after_s = self._script["throttle_after_s"]
        return after_s is not None and self._now_ns >= after_s * 1e9

    def _next_factor(self) -> float:
        script = self._script
        factor = self._block_factor * math.exp(script["noise"] * self._random.gauss(0, 1))
        if self._iteration < script["warmup_iterations"]:
            left = 1 - self._iteration / script["warmup_iterations"]
            factor *= 1 + (script["warmup_factor"] - 1) * left
        return factor * script["throttle_factor"] if self._throttled() else factor

    def _advance(self, base_ms: float) -> None:
        self._now_ns += max(0, round(base_ms * self._factor * NS_PER_MS))

    def _crash(self) -> None:
        print(f"sim: scripted crash in block {self._block}", file=sys.stderr, flush=True)
        os._exit(CRASH_EXIT_CODE)


class _SimLane:
    """One of the requests that are under way: its time passes while somebody waits for it."""

    def __init__(self, device: SimBackend, alone: bool) -> None:
        self._device, self._alone, self._waiting = device, alone, False

    def submit(self) -> None:
        """Begin a request."""
        self._waiting = True

    def wait(self) -> None:
        """Let its time pass."""
        if self._waiting:
            self._waiting = False
            self._device.advance_request(self._alone)
