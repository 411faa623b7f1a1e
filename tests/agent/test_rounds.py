"""Rounds of requests on several lanes, with a clock that the test moves."""

from __future__ import annotations

import gc

import pytest

from vitbench.agent.backends import Serial, lanes_of
from vitbench.agent.backends.sim import SimBackend
from vitbench.agent.timing import time_rounds
from vitbench.catalog.specs import SimScript


class Device:
    """Does one request after the other, each in 100 ns; telling it to takes the host 1 ns."""

    def __init__(self) -> None:
        self.now = 0
        self.free_at = 0
        self.under_way = 0
        self.most_under_way = 0
        self.requests = 0

    def clock(self) -> int:
        return self.now


class DeviceLane:
    def __init__(self, device: Device) -> None:
        self.device = device
        self.done_at: int | None = None

    def submit(self) -> None:
        device = self.device
        assert self.done_at is None, "its buffers are in use"
        device.now += 1
        device.free_at = max(device.free_at, device.now) + 100
        self.done_at = device.free_at
        device.requests += 1
        device.under_way += 1
        device.most_under_way = max(device.most_under_way, device.under_way)

    def wait(self) -> None:
        if self.done_at is not None:
            self.device.now = max(self.device.now, self.done_at)
            self.device.under_way -= 1
            self.done_at = None


@pytest.mark.parametrize(("count", "round_ns"), [(1, 101), (2, 200), (3, 300)])
def test_several_lanes_keep_the_device_busy(count: int, round_ns: int) -> None:
    device = Device()
    timed = time_rounds([DeviceLane(device) for _ in range(count)], 5, device.clock)
    assert timed["samples"]["total_ns"] == [round_ns] * 5
    assert device.most_under_way == count
    assert device.under_way == 0
    # One round fills the lanes, and one is under way when the last is over.
    assert device.requests == (5 + 2) * count
    assert timed["elapsed_ns"] == device.now > 5 * round_ns


def test_nothing_is_collected_meanwhile_and_again_after_a_failure() -> None:
    class Failing(DeviceLane):
        def submit(self) -> None:
            assert not gc.isenabled()
            raise RuntimeError("no such kernel")

    with pytest.raises(RuntimeError, match="no such kernel"):
        time_rounds([Failing(Device())], 2)
    assert gc.isenabled()


def test_a_backend_without_lanes_does_one_request_after_the_other() -> None:
    calls: list[str] = []
    lane = Serial((lambda: calls.append("put"), lambda: calls.append("run"), lambda: calls.append("fetch")))
    lane.wait()
    assert calls == []
    timed = time_rounds([lane], 3)
    assert len(timed["samples"]["total_ns"]) == 3
    assert calls == ["put", "run", "fetch"] * 5


def sim() -> SimBackend:
    return SimBackend({"script": SimScript(latency_ms=5, noise=0, h2d_ms=1.5, d2h_ms=0.5).model_dump()}, [])


@pytest.mark.parametrize(("count", "round_ms"), [(1, 5), (2, 2 * 3)])
def test_on_the_scripted_device_the_longest_part_counts_where_requests_overlap(
    count: int, round_ms: int
) -> None:
    device = sim()
    lanes = lanes_of(device, count)
    assert len(lanes) == count
    timed = time_rounds(lanes, 4, device.clock)
    assert timed["samples"]["total_ns"] == [round_ms * 1_000_000] * 4
