"""What `benchmark_model` prints, from TensorFlow 1.12 to LiteRT: figures, or why there are none."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from vitbench.benchmark_model import delegates, summary
from vitbench.benchmark_model.counts import CountLine, read_count_line
from vitbench.benchmark_model.delegates import Delegate
from vitbench.benchmark_model.lines import Lines, split
from vitbench.benchmark_model.memory import peak_memory_mb
from vitbench.benchmark_model.refusals import NoResult, Reason, diagnose, explain_silence, last_lines
from vitbench.benchmark_model.summary import Summary

Form = Literal["average", "timings", "litert", "unclosed"]

# Averages are printed with six digits, so that the same one may differ by this much between two lines.
PRINTED = 2e-5
# LiteRT's closing block has two decimals of a millisecond.
BLOCK_US = 5.1


@dataclass(frozen=True)
class ToolLog:
    """What one run of the tool told. Times in microseconds.

    A log that somebody filtered may tell of the warm-up only what the closing line does, or of the run: then
    the count is None, and most figures are. `form` is how the text closes: `average` (TF 1.x
    to 2.0), `timings`, `litert` (a block of lines), or `unclosed`.
    """

    run: CountLine
    warmup: CountLine
    init_us: float | None
    first_inference_us: float | None
    delegate: Delegate | None
    peak_memory_mb: float | None
    form: Form


def parse(text: str, *, returncode: int | None = None, closed: bool = False) -> ToolLog:
    """Read the output of one run.

    The first count line is the warm-up, the second the run; what a profile counts is none. Figures come from
    whole lines only, and the closing line must agree with them.

    Args:
        text: what the tool printed, both streams: see `vitbench.benchmark_model.lines.together`.
        returncode: exit status of the tool, None where unknown.
        closed: the tool is known to have come to its end, so that the closing line may be missing.

    Raises:
        NoResult: the run failed, the text is cut or holds several runs, or contradicts itself.
    """
    lines = split(text)
    if (failure := diagnose(lines.all, returncode)) is not None:
        raise failure
    counted = [line for line in map(read_count_line, lines.whole) if line is not None]
    closings = summary.find(lines)
    tail = last_lines(lines.all)
    if len(counted) > 2 or len(closings) > 1:
        hint = "give the log of one run alone (`adb logcat -c` before it)"
        raise NoResult(Reason.AMBIGUOUS, "the log holds several runs of benchmark_model", hint, tail=tail)
    closing = closings[0] if closings else None
    series = _series(counted, closing)
    if series is None or (closing is None and not closed):
        raise explain_silence(lines.all) or _incomplete(lines, len(counted), closing)
    warmup, run = series
    if run.count == 0:
        message = "benchmark_model ran no inference at all"
        raise NoResult(Reason.FAILED, message, "ask for more runs", tail=tail)
    for what, line in (("warm-up", warmup), ("run", run)):
        _check_sense(what, line, tail)
    if closing is not None:
        _check_agreement(closing, warmup, run, tail)
    return ToolLog(
        run=run,
        warmup=warmup,
        init_us=summary.init_us(lines, closing),
        first_inference_us=warmup.first_us,
        delegate=delegates.find(lines.whole),
        peak_memory_mb=peak_memory_mb(lines.whole),
        form=closing.form if closing else "unclosed",
    )


def check_counts(log: ToolLog, num_runs: int) -> None:
    """Check that the run had at least as many inferences as were asked for.

    Raises:
        NoResult: it had fewer, because its time was up first; or it does not tell how many.
    """
    check_count(log.run.count, num_runs)


def check_count(count: int | None, num_runs: int) -> None:
    """The same for a count from elsewhere."""
    if count is None:
        hint = "give the whole output, with its lines that begin with `count=`"
        raise NoResult(Reason.TRUNCATED, "the log does not tell how many inferences were timed", hint)
    if count < num_runs:
        raise NoResult(
            Reason.CUT_SHORT,
            f"benchmark_model timed {count} of {num_runs} inferences: its time was up (--max_secs)",
            "allow it more time, or ask for fewer inferences",
        )


def _series(counted: Sequence[CountLine], closing: Summary | None) -> tuple[CountLine, CountLine] | None:
    """Warm-up and run; None where the text does not hold them.

    People filter logs. The closing line alone gives averages without their counts, and vouches for a single
    count line that has its average of the run, and not that of the warm-up.
    """
    if len(counted) == 2:
        return counted[0], counted[1]
    if closing is None or closing.form == "litert":
        return None
    warmup = CountLine(count=None, first_us=closing.first_us, avg_us=closing.warmup_us)
    if not counted:
        return (warmup, CountLine(count=None, avg_us=closing.inference_us)) if closing.whole else None
    (line,) = counted
    averages = (closing.inference_us, closing.warmup_us)
    of_run, of_warmup = (_is_close(average, line.avg_us) for average in averages)
    return (warmup, line) if of_run and not of_warmup else None


def _incomplete(lines: Lines, counted: int, closing: Summary | None) -> NoResult:
    """The error of an output in which nothing failed, but of which a part is missing."""
    hint = "it crashed, was killed, or the link was lost: run it again"
    if not any(line.strip() for line in lines.all):
        message = "benchmark_model printed nothing"
    elif closing is not None and counted < 2:
        message = "the output of benchmark_model lacks its lines that begin with `count=`"
        hint = "give the whole output, both streams"
    else:
        where = ("before anything was timed", "in the run", "before its last line")[counted]
        message = f"the output of benchmark_model stops {where}"
    return NoResult(Reason.TRUNCATED, message, hint, tail=last_lines(lines.all))


def _check_sense(what: str, line: CountLine, tail: str) -> None:
    """Refuse figures that cannot be: an average outside of its extremes, or percentiles out of order."""
    ordered = _known(line.min_us, line.p5_us, line.median_us, line.p95_us, line.max_us)
    inside = _known(line.first_us, line.curr_us, line.avg_us)
    lowest = 0.0 if line.min_us is None else line.min_us
    highest = math.inf if line.max_us is None else line.max_us
    if (
        all(math.isfinite(value) and value >= 0 for value in (*ordered, *inside, *_known(line.std_us)))
        and ordered == sorted(ordered)
        and all(lowest * (1 - PRINTED) <= value <= highest * (1 + PRINTED) for value in inside)
    ):
        return
    message = f"the figures of the {what} contradict each other"
    raise NoResult(Reason.CONTRADICTORY, message, "the log is damaged: run benchmark_model again", tail=tail)


def _is_close(one: float | None, other: float | None, slack_us: float = 0.0) -> bool:
    """Whether two figures are known, and the same as far as they are printed."""
    if one is None or other is None:
        return False
    return math.isclose(one, other, rel_tol=PRINTED, abs_tol=slack_us)


def _known(*values: float | None) -> list[float]:
    return [value for value in values if value is not None]


def _check_agreement(closing: Summary, warmup: CountLine, run: CountLine, tail: str) -> None:
    """Refuse a closing line that is not of these count lines, or that was cut within a number."""
    slack_us = BLOCK_US if closing.form == "litert" else 0.0
    pairs: list[tuple[float | None, float | None]] = [(closing.inference_us, run.avg_us)]
    if warmup.count:
        pairs += [(closing.warmup_us, warmup.avg_us), (closing.first_us, warmup.first_us)]
    counts = [(closing.count, run.count), (closing.warmup_count, warmup.count)]
    same = all(told is None or line is None or _is_close(told, line, slack_us) for told, line in pairs)
    if same and all(told is None or told == count for told, count in counts):
        return
    message = "the closing line of benchmark_model does not agree with its count lines"
    hint = "the log is cut, or mixes several runs: run benchmark_model again"
    raise NoResult(Reason.CONTRADICTORY, message, hint, tail=tail)
