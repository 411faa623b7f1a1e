"""Single lines: which are count lines, which are nearly, and none that keeps the reader busy."""

from __future__ import annotations

import time

import pytest

from vitbench.benchmark_model.counts import CountLine, read_count_line
from vitbench.benchmark_model.lines import split, together
from vitbench.benchmark_model.log import parse
from vitbench.benchmark_model.refusals import NoResult, Reason


def test_the_profile_of_warm_up_and_run_together_is_not_taken() -> None:
    assert read_count_line("Timings (microseconds): count=41 first=2 curr=2 min=1 max=3 avg=2 std=0") is None
    assert read_count_line("INFO: Memory (bytes): count=50 curr=4096(all same)") is None
    assert read_count_line("INFO: [a/b.h:179] Timings (microseconds): count=41 curr=2") is None


@pytest.mark.parametrize(
    "before",
    [
        "",
        "INFO: ",
        "18:40:11.391 ",
        "[tflite/memory/timings.cc:12] ",
        "> ",
        "node1 | ",
        "09-02 18:40:11.391 I/tflite  (20177): ",
    ],
)
def test_what_a_logger_puts_before_a_count_line(before: str) -> None:
    assert read_count_line(f"{before}count=5 curr=7(all same)") == CountLine(5, 7, 7, 7, 7, 7, 0, 7, 7, 7)


@pytest.mark.parametrize(
    "line",
    [
        "",
        "count=",
        "count=5",
        "count=x curr=5",
        "count=1.5 curr=5",
        "count=-1 curr=5",
        "count=5 curr=5 curr=6",
        "count=5 curr=5 std=",
        "5 nodes count=5 curr=5",
        "Num runs: [50] count=5 curr=5]",
        "--count=5 curr=5",
    ],
)
def test_what_is_no_count_line(line: str) -> None:
    assert read_count_line(line) is None


@pytest.mark.parametrize(
    "line",
    [
        "count=5 first=1 curr=nan min=1 max=2 avg=1 std=0",
        "count=5 first=1 curr=1 min=1 max=2 avg=inf std=0",
        "count=5 first=1 curr=1 min=3 max=2 avg=2 std=0",
        "count=5 first=9 curr=1 min=1 max=2 avg=1.5 std=0",
        "count=5 first=1 curr=1 min=1 max=2 avg=1.5 std=-1",
        "count=5 first=1 curr=1 min=1 max=3 avg=1.5 std=0 p5=2 median=1 p95=3",
        "count=5 curr=7 p5=7 median=8 p95=7",
    ],
)
def test_figures_that_cannot_be_are_refused(line: str) -> None:
    with pytest.raises(NoResult) as caught:
        parse(f"count=1 curr=9\n{line}\n", closed=True)
    assert caught.value.reason is Reason.CONTRADICTORY


@pytest.mark.parametrize(
    "text",
    [
        "count=1" + " a=1" * 100_000 + " x\n",
        "count=" + "1" * 100_000 + " curr=5\n",
        "count=5 curr="
        + "1" * 1000
        + "\ncount=5 curr="
        + "1" * 1000
        + "\nInference timings in us: Inference: 5\n",
        "\x1b[" * 50_000,
        " " * 100_000 + "=",
        "count=2 (" + "(" * 100_000,
        "inference timings in us: " + "a " * 50_000 + "\n",
        "failed to apply " * 20_000,
        "Replacing 1 out of " * 10_000,
        "yielding " + "9" * 10_000,
    ],
)
def test_no_text_keeps_the_reader_busy(text: str) -> None:
    start = time.process_time()
    with pytest.raises(NoResult):
        parse(text)
    assert time.process_time() - start < 5


def test_lines_without_what_steers_a_terminal() -> None:
    assert split("a\x1b[31m b\r\nc\0d\re\n\nf") == split("a b\ncd\ne\n\nf")
    assert split("a\nb").whole == ("a",)
    assert split("a\nb").rest == "b"
    assert split("a\n").all == ("a",)
    assert split("1" * 3000 + "\n").whole[0].endswith("1 ...")
    assert together("out", "") == "out"
    assert together("out", "err") == "err\nout"
    assert together("out", "err", 1) == "out\nerr"
