"""Tables of comparisons as they are read: widths, marks, notes, and no row left out."""

from __future__ import annotations

import re
from typing import Any

import pytest

from benchmarks.example_comparisons import PARITY, example_comparison, example_study
from vitbench.records.comparison import Candidate, Comparison
from vitbench.report import Screen, render_comparisons

STATUSES = ("unsteady", "inconclusive", "parity-failed")


def draw(*comparisons: Comparison, width: int = 160, form: str = "table", **how: Any) -> str:
    return render_comparisons(comparisons, form, Screen(width=width), **how)


def changed(number: int = 0, **changes: Any) -> Comparison:
    return example_comparison(number, **changes)


def test_a_table_at_80_columns() -> None:
    text = draw(
        changed(0),
        changed(1, tokens=(28, 28), latencies_ms=(8.0, 2.0), status="unsteady", reasons=("too hot",)),
        width=80,
    )
    head = text.split("\n\n\n")[0]
    lines = head.splitlines()
    assert lines[:5] == [
        "softmax against relu, the attention block at the same width, on cpu",
        "cpu · AMD EPYC · onnxruntime 1.31.1",
        "batch 1 · fp32 · 1 thread · transfers timed · zero-copy · no spinning · preset",
        "full",
        "10 pairs a row · 400 iterations a side · 2026-11-21 · seeds 0 to 1",
    ]
    assert re.match(r"tokens +n +softmax ms +relu ms +relu/softmax  status$", lines[6])
    assert re.match(
        r"14x14 +196 +2\.000 ± 0\.015 +1\.0000 ± 0\.0077 +0\.\d+ \[0\.\d+, 0\.\d+\]  valid$", lines[8]
    )
    assert lines[9].endswith("unsteady [1]")
    assert "[1] too hot" in lines


def test_a_wide_screen_has_every_column() -> None:
    header = draw(*example_study(), width=160).splitlines()[5]
    assert re.split(r"  +", header) == [
        *("tokens", "n", "softmax ms", "relu ms", "relu/softmax", "speed-up", "MACs ratio", "pairs", "status")
    ]


@pytest.mark.parametrize("width", [40, 60, 80, 100, 120, 160])
def test_no_width_is_exceeded_and_no_figure_cut(width: int) -> None:
    text = draw(*example_study(), width=width, timings=True)
    assert max(map(len, text.splitlines())) <= width
    for figure in ("191.4 ± 1.5", "12.449 ± 0.096", "0.0265 [0.0264, 0.0266]"):
        assert figure in text


@pytest.mark.parametrize("status", STATUSES)
@pytest.mark.parametrize("form", ["table", "markdown", "csv", "json", "html"])
def test_a_row_that_is_not_valid_is_shown_with_its_reason(form: str, status: str) -> None:
    text = draw(changed(status=status, reasons=("the link broke",)), form=form)
    assert status in text
    assert "the link broke" in text


def test_the_ratio_and_the_speed_up_have_the_same_interval() -> None:
    line = next(line for line in draw(changed()).splitlines() if line.startswith("14x14"))
    (ratio, low, high), (speed, slow, fast) = re.findall(r"([\d.]+) \[([\d.]+), ([\d.]+)\]", line)
    assert float(speed) == pytest.approx(1 / float(ratio), rel=0.01)
    assert float(slow) == pytest.approx(1 / float(high), rel=0.01)
    assert float(fast) == pytest.approx(1 / float(low), rel=0.01)


def test_too_few_pairs_have_no_interval_and_say_so() -> None:
    text = draw(changed(pairs=4))
    assert re.search(r"^14x14 +196 +2\.00 ‡ +1\.00 ‡ +0\.\d+ +\d\.\d+ +0\.800 +4 ", text, re.MULTILINE)
    assert "a ratio without brackets has too few pairs for a 95 % interval" in text
    assert "inf" not in text


def test_a_mismatch_that_was_allowed_is_marked() -> None:
    text = draw(changed(mismatch=("threads", "spin_wait")))
    assert "valid, protocols differ [1]" in text
    assert "[1] protocols differ, which was allowed: threads, spin_wait" in text


