"""What NVIDIA's management library tells, through the calls that ctypes makes."""

from __future__ import annotations

import ctypes
from typing import Any

import pytest

from tests.support.nvml import A100, FakeNvml
from vitbench.agent import nvml
from vitbench.agent.nvml import Nvml, NvmlError
from vitbench.agent.nvml_state import Gpu


def gpu(*, without: tuple[str, ...] = (), absent: tuple[str, ...] = (), **answers: Any) -> Gpu:
    """A GPU with other answers, without some, or under a driver that lacks functions."""
    known = {**A100, **{f"nvmlDeviceGet{name}": answer for name, answer in answers.items()}}
    library = Nvml(FakeNvml([{name: known[name] for name in known if name not in without}], absent=absent))
    return Gpu(library, nvml.choose(library))


def test_facts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert gpu().facts() == {
        "gpu_name": "NVIDIA A100-SXM4-80GB",
        "gpu_bus_id": "00000000:17:00.0",
        "gpu_count": 1,
        "gpu_driver": "550.54.15",
        "cuda_driver": "12.4",
        "gpu_memory_total_mb": 81920.0,
        "gpu_mig": False,
    }


def test_reads_every_witness(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert gpu().readings() == {
        "gpu_clock_mhz": 1095,
        "gpu_clock_max_mhz": 1410,
        "gpu_memory_clock_mhz": 1215,
        "gpu_memory_clock_max_mhz": 1215,
        "gpu_application_clock_mhz": 1095,
        "gpu_temp_c": 41,
        "power_w": 251.5,
        "power_limit_w": 400.0,
        "power_limit_default_w": 400.0,
        "gpu_memory_used_mb": 2048.0,
        "gpu_memory_total_mb": 81920.0,
        "gpu_throttle_reasons": "applications_clocks",
        "gpu_thermal_ns": 0,
        "gpu_power_cap_ns": 5_000_000,
        "gpu_ecc": True,
        "gpu_ecc_corrected": 2,
        "gpu_ecc_uncorrected": 0,
        "pcie_gen": 4,
        "pcie_gen_max": 4,
        "pcie_width": 16,
        "pcie_width_max": 16,
        "gpu_persistence": True,
    }


def test_a_gpu_that_supports_nothing() -> None:
    bare = gpu(without=tuple(A100))
    assert bare.readings() == {}
    assert bare.facts() == {"gpu_count": 1, "gpu_driver": "550.54.15", "cuda_driver": "12.4"}
    assert bare.reasons() is None
    assert bare.energy_j() is None
    assert bare.processes() is None


def test_functions_that_the_driver_does_not_have() -> None:
    old = gpu(absent=("nvmlDeviceGetViolationStatus", "nvmlSystemGetCudaDriverVersion_v2"))
    assert "gpu_thermal_ns" not in old.readings()
    assert "cuda_driver" not in old.facts()


@pytest.mark.parametrize(
    ("bits", "names"),
    [
        (0x0, "none"),
        (0x1, "gpu_idle"),
        (0x4, "sw_power_cap"),
        (0x48, "hw_slowdown,hw_thermal"),
        (0xA0, "sw_thermal,hw_power_brake"),
        (0x110, "sync_boost,display_clocks"),
        (0x1000_0000_0000_0000, "none"),
    ],
)
def test_what_holds_the_clock_down(bits: int, names: str) -> None:
    assert gpu(CurrentClocksThrottleReasons=bits).readings()["gpu_throttle_reasons"] == names


def test_a_counter_of_energy_is_wider_than_32_bits() -> None:
    assert gpu(TotalEnergyConsumption=5_000_000_000).energy_j() == 5_000_000.0


def test_processes_by_the_newest_call_that_there_is() -> None:
    assert gpu(ComputeRunningProcesses_v3=(40, 12, 40)).processes() == [12, 40]
    newer = ("nvmlDeviceGetComputeRunningProcesses_v3", "nvmlDeviceGetComputeRunningProcesses_v2")
    assert gpu(absent=newer, ComputeRunningProcesses=(7,)).processes() == [7]


def test_structures_are_as_large_as_in_the_header() -> None:
    sizes = {nvml.PciInfo: 68, nvml.MemoryInfo: 24, nvml.Violation: 16, nvml.OldProcess: 16, nvml.Process: 24}
    assert {form: ctypes.sizeof(form) for form in sizes} == sizes


OTHER = {**A100, "nvmlDeviceGetName": "NVIDIA L4", "nvmlDeviceGetPciInfo_v3": "00000000:65:00.0"}


@pytest.mark.parametrize(
    ("visible", "number", "name"),
    [
        (None, 0, "NVIDIA A100-SXM4-80GB"),
        (None, 1, "NVIDIA L4"),
        ("1", 0, "NVIDIA L4"),
        ("1, 0", 1, "NVIDIA A100-SXM4-80GB"),
        ("GPU-1234", 0, "NVIDIA L4"),
        ("", 0, None),
        ("-1", 0, None),
        ("0", 1, None),
        ("5", 0, None),
        ("GPU-9999", 0, None),
        ("NoDevFiles", 0, None),
    ],
)
def test_which_gpu_a_program_uses(
    monkeypatch: pytest.MonkeyPatch, visible: str | None, number: int, name: str | None
) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if visible is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    library = Nvml(FakeNvml([A100, OTHER], uuids={"GPU-1234": 1}))
    if name is None:
        with pytest.raises(NvmlError):
            nvml.choose(library, number=number)
    else:
        assert Gpu(library, nvml.choose(library, number=number)).facts()["gpu_name"] == name


def test_a_place_on_the_bus_counts_more_than_what_is_visible(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    library = Nvml(FakeNvml([A100, OTHER]))
    found = Gpu(library, nvml.choose(library, "00000000:65:00.0")).facts()
    assert (found["gpu_name"], found["gpu_count"]) == ("NVIDIA L4", 2)


def test_a_slice_of_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "MIG-1/2/3")
    whole = {**A100, "nvmlDeviceGetMigMode": (1, 1)}
    library = Nvml(FakeNvml([whole], slices={"MIG-1/2/3": 0}))
    facts = Gpu(library, nvml.choose(library)).facts()
    assert (facts["gpu_name"], facts["gpu_mig"]) == ("NVIDIA A100-SXM4-80GB", True)


def test_a_gpu_that_is_cut_into_slices_is_never_used_as_a_whole() -> None:
    assert gpu(MigMode=(1, 1)).facts()["gpu_mig"] is True
    assert "gpu_mig" not in gpu(without=("nvmlDeviceGetMigMode",)).facts()


def test_no_driver(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(NvmlError, match="nvmlInit_v2: error 9"):
        Nvml(FakeNvml([], init=9))
    monkeypatch.setattr(nvml, "LIBRARIES", ("libno-such-library.so.1",))
    with pytest.raises(NvmlError, match=r"libno-such-library\.so\.1: not there"):
        Nvml()


def test_a_call_that_is_wrong_is_not_taken_for_an_answer() -> None:
    library = Nvml(FakeNvml([A100]))
    device = nvml.choose(library)
    with pytest.raises(ValueError, match="zip"):
        library.integer("nvmlDeviceGetEccMode", device)
