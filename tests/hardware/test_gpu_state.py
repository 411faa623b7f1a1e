"""What the GPU of this machine says of itself, through its driver's own library."""

from __future__ import annotations

import os

import pytest

from vitbench.agent import gpu, probe

pytestmark = pytest.mark.gpu


@pytest.fixture(scope="module")
def watch() -> gpu.Watch:
    return gpu.Watch()


def test_the_device_says_what_it_is(watch: gpu.Watch) -> None:
    facts = watch.facts()
    assert facts.get("board") or facts.get("gpu_name")


def test_every_reading_is_plausible(watch: gpu.Watch) -> None:
    watch.timed()
    readings = watch.readings(probe.read())
    assert 100 < readings["clock_mhz"] < 5000
    assert readings["clock_mhz"] <= readings["clock_max_mhz"] * 1.01
    assert 5 < readings["temp_c"] < 110
    if "power_w" in readings:
        assert 0.1 < readings["power_w"] < 2000
    if "pcie_width" in readings:
        assert readings["pcie_width"] <= readings["pcie_width_max"]
    if "gpu_memory_total_mb" in readings:
        assert 0 <= readings["gpu_memory_used_mb"] <= readings["gpu_memory_total_mb"]


def test_a_process_that_computes_nothing_is_not_on_the_gpu(watch: gpu.Watch) -> None:
    names = str(watch.readings({}).get("gpu_foreign_names", ""))
    assert f"({os.getpid()})" not in names
