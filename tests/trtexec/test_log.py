"""Logs of every version, in our own words: figures, or the reason why there are none."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from vitbench.trtexec.echo import check_echo, read_echo
from vitbench.trtexec.log import Caution, ToolLog, Warned, gpu_of, parse
from vitbench.trtexec.refusals import NoResult, Reason
from vitbench.trtexec.timing import Timing

LOGS = Path(__file__).parent / "logs"
NAMES = ("trt-8.5", "trt-8.6", "trt-10.3", "trt-11.0")


def text(name: str) -> str:
    return (LOGS / f"{name}.log").read_text()


def read(name: str) -> ToolLog:
    return parse(text(name), returncode=0)


def refused(log: str, returncode: int | None = None) -> NoResult:
    with pytest.raises(NoResult) as caught:
        parse(log, returncode=returncode)
    assert caught.value.hint
    return caught.value


@pytest.mark.parametrize(
    ("name", "version", "median_ms", "h2d_ms", "queries", "gpu"),
    [
        ("trt-8.5", "8.5.2", 0.0205, 0.0, 140000, "Orin"),
        ("trt-8.6", "8.6.1", 6.68, 4.1, 120, "NVIDIA A100-SXM4-80GB"),
        ("trt-10.3", "10.3.0", 1.69, 0.06, 5000, "Orin"),
        ("trt-11.0", "11.0.0", 0.449, 0.0, 61, "NVIDIA H200"),
    ],
)
def test_figures(name: str, version: str, median_ms: float, h2d_ms: float, queries: int, gpu: str) -> None:
    log = read(name)
    assert log.summary is not None
    assert (str(log.version), log.queries, log.gpu) == (version, queries, gpu)
    assert (log.summary.latency.median_ms, log.summary.h2d.median_ms) == (median_ms, h2d_ms)
    assert log.summary.throughput_qps
    assert log.summary.latency.percentiles.keys() == {90.0, 95.0, 99.0}


def test_explanations_of_a_verbose_log_are_no_figures() -> None:
    summary = read("trt-8.5").summary
    assert summary is not None
    assert summary.enqueue is not None
    assert summary.enqueue.min_ms == 9.5e-05
    assert summary.gpu_s == 2.884


def test_a_blank_that_is_missing_after_the_prefix() -> None:
    summary = read("trt-8.6").summary
    assert summary is not None
    assert (summary.throughput_qps, summary.d2h.max_ms) == (148.148, 1.6)


def test_warnings() -> None:
    assert read("trt-8.5").warnings == (Caution(Warned.UNSTABLE, 1.75),)
    assert read("trt-8.6").warnings == (
        Caution(Warned.H2D),
        Caution(Warned.D2H),
        Caution(Warned.UNSTABLE, 9.5),
    )
    assert read("trt-10.3").warnings == (Caution(Warned.ENQUEUE),)
    assert read("trt-11.0").warnings == ()


def test_how_long_an_engine_took() -> None:
    log = read("trt-10.3")
    assert (log.built_s, log.loaded_s, log.compute_capability) == (88.5, 0.035, "8.7")
    assert read("trt-8.6").built_s is None


def test_the_tail_of_a_log_tells_by_its_last_banner() -> None:
    whole = text("trt-10.3")
    log = parse(whole[whole.index("=== Performance summary") :])
    assert str(log.version) == "10.3.0"
    assert log.summary == read("trt-10.3").summary
    assert log.queries is None


@pytest.mark.parametrize("before", ["\x1b[32m", "2025-01-01T00:00:00Z ", "trtexec-1  | ", "> "])
def test_what_others_put_before_or_behind_a_line(before: str) -> None:
    kept = "\r\n".join(f"{before}{line}" for line in text("trt-8.6").splitlines())
    assert parse(kept, returncode=0).summary == read("trt-8.6").summary


def test_a_build_alone_has_no_summary() -> None:
    lines = text("trt-10.3").splitlines()
    kept = [line for line in lines if "ms, max" not in line]
    assert parse("\n".join(kept), returncode=0).summary is None


def test_the_layout_of_version_7_is_no_result() -> None:
    error = refused(text("trt-7.1"), 0)
    assert error.reason is Reason.OLD_LAYOUT
    assert "whose figures mean something else" in error.message


def test_a_crash_is_no_result_and_says_why() -> None:
    error = refused(text("trt-8.4-crash"))
    assert error.reason is Reason.CRASHED
    assert "tensor->rank() > 0" in error.message
    assert "Assertion" in error.tail
    # By its status alone, and by a signal, as well.
    assert refused(text("trt-8.4-crash"), 134).reason is Reason.CRASHED
    assert refused(text("trt-8.4-crash"), -9).reason is Reason.KILLED


@pytest.mark.parametrize("name", NAMES)
def test_a_log_that_is_cut_anywhere_is_no_result_and_never_another_figure(name: str) -> None:
    whole = text(name)
    passed = whole.index("&&&& PASSED TensorRT.trtexec") + len("&&&& PASSED TensorRT.trtexec")
    for end in [*range(0, passed, 53), passed - 1]:
        assert refused(whole[:end]).reason in (Reason.TRUNCATED, Reason.CONTRADICTORY)


@pytest.mark.parametrize("name", NAMES)
def test_a_log_that_lacks_a_line_of_the_summary_is_no_result(name: str) -> None:
    lines = text(name).splitlines()
    for part in ("Latency:", "H2D Latency:", "GPU Compute Time:", "D2H Latency:"):
        kept = [
            line for line in lines if not ("min =" in line and line.split("]")[-1].strip().startswith(part))
        ]
        assert len(kept) == len(lines) - 1
        assert refused("\n".join(kept), 0).reason is Reason.TRUNCATED


def test_two_runs_in_one_log_are_no_result() -> None:
    assert refused(text("trt-8.6") + text("trt-8.6"), 0).reason is Reason.AMBIGUOUS
    twice = text("trt-8.6").replace("[I]Total Host", "[I]Latency: min = 1 ms\n[I]Total Host")
    assert refused(twice, 0).reason is Reason.AMBIGUOUS


def parts(name: str) -> tuple[str, str]:
    """A log before its summary, and from there on."""
    begin, heading, end = text(name).partition("=== Performance summary")
    return begin, heading + end


def test_parts_of_two_runs_are_no_result() -> None:
    """The end of a run that passed and the begin of another one, each of which tells half."""
    begin, end = parts("trt-10.3")
    other_begin, other_end = parts("trt-8.6")
    same_version = begin.replace("# trtexec", "# trtexec --onnx=another.onnx").replace("v8601", "v100300")
    for log in (
        other_end + begin,
        text("trt-8.6") + "&&&& FAILED TensorRT.trtexec [TensorRT v8601] # trtexec\n",
        "&&&& FAILED TensorRT.trtexec [TensorRT v8601] # trtexec\n" + text("trt-8.6"),
        other_begin + end,
        same_version + end,
    ):
        assert refused(log).reason is Reason.AMBIGUOUS


def test_banners_that_are_cut_or_broken_are_of_one_run() -> None:
    names = ",".join(f"layer{number}:fp32" for number in range(400))
    version = "TensorRT.trtexec [TensorRT v8601] # trtexec"
    held = text("trt-8.6").replace(version, f"{version} --layerPrecisions={names}")
    broken = text("trt-8.6").replace(
        "PASSED TensorRT.trtexec [TensorRT v8601] # trtexec ", f"PASSED {version}\n"
    )
    for log in (held, broken):
        assert parse(log).summary == read("trt-8.6").summary


@pytest.mark.parametrize(
    "line",
    [
        "[09/10/2024-11:00:09] [E] [TRT] 1: Cuda Runtime (an illegal memory access was encountered)",
        "Segmentation fault (core dumped)",
        "terminate called after throwing an instance of 'std::runtime_error'",
    ],
)
def test_a_run_that_fails_after_it_has_passed(line: str) -> None:
    error = refused(f"{text('trt-8.6')}\n{line}\n")
    assert error.reason is Reason.CRASHED
    assert line in error.message


def test_errors_of_a_run_that_passes_are_told() -> None:
    log = text("trt-8.6").replace("&&&& PASSED", "[E] [TRT] 2: OutOfMemory: tactic skipped\n&&&& PASSED")
    assert Caution(Warned.ERRORS) in parse(log).warnings


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("mean = 6.7 ms", "mean = 6.9 ms"),
        ("median = 6.68 ms", "median = 9 ms"),
        ("min = 6.5 ms", "min = nan ms"),
        ("max = 7.4 ms", "max = inf ms"),
        ("max = 7.4 ms", "max = -7.4 ms"),
        ("percentile(90%) = 6.9 ms", "percentile(90%) = 69 ms"),
        ("percentile(90%) = 6.9 ms", "percentile(90%) = 7.35 ms"),
    ],
)
def test_figures_that_contradict_each_other(old: str, new: str) -> None:
    log = text("trt-8.6")
    assert old in log
    assert refused(log.replace(old, new), 0).reason is Reason.CONTRADICTORY


def test_computing_that_took_no_time() -> None:
    log = re.sub(r"= [\d.e-]+ ms", "= 0 ms", text("trt-8.6"))
    assert refused(log, 0).reason is Reason.CONTRADICTORY


def test_a_figure_that_is_cut_within_its_unit_is_none() -> None:
    assert refused(text("trt-8.6").replace("median = 6.68 ms,", "median = 6.6"), 0).reason is Reason.TRUNCATED


def test_a_status_outweighs_a_passed() -> None:
    assert refused(text("trt-8.6"), 139).reason is Reason.CRASHED
    assert refused(text("trt-8.6"), 3).reason is Reason.FAILED


@pytest.mark.parametrize(
    ("line", "reason", "words"),
    [
        ("[E] Unknown option: --buildOnly", Reason.UNKNOWN_FLAGS, "--buildOnly"),
        ("[E] [TRT] No importer registered for op: Swish", Reason.OPERATOR, "Swish"),
        ("[E] ElementWiseOperation SUB must have same input types. But they are", Reason.TYPES, "cast"),
        ("[E] [TRT] 6: The engine plan file is not compatible with this version", Reason.ENGINE, "engine"),
        (
            "[E] [TRT] Requested amount of GPU memory (9 bytes) could not be allocated",
            Reason.MEMORY,
            "memory",
        ),
        ("Cuda failure: no CUDA-capable device is detected", Reason.NO_GPU, "GPU"),
        ("[E] [TRT] ModelImporter.cpp:768: ERROR: broken", Reason.MODEL, "model"),
        ("[E] [TRT] 10: Could not find any implementation for node attn/Div.", Reason.OPERATOR, "attn/Div"),
        ("[E] Could not write: No space left on device", Reason.NO_SPACE, "space"),
        ("[E] something new", Reason.FAILED, "does not say why"),
    ],
)
def test_failures_and_their_reasons(line: str, reason: Reason, words: str) -> None:
    begin = "&&&& RUNNING TensorRT.trtexec [TensorRT v100300] # trtexec\n[I] Unknown option: --innocent\n"
    harmless = "[W] [TRT] Out of memory for a tactic: skipped.\n"
    error = refused(f"{begin}{harmless}{line}\n&&&& FAILED TensorRT.trtexec [TensorRT v100300] # trtexec", 1)
    assert error.reason is reason
    assert words in error.message
    assert line in error.tail


def test_nothing_at_all() -> None:
    assert refused("", 0).message == "trtexec printed nothing"


def test_the_gpu_of_a_run_that_fails() -> None:
    assert gpu_of(text("trt-8.4-crash")) == ("Orin", "8.7")
    assert gpu_of("nothing") is None


SERIAL_86 = Timing(iterations=120, warmup_ms=200)


def test_options_that_are_as_asked_for() -> None:
    check_echo(read("trt-8.6").echo, SERIAL_86)
    check_echo(read("trt-11.0").echo, Timing(60, 200, False, True, True, overlap=True))


@pytest.mark.parametrize(
    ("timing", "words"),
    [
        (Timing(60, 200, overlap=True), "`Data transfers: Disabled`"),
        (Timing(60, 200, False, overlap=True), "`CUDA Graph: Enabled`"),
        (Timing(60, 200, False, True, overlap=True), "`Spin-wait: Enabled`"),
        (Timing(60, 200, False, True, True), "`ExposeDMA: Disabled`"),
        (Timing(61, 200, False, True, True, overlap=True), "`Iterations: 60`"),
        (Timing(60, 100, False, True, True, overlap=True), "`Duration: 0s"),
        (Timing(60, 200, False, True, True, 2, overlap=True), "`Streams: 1`"),
    ],
)
def test_a_default_that_contradicts_what_was_asked_for(timing: Timing, words: str) -> None:
    with pytest.raises(NoResult) as caught:
        check_echo(read("trt-11.0").echo, timing)
    assert caught.value.reason is Reason.OTHER_OPTIONS
    assert words in caught.value.message


@pytest.mark.parametrize(
    "name", ["Data transfers", "CUDA Graph", "Spin-wait", "ExposeDMA", "Inference Streams", "Duration"]
)
def test_an_option_that_decides_and_is_not_told(name: str) -> None:
    lines = [line for line in text("trt-8.6").splitlines() if f"[I] {name}:" not in line]
    with pytest.raises(NoResult, match="does not say which"):
        check_echo(read_echo(lines), SERIAL_86)


def test_a_duration_that_cannot_be_read_is_not_passed_over() -> None:
    log = text("trt-8.6").replace("Duration: 0s (+ 200ms warm up)", "Duration: forever")
    with pytest.raises(NoResult, match="`Duration: forever`"):
        check_echo(read_echo(log.splitlines()), SERIAL_86)


def test_only_sections_of_options_are_read() -> None:
    echo = read_echo(text("trt-10.3").splitlines())
    assert set(echo.sections) == {"Inference Options"}
    assert echo.inference("Selected Device") is None
    twice = read_echo(["=== Inference Options ===", "Streams: 1", "Streams: 9"])
    assert twice.inference("Streams") == "1"
