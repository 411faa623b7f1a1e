"""Logs of the tool, one of each form, and everything that is no result."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vitbench.benchmark_model.counts import CountLine, read_count_line
from vitbench.benchmark_model.delegates import Delegate
from vitbench.benchmark_model.lines import split, together
from vitbench.benchmark_model.log import ToolLog, check_counts, parse
from vitbench.benchmark_model.refusals import NoResult, Reason
from vitbench.errors import ExitCode

LOGS = Path(__file__).parent / "logs"
GOOD = sorted(path.stem for path in LOGS.glob("*.txt"))
FAILED = sorted(path.stem for path in (LOGS / "failed").glob("*.txt"))

# name: form, run (count, first, curr, min, max, avg, std, p5, median, p95), warm-up (count, avg), init, first
FIGURES: dict[str, tuple[object, ...]] = {
    "average_1.12": (
        "average",
        (40, 79120, 78866, 78541, 83007, 79236.4, 655, None, None, None),
        (1, 84213),
        7031,
        84213,
    ),
    "average_1.14_profile": (
        "average",
        (30, 47611, 48020, 47102, 49933, 47877.3, 588, None, None, None),
        (11, 48190.9),
        2417,
        51877,
    ),
    "timings_2.4_taskset": (
        "timings",
        (50, 188240, 189077, 186750, 194416, 188902, 1310, None, None, None),
        (3, 196051),
        55180,
        211940,
    ),
    "timings_1.15_gpu": (
        "timings",
        (50, 61100, 60844, 60311, 63250, 61201.7, 498, None, None, None),
        (9, 62415.2),
        612400,
        70112,
    ),
    "timings_2.17_info": (
        "timings",
        (177, 5702, 5633, 5498, 6120, 5641.27, 88, None, None, None),
        (88, 5688.83),
        9804,
        6402,
    ),
    "timings_2.20_scientific": (
        "timings",
        (20, 2988104, 2991760, 2981255, 3020411, 2993380, 8812, 2982190, 2992004, 3020411),
        (1, 3104518),
        3905,
        3104518,
    ),
    "timings_2.20_partial": (
        "timings",
        (100, 21340, 21405, 21177, 22019, 21418.5, 131, 21230, 21401, 21688),
        (30, 21522.6),
        41677,
        24810,
    ),
    "logcat_threadtime": (
        "timings",
        (83, 12110, 12054, 11961, 12877, 12098.9, 122, 11990, 12071, 12331),
        (41, 12231.4),
        33250,
        15022,
    ),
    "logcat_brief": (
        "timings",
        (81, 12270, 12300, 12155, 12960, 12340.2, 140, None, None, None),
        (40, 12480.6),
        30500,
        15800,
    ),
    "litert_profile": (
        "litert",
        (200, 2788, 2771, 2740, 2984, 2779.71, 29, 2750, 2774, 2822),
        (20, 2811.45),
        12086,
        3120,
    ),
    "litert": (
        "litert",
        (1416, 701, 699, 689, 901, 705.113, 15, 694, 702, 727),
        (705, 708.402),
        6118,
        988,
    ),
    "all_same": ("timings", (5, 12, 12, 12, 12, 12, 0, 12, 12, 12), (0, None), 400, None),
    "reordered": ("timings", (9, 931, 900, 880, 931, 901.111, 14, 880, 900, 931), (4, 910.5), 52, 890),
    "closing_alone": (
        "timings",
        (None, None, None, None, None, 12180.4, None, None, None, None),
        (None, 12390.5),
        30871,
        15411,
    ),
}


def text_of(name: str) -> str:
    return (LOGS / f"{name}.txt").read_text()


def figures(log: ToolLog) -> tuple[object, ...]:
    """What must not change where a log is cut: facts beside the times may get lost."""
    return log.run, log.warmup, log.init_us, log.first_inference_us, log.form


def result_of(text: str) -> ToolLog | None:
    """The log, or None where it is no result: then with a reason and the next step."""
    try:
        return parse(text)
    except NoResult as refused:
        explained = refused.message and refused.hint
    assert explained
    return None


def as_tuple(line: CountLine) -> tuple[float | None, ...]:
    return tuple(vars(line).values())


@pytest.mark.parametrize("name", GOOD)
def test_reads_every_form(name: str) -> None:
    log = parse(text_of(name))
    assert (
        log.form,
        as_tuple(log.run),
        (log.warmup.count, log.warmup.avg_us),
        log.init_us,
        log.first_inference_us,
    ) == FIGURES[name]


@pytest.mark.parametrize("name", GOOD)
@pytest.mark.parametrize(
    "dress",
    [
        lambda text: text.replace("\n", "\r\n"),
        lambda text: text.replace("\n", "\r\r\n"),
        lambda text: text.replace("INFO:", "\x1b[1;32mINFO:\x1b[0m").replace("\n", "\x1b[K\n"),
        lambda text: "".join(f"I/tflite  ( 1234): {line}\n" for line in text.splitlines()),
        lambda text: "".join(
            f"2024-02-03 04:05:06.789  123  456 I tflite  : {line}\n" for line in text.splitlines()
        ),
        lambda text: "".join(
            f"I0203 04:05:06.789012  1234 tool.cc:12] {line}\n" for line in text.splitlines()
        ),
        lambda text: together(text, "WARNING: linker: something harmless\nERROR: cannot open cpuinfo\n"),
        lambda text: f"$ adb shell taskset f0 ./benchmark_model --num_runs=50 --min_secs=0\n{text}",
    ],
)
def test_the_wrapping_of_a_log_does_not_matter(name: str, dress: object) -> None:
    text = text_of(name)
    assert callable(dress)
    assert figures(parse(dress(text), returncode=0)) == figures(parse(text))


@pytest.mark.parametrize("name", GOOD)
def test_a_log_that_is_cut_anywhere_gives_the_same_figures_or_none(name: str) -> None:
    """Only the time of loading may be lost, where a last line without its end has it last."""
    text = text_of(name)
    whole = parse(text)
    for end in range(len(text)):
        if (log := result_of(text[:end])) is not None:
            assert figures(log) == figures(replace(whole, init_us=log.init_us))
            assert log.init_us in (whole.init_us, None)


@pytest.mark.parametrize("name", [name for name in GOOD if name != "closing_alone"])
def test_the_last_line_needs_no_end(name: str) -> None:
    assert result_of(text_of(name).rstrip("\n")) is not None


@given(st.sampled_from(GOOD), st.data())
def test_a_damaged_log_never_crashes_the_reader(name: str, data: st.DataObject) -> None:
    text = text_of(name)
    start = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(start, len(text)))
    log = result_of(text[:start] + data.draw(st.text(max_size=40)) + text[end:])
    assert log is None or log.run.avg_us is not None


@given(st.text(alphabet=st.sampled_from("count=INFO: 0123456789.e+\n()avgmsxfirt"), max_size=200))
def test_text_of_something_else_is_no_result(text: str) -> None:
    with pytest.raises(NoResult):
        parse(text)


@pytest.mark.parametrize("name", FAILED)
def test_tells_why_there_is_no_result(name: str) -> None:
    """The name of each file begins with the reason."""
    with pytest.raises(NoResult) as caught:
        parse(text_of(f"failed/{name}"))
    reason = max((each for each in Reason if name.startswith(each)), key=len)
    assert caught.value.reason is reason
    assert caught.value.exit_code is ExitCode.TOOL
    assert caught.value.hint
    assert not caught.value.message.endswith((".", ":", " "))
    last = text_of(f"failed/{name}").strip().rpartition("\n")[2]
    assert last in caught.value.tail


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("old-tool", "no version 12 of FULLY_CONNECTED"),
        ("delegate", "XNNPACK delegate could not be applied"),
        ("unknown-flags", "--use_xnnpack=true --result_file_path"),
        ("model", "could not open /data/local/tmp/heron.tflite"),
        ("operator", "GullAttention"),
        ("operator-invoke", "GATHER_ND failed to invoke"),
        ("not-executable", "64-bit ELF file"),
        ("bad-flags", "--num_threads"),
        ("truncated-no-run", "stops in the run"),
        ("truncated-empty", "printed nothing"),
    ],
)
def test_the_reason_names_what_is_wrong(name: str, words: str) -> None:
    with pytest.raises(NoResult, match=words):
        parse(text_of(f"failed/{name}"))


def test_the_telling_line_is_shown_however_far_up_it_is() -> None:
    with pytest.raises(NoResult) as caught:
        parse("ERROR: Could not open '/a.tflite'.\n" + "INFO: talk\n" * 50, returncode=1)
    first, *rest = caught.value.tail.splitlines()
    assert first == "ERROR: Could not open '/a.tflite'."
    assert rest == ["INFO: talk"] * 14


def test_a_block_of_results_without_count_lines_is_too_coarse() -> None:
    block = text_of("litert").partition("INFO: [./litert")[2]
    with pytest.raises(NoResult, match="lacks its lines that begin with `count=`"):
        parse(f"[./litert{block}")


@pytest.mark.parametrize(
    ("returncode", "reason", "words"),
    [
        (1, Reason.FAILED, "status 1"),
        (126, Reason.NOT_EXECUTABLE, "could not start"),
        (137, Reason.KILLED, "killed"),
        (-9, Reason.KILLED, "killed"),
        (139, Reason.CRASHED, "SIGSEGV"),
        (-4, Reason.CRASHED, "SIGILL"),
        (129, Reason.KILLED, "SIGHUP"),
        (255, Reason.FAILED, "status 255"),
    ],
)
def test_figures_of_a_run_that_failed_are_no_result(returncode: int, reason: Reason, words: str) -> None:
    with pytest.raises(NoResult, match=words) as caught:
        parse(text_of("timings_2.20_partial"), returncode=returncode)
    assert caught.value.reason is reason


def test_a_run_that_was_cut_short_by_its_time() -> None:
    log = parse(text_of("timings_2.20_partial"))
    check_counts(log, 100)
    check_counts(log, 50)
    with pytest.raises(NoResult, match="timed 100 of 500 inferences") as caught:
        check_counts(log, 500)
    assert caught.value.reason is Reason.CUT_SHORT
    with pytest.raises(NoResult, match="does not tell how many"):
        check_counts(parse(text_of("closing_alone")), 1)


@pytest.mark.parametrize("name", ["timings_2.17_info", "timings_2.20_partial", "average_1.14_profile"])
def test_a_filtered_log_is_read_as_far_as_its_lines_vouch_for_each_other(name: str) -> None:
    text = text_of(name)
    warmup, run, closing = (
        line for line in text.splitlines() if "Timings (" not in line and is_figures(line)
    )
    whole = parse(text)
    filtered = parse(f"{run}\n{closing}\n")
    assert (filtered.run, filtered.init_us) == (whole.run, whole.init_us)
    assert (filtered.warmup.count, filtered.warmup.avg_us) == (None, whole.warmup.avg_us)
    for part in (
        f"{warmup}\n{closing}\n",
        f"{run}\n",
        f"{run}\n{closing}"[:-4],
        f"{run[:-8]}\n{closing[:-9]}\n",
    ):
        with pytest.raises(NoResult):
            parse(part)


def is_figures(line: str) -> bool:
    return ("count=" in line and "first=" in line) or "timings in us" in line


def test_a_run_without_inferences_is_no_result() -> None:
    with pytest.raises(NoResult, match="no inference at all"):
        parse("INFO: count=1 curr=9\nINFO: count=0\nInference timings in us: Init: 1, Inference (avg): 0\n")


def test_a_missing_closing_line_is_forgiven_where_the_end_is_known() -> None:
    text = text_of("failed/truncated-no-closing")
    log = parse(text, returncode=0, closed=True)
    assert (log.form, log.run.count, log.run.avg_us, log.init_us) == ("unclosed", 125, 8010.2, 4200)
    with pytest.raises(NoResult):
        parse(text, returncode=0)


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
    ("name", "delegate"),
    [
        ("average_1.12", None),
        ("timings_2.17_info", Delegate("XNNPACK")),
        ("timings_1.15_gpu", Delegate("GPU", "completely")),
        ("timings_2.20_partial", Delegate("XNNPACK", "partially", 8, 291, 301, 15)),
        ("litert_profile", Delegate("XNNPACK", "completely", None, 64, 64, 1)),
        ("all_same", Delegate("XNNPACK", "none", 0)),
    ],
)
def test_which_part_a_delegate_took(name: str, delegate: Delegate | None) -> None:
    assert parse(text_of(name)).delegate == delegate


@pytest.mark.parametrize(
    ("name", "peak_mb"),
    [
        ("timings_2.20_partial", 96.7539),
        ("litert_profile", 31.62),
        ("timings_2.4_taskset", 71.0625),
        ("timings_2.17_info", None),
        ("litert", None),
    ],
)
def test_peak_memory_where_it_is_told(name: str, peak_mb: float | None) -> None:
    assert parse(text_of(name)).peak_memory_mb == peak_mb


def test_a_peak_that_is_cut_is_not_told() -> None:
    text = text_of("timings_2.20_partial")
    assert parse(text[: text.index("96.7539") + 2]).peak_memory_mb is None


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
