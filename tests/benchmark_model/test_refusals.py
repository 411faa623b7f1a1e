"""Everything that is no result, and what is said about it."""

from __future__ import annotations

import pytest

from tests.benchmark_model.texts import FAILED, text_of
from vitbench.benchmark_model.log import check_counts, parse
from vitbench.benchmark_model.refusals import NoResult, Reason
from vitbench.errors import ExitCode


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


def test_a_run_without_inferences_is_no_result() -> None:
    with pytest.raises(NoResult, match="no inference at all"):
        parse("INFO: count=1 curr=9\nINFO: count=0\nInference timings in us: Init: 1, Inference (avg): 0\n")
