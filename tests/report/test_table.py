"""Tables as they are read: at 80 and 160 columns, narrower, without colour, without Unicode."""

from __future__ import annotations

import re
from typing import Any

import pytest

from benchmarks.example_records import example_record
from vitbench.errors import UsageError
from vitbench.report import Screen, render_records
from vitbench.report.sheet import NARROWEST_MODEL

MIXED: tuple[dict[str, Any], ...] = (
    {},
    {
        "model": "effvit-b1+softmax",
        "latency_ms": 3.9,
        "status": "unsteady",
        "reasons": ("3 of 5 steady",),
    },
    {
        "model": "effvit-b3",
        "resolution": (1024, 2048),
        "latency_ms": 2734.5,
        "status": "parity-failed",
        "parity": {"passed": False, "max_diff": None, "reason": "3 outputs are not finite"},
    },
    {
        "model": "effvit-b2+sra-softmax@train",
        "target": "orin",
        "protocol": {"threads": 2, "spin_wait": True, "transfers": "absent", "precision": "fp16"},
        "estimate": {"latency_ms": None, "compute_ms": 12.5, "ci_low_ms": 12.4, "ci_high_ms": 12.6},
    },
    {
        "blocks": 2,
        "plan": {"preset": "quick"},
        "status": "inconclusive",
        "reasons": ("never valid",),
    },
)


def draw(*changes: dict[str, Any], width: int = 80, form: str = "table", **screen: bool) -> str:
    records = [example_record(number, **one) for number, one in enumerate(changes)]
    return render_records(records, form, Screen(width=width, **screen))


GOLDEN_80 = """\
cpu · AMD EPYC · onnxruntime 1.31.1
batch 1 · fp32 · 1 thread · transfers timed · zero-copy · no spinning

model              HxW           latency ms  p90 ms  GMACs  status
─────────────────────────────────────────────────────────────────────────────
effvit-b2          224x224     27.43 ± 0.21    28.0   1.60  valid
effvit-b1+softmax  224x224    3.900 ± 0.030    3.98   1.60  unsteady [1]
effvit-b3          1024x2048      2734 ± 21    2789   1.60  parity-failed [2]

[1] 3 of 5 steady
[2] parity: 3 outputs are not finite
"""

GOLDEN_160 = """\
AMD EPYC · onnxruntime 1.31.1
batch 1 · zero-copy

model                        HxW        setup  target  precision  threads      latency ms  p90 ms  p99 ms  GMACs  GMAC/s  parity        status
─────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────
effvit-b2                    224x224    A      cpu     fp32             1    27.43 ± 0.21    28.0     n/a   1.60    58.3  passed 2e-06  valid
effvit-b1+softmax            224x224    A      cpu     fp32             1   3.900 ± 0.030    3.98     n/a   1.60     410  passed 2e-06  unsteady [1]
effvit-b3                    1024x2048  A      cpu     fp32             1       2734 ± 21    2789     n/a   1.60   0.585  failed        parity-failed [2]
effvit-b2+sra-softmax@train  224x224    B      orin    fp16             2  12.50 ± 0.10 †    28.0     n/a   1.60     128  passed 2e-06  valid
effvit-b2                    224x224    C      cpu     fp32             1          27.4 ‡    28.0     n/a   1.60    58.3  passed 2e-06  inconclusive [3]

[1] 3 of 5 steady
[2] parity: 3 outputs are not finite
[3] never valid
setup A: transfers timed, no spinning, preset full
setup B: transfers not timed, spinning, preset full
setup C: transfers timed, no spinning, preset quick
† compute only: the copies to and from the device could not be timed
‡ within-process only: under 5 blocks there is no interval between processes
n/a: too few effective iterations (a p90 needs 64, a p95 130, a p99 662)
"""  # noqa: E501


def test_golden_at_80_columns() -> None:
    assert draw(*MIXED[:3]) == GOLDEN_80


def test_golden_at_160_columns() -> None:
    assert draw(*MIXED, width=160) == GOLDEN_160


@pytest.mark.parametrize("width", [20, 30, 40, 60, 70, 80, 100, 120, 160, 250])
def test_no_width_cuts_a_figure_or_exceeds_the_screen(width: int) -> None:
    text = draw(*MIXED, width=width)
    assert all(len(line) <= width for line in text.splitlines())
    assert "…" not in text
    words = " ".join(text.split())
    for figure in ("27.43 ± 0.21", "3.900 ± 0.030", "2734 ± 21", "12.50 ± 0.10 †", "27.4 ‡"):
        assert figure in words
    for status in ("valid", "unsteady", "parity-failed", "inconclusive"):
        assert status in words


def test_a_narrow_screen_wraps_status_and_model_before_anything_else() -> None:
    text = draw(*MIXED, width=72)
    assert "latency ms" in text.splitlines()[3]
    assert "parity-failed\n" in text
    assert "effvit-b2+sra-softmax@train" not in text
    assert "effvit-b2+sra-softmax@train"[:NARROWEST_MODEL] in text


def test_what_no_table_can_hold_is_listed() -> None:
    text = draw(*MIXED[:2], width=30)
    assert "model: effvit-b1+softmax\nHxW: 224x224\nlatency ms: 3.900 ± 0.030\nstatus: unsteady [1]\n" in text


def test_different_protocols_are_told_apart() -> None:
    text = draw({}, {"protocol": {"spin_wait": True}}, {"protocol": {"cuda_graph": True, "streams": 2}})
    assert re.search(r"^effvit-b2 +224x224 +A ", text, re.MULTILINE)
    assert re.search(r"^effvit-b2 +224x224 +C ", text, re.MULTILINE)
    assert "setup A: no spinning, no CUDA graph, 1 stream\n" in text
    assert "setup B: spinning, no CUDA graph, 1 stream\n" in text
    assert "setup C: no spinning, CUDA graph, 2 streams\n" in text


