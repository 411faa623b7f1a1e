"""Logs of the tool, one of each form: their figures, whole, wrapped, cut and damaged."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.benchmark_model.texts import GOOD, text_of
from vitbench.benchmark_model.counts import CountLine
from vitbench.benchmark_model.delegates import Delegate
from vitbench.benchmark_model.lines import together
from vitbench.benchmark_model.log import ToolLog, parse
from vitbench.benchmark_model.refusals import NoResult

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


def test_a_line_whose_average_is_damaged_is_no_count_line() -> None:
    assert result_of(text_of("all_same").replace("12(all same)", "12(0all same)")) is None
    assert result_of(text_of("all_same").replace(" p5=12", " 05=12")) is None


@given(st.text(alphabet=st.sampled_from("count=INFO: 0123456789.e+\n()avgmsxfirt"), max_size=200))
def test_text_of_something_else_is_no_result(text: str) -> None:
    with pytest.raises(NoResult):
        parse(text)


def test_a_block_of_results_without_count_lines_is_too_coarse() -> None:
    block = text_of("litert").partition("INFO: [./litert")[2]
    with pytest.raises(NoResult, match="lacks its lines that begin with `count=`"):
        parse(f"[./litert{block}")


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


def test_a_missing_closing_line_is_forgiven_where_the_end_is_known() -> None:
    text = text_of("failed/truncated-no-closing")
    log = parse(text, returncode=0, closed=True)
    assert (log.form, log.run.count, log.run.avg_us, log.init_us) == ("unclosed", 125, 8010.2, 4200)
    with pytest.raises(NoResult):
        parse(text, returncode=0)


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
