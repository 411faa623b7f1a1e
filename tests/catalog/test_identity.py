"""A figure fills the row of the device that it was taken on, and no other."""

from __future__ import annotations

from typing import Any

import pytest

from vitbench import catalog
from vitbench.catalog.identity import device_name, is_one_of, refuse_other_device
from vitbench.errors import UsageError

BOARDS = {
    "orin": "NVIDIA Jetson AGX Orin Developer Kit",
    "orin-nano": "NVIDIA Jetson Orin Nano Engineering Reference Developer Kit Super",
    "jetson-nano": "NVIDIA Jetson Nano Developer Kit",
}
CARDS = {
    "a100": ["NVIDIA A100-SXM4-80GB", "NVIDIA A100-PCIE-40GB", "A100 80GB PCIe"],
    "h100": ["NVIDIA H100 80GB HBM3", "NVIDIA H100 PCIe", "NVIDIA H100 NVL"],
    "h200": ["NVIDIA H200", "NVIDIA H200 NVL"],
    "rtx": ["NVIDIA GeForce RTX 4090", "NVIDIA RTX A6000", "Quadro RTX 5000"],
}
DEVICES = [({"board": board}, target) for target, board in BOARDS.items()] + [
    ({"gpu_name": name}, target) for target, names in CARDS.items() for name in names
]


TARGETS = {name: spec for name, spec in catalog.load_targets().items() if spec.devices}


@pytest.mark.parametrize(("facts", "own"), DEVICES)
def test_each_device_fills_its_own_row_and_no_other(facts: dict[str, Any], own: str) -> None:
    names = {name for name, spec in TARGETS.items() if is_one_of(spec.devices, next(iter(facts.values())))}
    # A device that may be measured in two ways has a target for each.
    assert names - {f"{own}-trtexec"} == {own}
    refuse_other_device(TARGETS[own], facts, "whatever the runtime says")
    other = "a100" if own == "h200" else "h200"
    with pytest.raises(UsageError, match=f"target '{other}' is for") as refused:
        refuse_other_device(TARGETS[other], facts, "whatever the runtime says")
    assert (refused.value.hint or "").startswith(f"measure it as -t {own}")


@pytest.mark.parametrize(
    "facts",
    [
        {"gpu_name": "NVIDIA A100X"},
        {"gpu_name": "NVIDIA GH200 480GB"},
        {"gpu_name": "NVIDIA L4"},
        {"board": "NVIDIA Jetson Orin NX Engineering Reference Developer Kit"},
        {"board": "NVIDIA Jetson TX1 Developer Kit", "gpu_name": "NVIDIA Tegra X1"},
        {"gpu_name": "NVIDIA A100-SXM4-80GB", "gpu_mig": True},
        {"gpu_name": "GRID A100-20C"},
        {"gpu_name": "NVIDIA RTX-48Q"},
    ],
)
def test_devices_that_fill_no_row(facts: dict[str, Any]) -> None:
    name = device_name(facts, None) or ""
    assert not any(is_one_of(spec.devices, name) for spec in TARGETS.values())
    with pytest.raises(UsageError) as refused:
        refuse_other_device(TARGETS["a100"], facts, None)
    assert "write a target of your own" in (refused.value.hint or "")


def test_a_slice_is_named_as_one() -> None:
    facts = {"gpu_name": "NVIDIA H200", "gpu_mig": True}
    assert device_name(facts, None) == "a MIG slice of NVIDIA H200"
    with pytest.raises(UsageError, match="this device is a MIG slice of NVIDIA H200"):
        refuse_other_device(catalog.resolve_target("h200"), facts, None)
    assert is_one_of(["MIG slice of NVIDIA H200"], "a MIG slice of NVIDIA H200")
    assert device_name({"gpu_name": "NVIDIA H100-80C"}, None) == "a virtual share of NVIDIA H100-80C"
    assert is_one_of(["H100-80C"], "a virtual share of NVIDIA H100-80C")


def test_a_board_counts_more_than_its_gpu_and_the_runtime_is_asked_last() -> None:
    assert device_name({"board": "NVIDIA Jetson AGX Orin", "gpu_name": "Orin (nvgpu)"}, "Orin") == (
        "NVIDIA Jetson AGX Orin"
    )
    assert device_name({"gpu_name": "NVIDIA L4"}, "x") == "NVIDIA L4"
    assert device_name({}, "Orin") == "Orin"
    assert device_name({}, None) is None


def test_a_board_in_a_container_is_not_known() -> None:
    with pytest.raises(UsageError, match="this device is Orin") as refused:
        refuse_other_device(catalog.resolve_target("orin"), {}, "Orin")
    assert "a container hides which board it is" in (refused.value.hint or "")


def test_an_old_board_whose_state_cannot_be_read_is_known_by_its_gpu() -> None:
    refuse_other_device(catalog.resolve_target("jetson-nano"), {"gpu_name": "NVIDIA Tegra X1"}, None)


def test_no_device_at_all() -> None:
    with pytest.raises(UsageError, match="no NVIDIA device is to be seen"):
        refuse_other_device(catalog.resolve_target("a100"), {}, None)


def test_a_target_that_names_none_takes_any() -> None:
    refuse_other_device(catalog.resolve_target("cpu"), {}, None)


@pytest.mark.parametrize(
    ("device", "name", "fits"),
    [
        ("a100", "NVIDIA A100-SXM4-80GB", True),
        ("A100", "nvidia a100", True),
        ("AGX Orin", "NVIDIA Jetson AGX Orin 64GB", True),
        ("Orin AGX", "NVIDIA Jetson AGX Orin", False),
        ("100", "NVIDIA A100", False),
        ("A10", "NVIDIA A100", False),
    ],
)
def test_words_are_whole_and_in_a_row(device: str, name: str, fits: bool) -> None:
    assert is_one_of([device], name) is fits
