"""The timing loop, with a clock that the test moves."""

from __future__ import annotations

import gc

import pytest

from vitbench.agent.timing import time_iterations


class Device:
    """Stages that take 3, 40 and 500 ns, growing by 1000 ns with each iteration's compute."""

    def __init__(self) -> None:
        self.now = 7
        self.calls: list[str] = []
        self.collecting: set[bool] = set()

    def clock(self) -> int:
        return self.now

    def put(self) -> None:
        self.calls.append("put")
        self.now += 3

    def run(self) -> None:
        self.collecting.add(gc.isenabled())
        self.now += 40 + 1000 * self.calls.count("run")
        self.calls.append("run")

    def fetch(self) -> None:
        self.calls.append("fetch")
        self.now += 500


def test_samples_are_the_stages_times_and_totals_their_sums() -> None:
    device = Device()
    result = time_iterations((device.put, device.run, device.fetch), 3, device.clock)
    assert result["samples"] == {
        "total_ns": [543, 1543, 2543],
        "h2d_ns": [3, 3, 3],
        "compute_ns": [40, 1040, 2040],
        "d2h_ns": [500, 500, 500],
    }
    assert result["elapsed_ns"] == 543 + 1543 + 2543
    assert device.calls == ["put", "run", "fetch"] * 3


def test_nothing_is_collected_while_timing() -> None:
    device = Device()
    assert gc.isenabled()
    time_iterations((device.put, device.run, device.fetch), 2, device.clock)
    assert device.collecting == {False}
    assert gc.isenabled()


def test_collection_comes_back_after_a_failure() -> None:
    def fail() -> None:
        raise RuntimeError("no such kernel")

    device = Device()
    with pytest.raises(RuntimeError, match="no such kernel"):
        time_iterations((device.put, fail, device.fetch), 2, device.clock)
    assert gc.isenabled()


def test_the_real_clock_adds_little() -> None:
    def nothing() -> None:
        pass

    result = time_iterations((nothing, nothing, nothing), 2000)
    samples = sorted(result["samples"]["total_ns"])
    assert 0 < samples[1000] < 20_000
    assert result["elapsed_ns"] >= sum(samples)
