"""The result of one timed run: what trtexec printed and the file it wrote, checked and as one."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from vitbench.benchmark_model.lines import split, together
from vitbench.benchmark_model.refusals import last_lines
from vitbench.records.schema import Samples, Told
from vitbench.transport.base import Completed
from vitbench.trtexec.echo import check_echo
from vitbench.trtexec.log import Caution, ToolLog, Warned, parse
from vitbench.trtexec.refusals import NoResult, Reason
from vitbench.trtexec.summary import PRINTED, Statistics, Summary
from vitbench.trtexec.times import Times, read_times
from vitbench.trtexec.timing import Timing

NS_PER_MS = 1e6
# Requests in flight when the warm-up ends, and when the run does, are counted to one side or the other.
IN_FLIGHT = 4
TEXTS = {
    Warned.ENQUEUE: "trtexec: the host may be too slow to keep the GPU busy (bound by enqueueing)",
    Warned.H2D: "trtexec: throughput may be bound by the copies in",
    Warned.D2H: "trtexec: throughput may be bound by the copies out",
    Warned.UNSTABLE: "trtexec: the GPU's compute time is unstable; its clocks may not be locked",
    Warned.NO_GRAPH: "trtexec: the CUDA graph could not be captured",
    Warned.ERRORS: "trtexec: it reported errors, though it passed",
}
NO_TIMES = "trtexec left no file of times: figures are of its summary, of computing alone"


@dataclass(frozen=True)
class TimedRun:
    """What one block needs of a run.

    `run` is of the compute part alone. `samples` are None where trtexec wrote no file of them: then `source`
    is `text`. `load_ns` is the loading of the engine.
    """

    run: Told
    samples: Samples | None
    load_ns: int | None
    warnings: tuple[str, ...]
    log: ToolLog
    source: Literal["times", "text"]
    warmup: Told | None = None
    first_inference_ns: int | None = None
    peak_memory_mb: float | None = None


def read_result(done: Completed, timing: Timing, times: str | None = None) -> TimedRun:
    """Read one run, which was asked for exactly this timing.

    Args:
        done: the run.
        timing: what was asked for.
        times: content of the file of `--exportTimes`; None where there is none.

    Raises:
        NoResult: there is no result to be trusted: it failed, timed something else, was cut short, or its
            accounts differ.
    """
    text = together(done.stdout, done.stderr, done.returncode)
    log = parse(text, returncode=done.returncode)
    check_echo(log.echo, timing, tail=_tail(text))
    if log.summary is None:
        raise _truncated("trtexec passed, but printed no figures", text)
    _check_count(log.queries, timing.iterations, text)
    _check_parts(log.summary, timing, log.warnings)
    found = None if times is None else read_times(times, last=log.queries)
    if found is not None:
        _check_same(found, log.summary, text)
    warnings = tuple(TEXTS[caution.kind] for caution in log.warnings)
    return TimedRun(
        run=_told(log.summary.compute, log.queries or 0) if found is None else _told_of(found.compute_ns),
        samples=None if found is None else _samples(found, timing),
        load_ns=None if log.loaded_s is None else round(log.loaded_s * 1e9),
        warnings=warnings if found is not None else (*warnings, NO_TIMES),
        log=log,
        source="text" if found is None else "times",
    )


def sum_of_parts_ms(result: TimedRun) -> float:
    """What trtexec calls latency: the median over requests of copy in, computing and copy out, in ms."""
    if result.samples is None:
        return _summary(result).latency.median_ms
    samples = result.samples
    sums = map(sum, zip(samples.h2d_ns, samples.compute_ns, samples.d2h_ns, strict=True))
    return statistics.median(sums) / NS_PER_MS


def _summary(result: TimedRun) -> Summary:
    assert result.log.summary is not None  # read_result sees to it
    return result.log.summary


def _check_count(queries: int | None, wanted: int, text: str) -> None:
    if queries is None:
        raise _truncated("trtexec does not say how many requests it timed", text)
    if queries < max(1, wanted - IN_FLIGHT):
        message = f"trtexec timed {queries} of {wanted} requests"
        raise NoResult(Reason.CUT_SHORT, message, "run it again", tail=_tail(text))


def _check_parts(summary: Summary, timing: Timing, warnings: Sequence[Caution]) -> None:
    """Refuse figures that belie the echoed options: no copies, or copies that were to be left out."""
    copied = summary.h2d.median_ms > 0
    if copied != timing.transfers:
        told = "took no time" if timing.transfers else "took time"
        wanted = "were to be timed" if timing.transfers else "were to be left out"
        raise NoResult(
            Reason.OTHER_OPTIONS,
            f"the copies in {told}, though they {wanted}",
            "this version takes its flags in another way: its figures are not used",
        )
    if timing.cuda_graph and any(warning.kind is Warned.NO_GRAPH for warning in warnings):
        raise NoResult(
            Reason.OTHER_OPTIONS,
            "trtexec could not capture the CUDA graph that was asked for, and went on without",
            "set `cuda_graph = false` in the target's options",
        )


def _check_same(times: Times, summary: Summary, text: str) -> None:
    """Refuse a file of times that is of another run than the log."""
    sums = [sum(parts) for parts in zip(times.h2d_ns, times.compute_ns, times.d2h_ns, strict=True)]
    pairs = (
        (statistics.fmean(sums), summary.latency.mean_ms),
        (statistics.fmean(times.compute_ns), summary.compute.mean_ms),
        (max(times.compute_ns), summary.compute.max_ms),
    )
    if not all(math.isclose(one / NS_PER_MS, other, rel_tol=PRINTED) for one, other in pairs):
        raise NoResult(
            Reason.CONTRADICTORY,
            "trtexec's file of times is of another run than its log",
            "an earlier run left the file there: run trtexec again",
            tail=_tail(text),
        )


def _samples(times: Times, timing: Timing) -> Samples:
    """Requests as samples. One that overlaps others waits for them, which no user would: its parts count."""
    parts = {"h2d_ns": times.h2d_ns, "compute_ns": times.compute_ns, "d2h_ns": times.d2h_ns}
    sums = tuple(map(sum, zip(*parts.values(), strict=True)))
    return Samples(total_ns=sums if timing.overlap else times.total_ns, **parts)


def _told(line: Statistics, count: int) -> Told:
    """Statistics of a line of the summary."""
    return Told(
        count=count,
        min_ns=_ns(line.min_ms),
        max_ns=_ns(line.max_ms),
        avg_ns=_ns(line.mean_ms),
        std_ns=None,
        p5_ns=None,
        median_ns=_ns(line.median_ms),
        p95_ns=_ns(line.percentiles[95.0]) if 95.0 in line.percentiles else None,
    )


def _told_of(values_ns: Sequence[int]) -> Told:
    """Statistics of samples; percentiles are left to who has the samples."""
    return Told(
        count=len(values_ns),
        min_ns=min(values_ns),
        max_ns=max(values_ns),
        avg_ns=round(statistics.fmean(values_ns)),
        std_ns=round(statistics.pstdev(values_ns)),
        p5_ns=None,
        median_ns=round(statistics.median(values_ns)),
        p95_ns=None,
    )


def _truncated(message: str, text: str) -> NoResult:
    hint = "give the whole output, both streams"
    return NoResult(Reason.TRUNCATED, message, hint, tail=_tail(text))


def _tail(text: str) -> str:
    return last_lines(split(text).all)


def _ns(value_ms: float) -> int:
    return round(value_ms * NS_PER_MS)
