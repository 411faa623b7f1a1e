"""A run as a whole: log, echoed options and file of times."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from vitbench.transport.base import Completed
from vitbench.trtexec.cross_check import cross_check
from vitbench.trtexec.refusals import NoResult, Reason
from vitbench.trtexec.result import NO_TIMES, read_result, sum_of_parts_ms
from vitbench.trtexec.timing import Timing, warmup_ms

LOG = (Path(__file__).parent / "logs" / "trt-8.6.log").read_text()
SERIAL = Timing(iterations=120, warmup_ms=200)
# As the log has it: copy in 4.1 ms, computing 1.1 ms, copy out 1.5 ms.
ROW = (
    '{ "startEnqMs" : 1, "endEnqMs" : 1, "startH2dMs" : 300, "endH2dMs" : 304.1, "startComputeMs" : 304.2, '
    '"endComputeMs" : %s, "startD2hMs" : 305.3, "endD2hMs" : 306.8, "h2dMs" : 4.1, "computeMs" : %s, '
    '"d2hMs" : 1.5, "latencyMs" : 6.7 }'
)


def times(*compute_ms: float) -> str:
    return f"[ {', '.join(ROW % (304.2 + one, one) for one in compute_ms)} ]"


# 118 requests of 1.1 ms but for one that is as long as the longest of the log.
TIMES = times(*[1.1] * 59, 1.6, 0.6, *[1.1] * 59)


def refused(log: str, timing: Timing = SERIAL, file: str | None = TIMES, code: int = 0) -> NoResult:
    with pytest.raises(NoResult) as caught:
        read_result(Completed(code, log, ""), timing, file)
    assert caught.value.hint
    return caught.value


def test_samples_are_preferred() -> None:
    found = read_result(Completed(0, LOG, ""), SERIAL, TIMES)
    assert found.source == "times"
    assert found.samples is not None
    assert len(found.samples.total_ns) == found.run.count == 120
    # 306.8 - 300 ms, of which 6.7 are parts.
    assert found.samples.total_ns[0] == pytest.approx(6_800_000, abs=2000)
    assert found.run.median_ns == 1_100_000
    assert found.load_ns == 21_300_000
    assert sum_of_parts_ms(found) == pytest.approx(6.7)
    assert NO_TIMES not in found.warnings
    assert len(found.warnings) == 3


def test_requests_that_overlap_count_by_their_parts() -> None:
    log = LOG.replace("ExposeDMA: Enabled", "ExposeDMA: Disabled")
    found = read_result(Completed(0, log, ""), replace(SERIAL, overlap=True), TIMES)
    assert found.samples is not None
    assert found.samples.total_ns[0] == 6_700_000


def test_without_the_file_the_summary_tells_of_computing() -> None:
    found = read_result(Completed(0, LOG, ""), SERIAL, None)
    assert (found.source, found.samples) == ("text", None)
    assert (found.run.count, found.run.median_ns, found.run.p95_ns) == (120, 1_080_000, 1_400_000)
    assert found.warnings[-1] == NO_TIMES
    assert sum_of_parts_ms(found) == 6.68


@pytest.mark.parametrize(
    ("file", "reason"),
    [
        (times(*[1.1] * 119), Reason.CONTRADICTORY),
        (times(*[1.2] * 120), Reason.CONTRADICTORY),
        (times(*[1.1] * 120), Reason.CONTRADICTORY),
        (TIMES[:-40], Reason.MALFORMED),
    ],
)
def test_a_file_of_another_run(file: str, reason: Reason) -> None:
    assert refused(LOG, file=file).reason is reason


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("Data transfers: Enabled", "Data transfers: Disabled", Reason.OTHER_OPTIONS),
        ("CUDA Graph: Disabled", "CUDA Graph: Enabled", Reason.OTHER_OPTIONS),
        ("&&&& PASSED", "&&&& WAIVED", Reason.TRUNCATED),
        ("&&&& PASSED", "&&&& FAILED", Reason.FAILED),
        ("Timing trace has 120", "Timing trace has 90", Reason.CUT_SHORT),
        ("Timing trace has", "Traced", Reason.TRUNCATED),
    ],
)
def test_no_result(old: str, new: str, reason: Reason) -> None:
    assert old in LOG
    assert refused(LOG.replace(old, new)).reason is reason


def test_requests_in_flight_when_the_warm_up_ends_are_missing() -> None:
    log = LOG.replace("Iterations: 120", "Iterations: 122").replace("iterations=120", "iterations=122")
    assert read_result(Completed(0, log, ""), replace(SERIAL, iterations=122), TIMES).run.count == 120


def test_copies_that_were_asked_for_and_took_no_time() -> None:
    h2d = next(line for line in LOG.splitlines() if "H2D Latency" in line)
    none = "[I]H2D Latency: min = 0 ms, max = 0 ms, mean = 0 ms, median = 0 ms"
    log = LOG.replace(h2d, none).replace("mean = 6.7 ms, median = 6.68 ms", "mean = 2.6 ms, median = 2.6 ms")
    log = log.replace("min = 6.5 ms, max = 7.4 ms", "min = 2.4 ms, max = 7.4 ms")
    error = refused(log, file=None)
    assert error.reason is Reason.OTHER_OPTIONS
    assert "the copies in took no time" in error.message


def test_a_graph_that_was_not_captured() -> None:
    log = LOG.replace("CUDA Graph: Disabled", "CUDA Graph: Enabled").replace(
        "&&&& PASSED", "[W] The specified --useCudaGraph flag has been ignored.\n&&&& PASSED"
    )
    error = refused(log, replace(SERIAL, cuda_graph=True))
    assert "could not capture the CUDA graph" in error.message


def test_figures_without_a_summary() -> None:
    log = "\n".join(line for line in LOG.splitlines() if "min =" not in line)
    assert refused(log, file=None).reason is Reason.TRUNCATED


def test_both_streams_are_read() -> None:
    done = Completed(1, LOG.split("[09/10/2024-11:00:01]")[0], "[E] [TRT] out of memory\n")
    with pytest.raises(NoResult, match="ran out of memory"):
        read_result(done, SERIAL)


def test_the_warm_up_in_whole_milliseconds() -> None:
    assert warmup_ms(100, 1_234_567) == 124
    assert warmup_ms(0, 5) == 0


@pytest.mark.parametrize(("ours", "theirs", "agree"), [(1.04, 1, True), (1.06, 1, False), (0.94, 1, False)])
def test_the_second_opinion(ours: float, theirs: float, agree: bool) -> None:
    told = cross_check(ours, theirs)
    assert (told is None) is agree
    if told is not None:
        assert "trtexec disagrees" in told
        assert "5%" in told


def test_a_second_opinion_on_nothing() -> None:
    assert cross_check(0, 1)
    assert cross_check(1, 0)
