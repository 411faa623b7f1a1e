"""What records and comparisons say beside their status."""

from __future__ import annotations

from typing import Any

import pytest

from benchmarks.example_comparisons import example_comparison
from benchmarks.example_records import change, example_record
from vitbench.measure import PairsResult, conclude_comparison, notes_of
from vitbench.records.comparison import Comparison


def test_what_a_passed_parity_does_not_show() -> None:
    record = change(example_record(), parity={"reason": "compared once only"})
    assert notes_of(record) == ("compared once only",)
    assert notes_of(example_record()) == ()


def test_half_precision_on_a_cpu() -> None:
    record = change(example_record(), protocol={"precision": "fp16"}, target={"runtime": "onnxruntime"})
    assert notes_of(record) == ("ONNX Runtime computes an fp16 graph in fp32 on a CPU",)


def state(**readings: Any) -> tuple[str, ...]:
    """Notes of a record whose device was in this state, with the modes that such a board has."""
    modes = readings.pop("modes", None)
    facts = {"power_modes": modes} if modes else {}
    return notes_of(change(example_record(), environment={"facts": facts, "state": readings}))


ORIN = {"0": "MAXN", "1": "MODE_15W", "2": "MODE_30W"}
NANO = {"0": "15W", "1": "25W", "2": "MAXN_SUPER", "3": "7W"}
OLD_NANO = {"0": "15W", "1": "7W"}


@pytest.mark.parametrize(
    ("mode", "modes", "note"),
    [
        ("MAXN", ORIN, None),
        ("MAXN", None, None),
        ("MODE_30W", ORIN, "the board is in power mode MODE_30W, not in its highest, MAXN"),
        ("MODE_30W", None, "the board is in power mode MODE_30W, not in its highest, MAXN"),
        ("25W", NANO, "the board is in power mode 25W, not in its highest, MAXN_SUPER"),
        ("15W", OLD_NANO, None),
        ("7W", OLD_NANO, "the board is in power mode 7W, not in its highest, 15W"),
    ],
)
def test_a_power_mode_that_is_not_the_highest(
    mode: str, modes: dict[str, str] | None, note: str | None
) -> None:
    assert state(power_mode=mode, modes=modes) == ((note,) if note else ())


def test_clocks_that_are_free() -> None:
    assert state(clocks_locked=False) == ("clocks not locked: they follow load and heat",)
    assert state(clocks_locked=True) == ()


def test_a_link_with_fewer_lanes_than_it_could_have() -> None:
    assert state(pcie_width=8, pcie_width_max=16) == (
        "the GPU is on 8 of 16 PCIe lanes, and copies are timed",
    )
    assert state(pcie_width=16, pcie_width_max=16) == state(pcie_width=16) == ()


def test_blocks_at_the_power_limit() -> None:
    record = example_record()
    blocks = [
        block.model_copy(
            update={"after": block.after.model_copy(update={"gpu": {"gpu_throttle_seen": reasons}})}
        )
        for block, reasons in zip(record.blocks, ("sw_power_cap", "gpu_idle,sw_power_cap", ""), strict=False)
    ]
    assert notes_of(record, blocks) == (
        "the GPU was at its power limit in 2 of 3 blocks, and its clock follows that",
    )
    assert notes_of(record, record.blocks) == ()


def test_energy_of_an_image_is_for_information() -> None:
    energy = {"joules": 50.0, "iterations": 1000, "seconds": 2.04, "power_w": 24.5, "counted": False}
    found = change(
        example_record(),
        environment={"energy": energy, "state": {"power_of": "VDD_IN"}},
        workload={"batch": 2},
    )
    assert notes_of(found) == (
        "for information: 25 mJ an image, 24.5 W of VDD_IN (sampled over 2.0 s untimed)",
    )
    counted = change(example_record(), environment={"energy": {**energy, "counted": True}})
    assert notes_of(counted) == (
        "for information: 50 mJ an image, 24.5 W (the GPU's own count over 2.0 s untimed)",
    )


def concluded(first: str | None, second: str | None) -> Comparison:
    begun = example_comparison()
    sides = [
        change(side, parity={"reason": reason})
        for side, reason in zip(begun.sides, (first, second), strict=True)
    ]
    begun = begun.model_copy(update={"sides": tuple(sides), "pairs": ()})
    return conclude_comparison(begun, PairsResult(((), ()), (), (), 0.0, 0.0))


def test_a_comparison_says_the_notes_of_both_sides_once() -> None:
    assert concluded("on the host", "on the host").reasons[-1:] == ("on the host",)
    labels = example_comparison().row.labels
    assert concluded("zeros", None).reasons[-1:] == (f"{labels[0]}: zeros",)
    assert concluded(None, "zeros").reasons[-1:] == (f"{labels[1]}: zeros",)
