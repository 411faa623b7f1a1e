"""The result of one run: what the tool printed and what it wrote to its file, checked and as one."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from vitbench.benchmark_model.counts import CountLine
from vitbench.benchmark_model.delegates import Delegate
from vitbench.benchmark_model.lines import split, together
from vitbench.benchmark_model.log import Form, ToolLog, check_count, parse
from vitbench.benchmark_model.proto import ProtoResult, read_proto
from vitbench.benchmark_model.refusals import NoResult, Reason, last_lines
from vitbench.records.schema import Told
from vitbench.transport.base import Completed

# How far the two accounts of one run may differ: the text has six digits, the file 24 bits, and LiteRT's
# file may have been rounded on its way.
AGREE = 1e-4
AGREE_NS = 2000


@dataclass(frozen=True)
class ToolResult:
    """What one block needs of a run. `load_ns` is the making of the interpreter, model and delegate included.

    `median_ns` of `run` is None for tools before TensorFlow 2.20 that write no result file: those tell the
    average alone. The tool measures whole microseconds; its median of an even number is the upper of the
    middle two. `source` says which account the times are from.
    """

    run: Told
    warmup: Told | None
    load_ns: int | None
    first_inference_ns: int | None
    peak_memory_mb: float | None
    delegate: Delegate | None
    form: Form
    source: Literal["proto", "text"]


def read_result(done: Completed, *, num_runs: int, result_file: bytes | None = None) -> ToolResult:
    """Read one run of the tool, which was asked for exactly `num_runs` inferences.

    Args:
        done: the run.
        result_file: content of the file it wrote; None where the build writes none.

    Raises:
        NoResult: there is no result to be trusted: it failed, or was cut short, or its accounts differ.
    """
    text = together(done.stdout, done.stderr, done.returncode)
    # Written at the very end: with it, a closing line that went elsewhere is not missed.
    told = None if result_file is None else _proto(result_file, text, done.returncode)
    log = parse(text, returncode=done.returncode, closed=told is not None)
    check_count(log.run.count, num_runs)
    if told is None:
        return _from_text(log)
    check_count(told.num_runs, num_runs)
    result = _from_proto(told, log)
    _check_same(_from_text(log), result, text)
    return result


def _proto(content: bytes, text: str, returncode: int) -> ProtoResult:
    """The result file; where the run itself failed, that is the better reason than a bad file."""
    try:
        return read_proto(content)
    except NoResult:
        parse(text, returncode=returncode)
        raise


def _from_text(log: ToolLog) -> ToolResult:
    warmup = None if log.warmup.count is None else _statistics(log.warmup)
    return ToolResult(
        run=_statistics(log.run),
        warmup=warmup,
        load_ns=_from_us(log.init_us),
        first_inference_ns=_from_us(log.first_inference_us),
        peak_memory_mb=log.peak_memory_mb,
        delegate=log.delegate,
        form=log.form,
        source="text",
    )


def _statistics(line: CountLine) -> Told:
    return Told(
        count=line.count or 0,
        min_ns=_from_us(line.min_us),
        max_ns=_from_us(line.max_us),
        avg_ns=_from_us(line.avg_us),
        std_ns=_from_us(line.std_us),
        p5_ns=_from_us(line.p5_us),
        median_ns=_from_us(line.median_us),
        p95_ns=_from_us(line.p95_us),
    )


def _from_proto(told: ProtoResult, log: ToolLog) -> ToolResult:
    text = _from_text(log)
    run = Told(
        count=told.num_runs,
        min_ns=_whole_us(told.min_ms),
        max_ns=_whole_us(told.max_ms),
        avg_ns=_from_us(None if told.avg_ms is None else told.avg_ms * 1000),
        std_ns=_whole_us(told.std_ms),
        p5_ns=_whole_us(told.p5_ms),
        median_ns=_whole_us(told.median_ms),
        p95_ns=_whole_us(told.p95_ms),
    )
    return ToolResult(
        run=run,
        warmup=text.warmup,
        load_ns=_either(_whole_us(told.init_ms), text.load_ns),
        first_inference_ns=_whole_us(told.first_inference_ms) if told.num_warmup_runs != 0 else None,
        peak_memory_mb=told.peak_memory_mb or text.peak_memory_mb,
        delegate=text.delegate,
        form=text.form,
        source="proto",
    )


def _check_same(text: ToolResult, proto: ToolResult, output: str) -> None:
    """Refuse a file that tells of another run than the text: one that an earlier run left behind."""
    pairs = (
        (text.run.avg_ns, proto.run.avg_ns),
        (text.run.median_ns, proto.run.median_ns),
        (text.run.max_ns, proto.run.max_ns),
    )
    same = text.run.count == proto.run.count and all(
        one is None or other is None or math.isclose(one, other, rel_tol=AGREE, abs_tol=AGREE_NS)
        for one, other in pairs
    )
    if not same:
        raise NoResult(
            Reason.CONTRADICTORY,
            "the result file of benchmark_model is of another run than its output",
            "an earlier run left the file there: run benchmark_model again",
            tail=last_lines(split(output).all),
        )


def _from_us(value: float | None) -> int | None:
    return None if value is None else round(value * 1000)


def _whole_us(value_ms: float | None) -> int | None:
    """A figure that the tool has in whole microseconds, out of a float32 in milliseconds."""
    return None if value_ms is None else round(value_ms * 1000) * 1000


def _either(first: int | None, second: int | None) -> int | None:
    return second if first is None else first
