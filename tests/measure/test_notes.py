"""What records and comparisons say beside their status."""

from __future__ import annotations

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