def test_every_field_of_the_protocol_can_tell_rows_apart() -> None:
    changes: dict[str, Any] = {
        "transfers": "measured-apart",
        "zero_copy": False,
        "precision": "fp16",
        "threads": 2,
        "spin_wait": True,
        "cuda_graph": True,
        "streams": 2,
        "affinity": (0,),
        "builds": 3,
    }
    seen = {draw({}, {"protocol": {name: value}}, width=60) for name, value in changes.items()}
    assert len(seen) == len(changes)
    assert all("setup B: " in text for text in seen)


def test_different_machines_under_one_target_are_told_apart() -> None:
    text = draw({}, {"environment": {"machine_key": "feedc0ffee00"}})
    assert "setup A: machine 0123456789ab\n" in text
    assert "setup B: machine feedc0ffee00\n" in text


def test_more_than_26_setups_have_letters() -> None:
    text = draw(*({"protocol": {"builds": number}} for number in range(1, 29)), width=60)
    assert "setup Z: 26 builds\nsetup AA: 27 builds\nsetup AB: 28 builds\n" in text


def test_simulated_figures_are_watermarked() -> None:
    text = draw({"simulated": True, "target": "sim"})
    assert text.startswith("SIMULATED: a script or a stand-in made these figures")


def test_a_mixed_table_marks_the_simulated_rows() -> None:
    text = draw({}, {"simulated": True, "target": "sim"})
    assert not text.startswith("SIMULATED")
    assert re.search(r"^effvit-b2 .* sim .* valid, simulated$", text, re.MULTILINE)
    assert "\nsimulated: a script or a stand-in made these figures" in text


def test_throughput_alone_has_its_own_heading() -> None:
    figures = {"throughput_img_s": 412.3, "throughput_low_img_s": 409.0, "throughput_high_img_s": 415.1}
    one = {"protocol": {"metric": "throughput", "batch": 8}, "workload": {"batch": 8}, "estimate": figures}
    text = draw(one)
    assert "images/s" in text
    assert "412.3 ± 3.3" in text
    assert "GMACs/img" in text
    assert "0.200" in text
    both = draw({}, one)
    assert "412.3 ± 3.3 img/s" in both
    assert "27.43 ± 0.21 ms" in both


def test_tails_need_iterations() -> None:
    assert "n/a: too few effective iterations" in draw({}, width=160)
    assert "n/a" not in draw({"iterations": 700}, width=160)


def test_a_record_without_an_estimate_is_still_a_row() -> None:
    text = draw({}, {"estimate": None, "status": "inconclusive", "reasons": ("no block could be used",)})
    assert re.search(r"^effvit-b2 +224x224 +- .*inconclusive \[1\]$", text, re.MULTILINE)


def test_equal_reasons_share_a_note() -> None:
    same = {"status": "unsteady", "reasons": ("too hot",)}
    text = draw(same, same | {"model": "effvit-b1"})
    assert text.count("unsteady [1]") == 2
    assert text.count("too hot") == 1


def test_colour_only_repeats_what_the_words_say() -> None:
    plain, coloured = draw(*MIXED), draw(*MIXED, colour=True)
    assert "\x1b" not in plain
    assert "\x1b[32mvalid\x1b[0m" in coloured
    assert re.sub(r"\x1b\[[0-9;]*m", "", coloured) == plain


def test_a_screen_without_unicode_gets_ascii() -> None:
    text = draw(*MIXED, {"target": "模型"}, width=160, ascii_only=True)
    assert text.isascii()
    assert "27.43 +/- 0.21" in text
    assert "(c) compute only" in text


@pytest.mark.parametrize("hostile", ["\x1b[2Jgone", "two\nlines", "right\u202eleft", "[bold]markup[/bold]"])
def test_names_from_elsewhere_cannot_steer_the_terminal(hostile: str) -> None:
    text = draw({"target": hostile, "reasons": (hostile,), "status": "unsteady"}, {}, width=160, colour=True)
    assert not re.search(r"\x1b\[2J|\u202e", text)
    harmless = draw({"target": "x", "reasons": ("x",), "status": "unsteady"}, {}, width=160)
    assert len(text.splitlines()) == len(harmless.splitlines())
    if hostile.startswith("["):
        assert hostile in text


def test_wide_letters_keep_the_columns() -> None:
    from rich.cells import cell_len

    lines = [
        line
        for line in draw({"target": "模型"}, {"target": "cpu"}, width=160).splitlines()
        if "valid" in line
    ]
    first, second = (cell_len(line[: line.index("valid")]) for line in lines)
    assert first == second


def test_no_rows_draw_nothing() -> None:
    assert draw() == ""


def test_the_columns_asked_for_are_shown_in_their_order_whatever_the_width() -> None:
    records = [example_record(artifact={"nodes": 1234, "export_s": 5.25, "bytes": 97_300_000})]
    text = render_records(records, "table", Screen(width=30, columns=("export", "nodes", "size", "value")))
    found = [text.index(word) for word in ("effvit-b2", "5.25", "1,234", "97.3", "27.43", "valid")]
    assert found == sorted(found)
    markdown = render_records(records, "markdown", Screen(columns=("nodes",)))
    assert "| model | HxW | nodes | status |" in markdown


def test_a_column_that_there_is_not_is_refused_with_the_nearest() -> None:
    records = [example_record()]
    with pytest.raises(UsageError, match="unknown column 'node'") as caught:
        render_records(records, "table", Screen(columns=("node",)))
    assert "did you mean `nodes`?" in str(caught.value.hint)
