"""The scripted device keeps to its script, in simulated time."""

from __future__ import annotations

from statistics import median
from typing import Any

import pytest

from vitbench.agent.backends.sim import SimBackend
from vitbench.agent.errors import AgentError
from vitbench.agent.timing import time_iterations
from vitbench.catalog.specs import SimScript


def backend(block: int = 0, model: str = "net", **script: Any) -> SimBackend:
    options = {"script": SimScript(**{"latency_ms": 5.0, **script}).model_dump()}
    return SimBackend({**options, "block": block, "model": model}, [])


def run(device: SimBackend, n: int) -> dict[str, list[int]]:
    samples: dict[str, list[int]] = time_iterations(device.stages(), n, device.clock)["samples"]
    return samples


def test_without_noise_every_iteration_takes_the_scripted_time() -> None:
    samples = run(backend(noise=0, h2d_ms=0.5, d2h_ms=0.25), 3)
    assert samples["total_ns"] == [5_000_000] * 3
    assert samples["h2d_ns"] == [500_000] * 3
    assert samples["compute_ns"] == [4_250_000] * 3
    assert samples["d2h_ns"] == [250_000] * 3


def test_same_seed_block_and_model_give_the_same_samples_and_others_do_not() -> None:
    base = run(backend(), 50)
    assert run(backend(), 50) == base
    assert run(backend(block=1), 50) != base
    assert run(backend(model="other"), 50) != base
    assert run(backend(seed=1), 50) != base


def test_noise_is_around_the_latency() -> None:
    samples = run(backend(noise=0.02), 2000)["total_ns"]
    assert median(samples) == pytest.approx(5e6, rel=0.003)
    assert len(set(samples)) > 1900


def test_block_noise_moves_a_whole_block() -> None:
    medians = [run(backend(block=block, noise=0, block_noise=0.05), 5)["total_ns"] for block in range(200)]
    assert all(len(set(samples)) <= 2 for samples in medians)
    logs = sorted(samples[0] / 5e6 for samples in medians)
    assert logs[31] == pytest.approx(0.95, abs=0.015)
    assert logs[168] == pytest.approx(1.05, abs=0.015)


def test_a_model_may_have_its_own_latency() -> None:
    assert run(backend(model="b", noise=0, per_model={"b": 8.0}), 1)["total_ns"] == [8_000_000]


def test_warm_up_falls_to_the_latency() -> None:
    samples = run(backend(noise=0, warmup_factor=3.0, warmup_iterations=4), 6)["total_ns"]
    assert samples == [15_000_000, 12_500_000, 10_000_000, 7_500_000, 5_000_000, 5_000_000]


def test_throttling_slows_down_and_is_told_by_the_readings() -> None:
    device = backend(
        noise=0, load_ms=10, throttle_after_s=0.02, throttle_factor=2.0, temp_c=40.0, temp_rise_c_per_s=100.0
    )
    cold = device.readings()
    assert (cold["throttled"], cold["throttle_count"]) == (False, 0)
    assert cold["temp_c"] == pytest.approx(41.0)
    assert run(device, 4)["total_ns"] == [5_000_000, 5_000_000, 10_000_000, 10_000_000]
    hot = device.readings()
    assert (hot["throttled"], hot["throttle_count"]) == (True, 1)
    assert hot["temp_c"] == pytest.approx(44.0)
    assert hot["clock_mhz"] == cold["clock_mhz"] / 2
    assert hot["clock_max_mhz"] == cold["clock_max_mhz"]


def test_load_takes_its_scripted_time() -> None:
    assert backend(load_ms=120).info()["load_ns"] == 120_000_000


def test_copies_must_leave_time_for_computing() -> None:
    with pytest.raises(AgentError, match="latency_ms must exceed"):
        backend(h2d_ms=3.0, d2h_ms=2.0)


def test_has_no_outputs_to_compare() -> None:
    with pytest.raises(AgentError, match="computes no outputs") as caught:
        backend().outputs([], "/nowhere")
    assert caught.value.kind == "usage"
