"""A ratio planted in the scripted device lies inside the interval about as often as the interval promises."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

from vitbench.agent.backends.sim import SimBackend
from vitbench.agent.timing import time_iterations
from vitbench.catalog import SimScript
from vitbench.measure import make_plan, measure_pairs, ratio_of
from vitbench.measure.session import Session

DRAWS = 2000
RATIOS = (1.02, 1.05, 1.10)
# Processes differ by 1 %; iterations agree, so that few of them tell what a process is like.
SCRIPT = SimScript(latency_ms=1.0, noise=0.0, block_noise=0.01)
PLAN = make_plan("pairs").model_copy(
    # A scripted device is warm from its first iteration on: the caps end a warm-up after it.
    update={
        "window": 1,
        "warmup_cap_s": 0.0,
        "slow_cap_s": 0.0,
        "timed_min_iterations": 2,
        "timed_max_iterations": 2,
        "timed_min_s": 0.0,
    }
)


class InProcess:
    """A session whose scripted backend runs here: 80,000 agent processes would take hours."""

    def __init__(self, options: dict[str, Any]) -> None:
        self._backend = SimBackend(options, [])
        self.loaded = SimpleNamespace(load_ns=0)

    def measure(self, n: int) -> Any:
        """Run n iterations in simulated time."""
        timed = time_iterations(self._backend.stages(), n, self._backend.clock)
        return SimpleNamespace(**timed["samples"], elapsed_ns=timed["elapsed_ns"])

    warm = measure

    def probe(self) -> dict[str, Any]:
        """Witnesses of the scripted device."""
        return self._backend.readings()


def device(model: str, seed: int, ratio: float) -> Callable[[int], Any]:
    """Sessions of one side; the planted ratio is that of the model `b`."""
    script = SCRIPT.model_copy(update={"seed": seed, "per_model": {"b": ratio}}).model_dump()

    @contextmanager
    def open_session(index: int, /) -> Iterator[Session]:
        yield InProcess({"script": script, "block": index, "model": model})

    return open_session


def test_the_interval_holds_the_planted_ratio() -> None:
    inside = 0
    for seed in range(DRAWS):
        ratio = RATIOS[seed % len(RATIOS)]
        sides = (device("a", seed, ratio), device("b", seed, ratio))
        plan = PLAN.model_copy(update={"seed": seed})
        found = ratio_of(measure_pairs(sides, plan, sleep=lambda seconds: None).pairs)
        assert found is not None
        inside += found.low <= ratio <= found.high
    assert 0.925 <= inside / DRAWS <= 0.965
