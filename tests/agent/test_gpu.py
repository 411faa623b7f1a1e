"""The GPU beside a measurement: which one, at what clock, who else is on it, what it takes."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.jetson import GPU, LOCKED, ORIN, RAILS, lay_out
from tests.support.nvml import A100, FakeNvml
from vitbench.agent import energy, gpu
from vitbench.agent.gpu import Watch
from vitbench.agent.main import Agent

MACHINE = {
    "clock_mhz": 3000.0,
    "clock_max_mhz": 3500.0,
    "temp_c": 60.0,
    "throttle_count": 3,
    "load1": 0.1,
}
RUNNING = "nvmlDeviceGetComputeRunningProcesses_v3"


@pytest.fixture(autouse=True)
def _all_visible(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)


def card(**answers: Any) -> dict[str, Any]:
    return {**A100, **{f"nvmlDeviceGet{name}": answer for name, answer in answers.items()}}


def watch(*cards: dict[str, Any], **options: Any) -> Watch:
    return Watch(library=FakeNvml(list(cards or (A100,)), **options))


def test_a_machine_without_a_gpu_is_as_it_was(tmp_path: Path) -> None:
    bare = Watch(str(tmp_path))
    bare.loaded()
    bare.timed()
    assert bare.readings(MACHINE) == MACHINE
    assert (bare.facts(), bare.power(), bare.energy_j()) == ({}, {}, None)


@pytest.mark.parametrize("library", [FakeNvml([], init=9), FakeNvml([])], ids=["no driver", "no GPU"])
def test_a_driver_without_a_gpu_is_none(library: FakeNvml) -> None:
    bare = Watch(library=library)
    assert bare.readings(MACHINE) == MACHINE
    assert bare.facts() == {}


def test_what_computes_is_the_gpu() -> None:
    readings = watch().readings(MACHINE)
    assert readings["temp_c"] == 41
    assert readings["clock_max_mhz"] == 1410
    assert (readings["cpu_clock_mhz"], readings["cpu_clock_max_mhz"]) == (3000.0, 3500.0)
    assert (readings["cpu_temp_c"], readings["cpu_throttle_count"]) == (60.0, 3)
    assert "throttle_count" not in readings
    assert readings["load1"] == 0.1
    assert "clock_mhz" not in readings, "an idle GPU's clock says nothing"


def test_the_heat_of_the_processor_is_not_taken_for_that_of_the_gpu() -> None:
    readings = watch(card(Temperature=None)).readings(MACHINE)
    assert "temp_c" not in readings
    assert readings["cpu_temp_c"] == 60.0


def test_the_clock_is_what_it_was_right_after_timed_iterations() -> None:
    answers = card()
    seen = watch(answers)
    for mhz in (1200, 1410, 1380):
        answers["nvmlDeviceGetClockInfo"] = {1: mhz, 2: 1215}
        seen.timed()
    answers["nvmlDeviceGetClockInfo"] = {1: 210, 2: 1215}
    readings = seen.readings(MACHINE)
    assert readings["clock_mhz"] == 1330
    assert (readings["gpu_clock_timed_min_mhz"], readings["gpu_clock_timed_max_mhz"]) == (1200, 1410)
    assert readings["gpu_clock_mhz"] == 210


@pytest.mark.parametrize(
    ("bits", "throttled"),
    [(0x1, False), (0x2, False), (0x4, False), (0x10, False), (0x8, True), (0x20, True), (0x40, True)],
)
def test_protecting_itself_and_working_at_its_power_limit_are_two_things(bits: int, throttled: bool) -> None:
    answers = card()
    seen = watch(answers)
    answers["nvmlDeviceGetCurrentClocksThrottleReasons"] = bits
    seen.timed()
    answers["nvmlDeviceGetCurrentClocksThrottleReasons"] = 0x1
    assert seen.readings(MACHINE)["throttled"] is throttled


def test_heat_between_two_looks_is_seen_by_its_counter() -> None:
    answers = card(ViolationStatus={0: 0, 1: 700})
    seen = watch(answers)
    assert seen.readings(MACHINE)["throttled"] is False
    answers["nvmlDeviceGetViolationStatus"] = {0: 0, 1: 701}
    assert seen.readings(MACHINE)["throttled"] is True


def test_a_gpu_that_does_not_tell_is_not_called_cool() -> None:
    silent = {"nvmlDeviceGetName": "NVIDIA Example", "nvmlDeviceGetClockInfo": {1: 900}}
    assert "throttled" not in watch(silent).readings(MACHINE)
    assert "gpu_foreign" not in watch(silent).readings(MACHINE)


def test_other_programs_on_the_gpu() -> None:
    answers = card(ComputeRunningProcesses_v3=(1, 4_000_000))
    seen = watch(answers)
    answers[RUNNING] = (1, os.getpid(), 4_000_000)
    seen.loaded()
    readings = seen.readings(MACHINE)
    assert readings["gpu_foreign"] == 2
    name = Path("/proc/1/comm").read_text().strip()
    assert readings["gpu_foreign_names"] == f"{name} (1), 4000000"


def test_alone_on_the_gpu() -> None:
    answers = card()
    seen = watch(answers)
    answers[RUNNING] = (os.getpid(),)
    seen.loaded()
    readings = seen.readings(MACHINE)
    assert readings["gpu_foreign"] == 0
    assert "gpu_foreign_names" not in readings


def test_in_a_container_we_are_whoever_came_when_we_came() -> None:
    answers = card(ComputeRunningProcesses_v3=(4_000_001,))
    seen = watch(answers)
    answers[RUNNING] = (4_000_001, 4_000_002)
    seen.loaded()
    assert seen.readings(MACHINE)["gpu_foreign_names"] == "4000001"
    answers[RUNNING] = (4_000_001, 4_000_002, 4_000_003)
    assert seen.readings(MACHINE)["gpu_foreign"] == 2


def test_two_that_came_together_are_both_suspect() -> None:
    answers = card()
    seen = watch(answers)
    answers[RUNNING] = (4_000_002, 4_000_003)
    seen.loaded()
    assert seen.readings(MACHINE)["gpu_foreign"] == 2


def test_the_runtime_knows_best_which_gpu_it_uses() -> None:
    other = card(Name="NVIDIA L4", PciInfo_v3="00000000:65:00.0", ComputeRunningProcesses_v3=(77,))
    seen = watch(A100, other)
    assert seen.facts()["gpu_name"] == "NVIDIA A100-SXM4-80GB"
    seen.loaded("00000000:65:00.0")
    assert seen.facts()["gpu_name"] == "NVIDIA L4"
    assert seen.readings(MACHINE)["gpu_foreign"] == 1, "it was there before us, on that GPU"
    seen.loaded("00000000:99:00.0")
    assert seen.readings(MACHINE) == MACHINE


def test_a_board_is_looked_at_through_its_files(tmp_path: Path) -> None:
    seen = Watch(lay_out(tmp_path, ORIN | LOCKED))
    seen.timed()
    lay_out(tmp_path, {f"{GPU}/cur_freq": "306000000\n"})
    readings = seen.readings(MACHINE)
    assert readings["clock_mhz"] == 1300.5
    assert readings["gpu_clock_mhz"] == 306.0
    assert readings["temp_c"] == 48.75, "of the hottest place of the chip"
    assert readings["clock_max_mhz"] == 1300.5
    assert readings["throttled"] is False
    assert seen.facts()["board"] == "NVIDIA Jetson AGX Orin Developer Kit"
    assert seen.power()["power_w"] == pytest.approx(8.0)


def test_a_board_whose_rail_is_over_its_limit_throttles(tmp_path: Path) -> None:
    seen = Watch(lay_out(tmp_path, ORIN | {f"{RAILS}/curr2_crit_alarm": "1\n"}))
    assert seen.readings(MACHINE)["throttled"] is True


def test_a_desktop_is_named(tmp_path: Path) -> None:
    files = {"proc/7/comm": "bash\n", "proc/9/comm": "gnome-shell\n"}
    assert Watch(lay_out(tmp_path, ORIN | files)).facts()["desktop"] == "gnome-shell"
    assert gpu.desktop(str(tmp_path / "nothing")) is None


@pytest.mark.parametrize(
    ("runtime", "options", "expected"),
    [
        ("tensorrt", {}, True),
        ("trtexec", {"device": 1}, True),
        ("cuda-torch", {"device": "cuda:1"}, True),
        ("cuda-torch", {"device": "cpu"}, False),
        ("onnxruntime", {}, False),
        ("sim", {}, False),
    ],
)
def test_which_runtimes_compute_on_a_gpu(runtime: str, options: dict[str, Any], expected: bool) -> None:
    assert gpu.used_by(runtime, options) is expected


@pytest.mark.parametrize(("device", "number"), [(None, 0), (2, 2), ("cuda:3", 3), ("cuda", 0), ("cpu", 0)])
def test_the_number_of_a_gpu(device: int | str | None, number: int) -> None:
    assert gpu.number_of({} if device is None else {"device": device}) == number


def test_gpus_are_counted_as_the_bus_does_unless_somebody_chose(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_DEVICE_ORDER", "FASTEST_FIRST")
    gpu.count_as_nvml()
    assert os.environ["CUDA_DEVICE_ORDER"] == "FASTEST_FIRST"
    monkeypatch.delenv("CUDA_DEVICE_ORDER")
    gpu.count_as_nvml()
    assert os.environ["CUDA_DEVICE_ORDER"] == "PCI_BUS_ID"


def work(answers: dict[str, Any] | None = None) -> Iterator[int]:
    """Iterations of 5 ms, three at a time, that use 2 J each where a card counts."""
    while True:
        time.sleep(0.015)
        if answers is not None:
            answers["nvmlDeviceGetTotalEnergyConsumption"] += 6000
        yield 3


def test_energy_by_the_count_of_the_gpu() -> None:
    answers = card()
    passes = work(answers)
    found = energy.spend(watch(answers), lambda: next(passes), 0.05)
    assert found is not None
    assert found["counted"] is True
    assert found["joules"] == pytest.approx(2.0 * found["iterations"])
    assert found["seconds"] >= 0.05
    assert found["power_w"] == pytest.approx(found["joules"] / found["seconds"])


def test_energy_by_sampling_the_rails_of_a_board(tmp_path: Path) -> None:
    passes = work()
    found = energy.spend(Watch(lay_out(tmp_path, ORIN)), lambda: next(passes), 0.2)
    assert found is not None
    assert found["counted"] is False
    assert found["power_w"] == pytest.approx(8.0)
    assert found["rail_VDD_GPU_SOC_w"] == pytest.approx(4.0)
    assert found["joules"] == pytest.approx(8.0 * found["seconds"])
    assert found["iterations"] >= 3


def test_no_energy_where_nothing_measures_it(tmp_path: Path) -> None:
    def never() -> int:
        raise AssertionError("iterated for nothing")

    assert energy.spend(Watch(str(tmp_path)), never, 1.0) is None


def test_a_pass_that_fails_leaves_nobody_sampling(tmp_path: Path) -> None:
    calls = iter([3])
    with pytest.raises(StopIteration):
        energy.spend(Watch(lay_out(tmp_path, ORIN)), lambda: next(calls), 1.0)


def ask(agent: Agent, **request: Any) -> dict[str, Any]:
    return agent.serve(json.dumps(request).encode())


def test_an_agent_that_is_told_to_looks_at_the_gpu(tmp_path: Path) -> None:
    root = lay_out(tmp_path, ORIN)
    agent = Agent()
    before = ask(agent, op="describe", root=root)["facts"]
    assert "board" not in before
    assert "power_mode" not in ask(agent, op="probe", root=root)["readings"]
    assert ask(agent, op="watch", root=root)["ok"]
    assert ask(agent, op="describe", root=root)["facts"]["jetpack"] == "6"
    readings = ask(agent, op="probe", root=root)["readings"]
    assert (readings["power_mode"], readings["cpu_clock_mhz"]) == ("MODE_30W", 729.6)


def test_energy_is_only_told_of_what_is_loaded(tmp_path: Path) -> None:
    agent = Agent()
    assert ask(agent, op="energy", min_s=1)["error"]["message"] == "no model is loaded"
    for bad in (0, -1, 61, "2", None):
        assert "min_s must be" in ask(agent, op="energy", min_s=bad)["error"]["message"]