def test_compute_instead_of_latency_is_marked() -> None:
    text = draw(changed(value_is="compute"))
    assert re.search(r"^14x14 +196 +2\.00 † +1\.00 † ", text, re.MULTILINE)
    assert "† compute only" in text


def test_simulated_rows_are_watermarked_alone_and_marked_among_others() -> None:
    alone = draw(changed(simulated=True))
    assert alone.splitlines()[1].startswith("SIMULATED: ")
    among = draw(changed(0), changed(1, tokens=(28, 28), simulated=True))
    assert "SIMULATED" not in among
    assert "valid, simulated" in among
    assert "simulated: a script or a stand-in made these figures" in among


@pytest.mark.parametrize(
    ("macs", "marked"), [((1000, 1019), False), ((1000, 1021), True), ((1000, 979), True)]
)
def test_macs_that_were_to_match_are_marked_beyond_two_per_cent(macs: tuple[int, int], marked: bool) -> None:
    assert ("≠" in draw(changed(part="matched", macs=macs))) is marked
    assert "≠" not in draw(changed(part="block", macs=macs))


def test_sides_of_long_or_various_names_are_called_a_and_b() -> None:
    long = ("effvit-b1-cityscapes", "segformer-b1-cityscapes")
    text = draw(changed(labels=long, part="models", tokens=None))
    assert "A: effvit-b1-cityscapes; B: segformer-b1-cityscapes" in text
    assert re.search(r"^HxW +A ms +B ms +B/A ", text, re.MULTILINE)


def test_protocols_that_vary_are_told_by_letters() -> None:
    first, second = changed(0), changed(1, tokens=(28, 28))
    sides = [
        side.model_copy(update={"protocol": side.protocol.model_copy(update={"threads": 2})})
        for side in second.sides
    ]
    text = draw(first, second.model_copy(update={"sides": (second.sides[0], sides[1])}))
    assert "setup A: 1 thread" in text
    assert "setup B: softmax: 1 thread and relu: 2 threads" in text


def test_candidates_say_which_was_chosen_and_by_how_much() -> None:
    text = draw(changed())
    table = text[text.index("How each side was computed") :]
    assert re.search(r"^14x14 +softmax +products +2\.010 ± 0\.010 +1\.00 +chosen$", table, re.MULTILINE)
    assert re.search(r"^14x14 +softmax +fused +2\.2\d+ ± 0\.010 +1\.10 +-$", table, re.MULTILINE)
    assert (
        "softmax is compared as products (1 of 1 rows); the next best candidate takes 1.10 times as" in table
    )


def test_a_candidate_that_failed_parity_is_shown() -> None:
    failed = Candidate(
        formulation={"relu": "fused"},
        digest="0" * 64,
        parity=PARITY.model_copy(update={"passed": False, "reason": "3 outputs are not finite"}),
        block_medians_ms=(),
        chosen=False,
    )
    base = changed()
    text = draw(base.model_copy(update={"candidates": (base.candidates[0], (failed,))}))
    assert re.search(r"^14x14 +relu +fused +- +- +failed parity \[1\]$", text, re.MULTILINE)
    assert "[1] 3 outputs are not finite" in text
    assert "relu is compared as nothing: no candidate passed parity." in text


def test_where_the_time_went_is_told_when_asked() -> None:
    assert "Where the time went" not in draw(changed())
    text = draw(changed(0), changed(1, tokens=(28, 28)), timings=True)
    assert re.search(r"^all +120\.0 +16\.0 +18\.0 +24\.0 +56\.0 +0\.0 +6\.0 +20 %$", text, re.MULTILINE)


def test_a_screen_of_ascii_has_every_mark() -> None:
    comparisons = [changed(part="matched", macs=(1000, 2000), value_is="compute")]
    text = render_comparisons(comparisons, "table", Screen(ascii_only=True))
    assert text.isascii()
    assert "2.000 (m)" in text
    assert "2.00 (c)" in text
    assert "?" not in text
