"""Run one block where a tool of the device times a whole series and tells of it: samples, or statistics."""

from __future__ import annotations

import math
import statistics
from datetime import UTC, datetime
from typing import Any

from vitbench.errors import ToolError
from vitbench.measure.block import Setting, refuse_what_takes_too_long
from vitbench.measure.plan import Pace, timed_pace, warmup_pace
from vitbench.measure.session import Readings, Sampled, Series, ToolSession
from vitbench.measure.witness import judge
from vitbench.records.schema import Block, Plan, Samples, Told
from vitbench.stats.blocks import block_interval

NS_PER_S = 1e9
NS_PER_MS = 1e6
# Nobody sees when such a warm-up is steady: it takes this long, where the plan's cap allows it.
WARMUP_S = 2.0
# The tool is given up after so many times what its iterations should take, and then some.
MARGIN = 10
SPARE_S = 60.0


def run_tool_block(session: ToolSession, before: Readings, setting: Setting) -> Block:
    """Run one series of exact length, and judge the witnesses.

    Args:
        session: a device with its model in place.
        before: readings taken just before.
        setting: the plan and what else the block must know.

    Raises:
        ToolError: the tool failed, or tells nothing to be trusted.
        TargetUnreachable: the link was lost.
        OverLimit: it is the first block, and the cell would take too long.
    """
    expected_ns = session.expected_ns()
    if setting.index == 0:
        refuse_what_takes_too_long(setting.plan, expected_ns / NS_PER_S, 0.0)
    warmup, timed = lengths(setting.plan, expected_ns)
    limit_s = MARGIN * (warmup + timed) * expected_ns / NS_PER_S + SPARE_S
    started = datetime.now(UTC).isoformat(timespec="milliseconds")
    series = session.series(warmup, timed, limit_s)
    after = session.probe()
    judged = judge(before, after, threads=setting.threads, clock_max_mhz=setting.clock_max_mhz)
    figures = _figures(series, setting.plan, timed)
    first_ns = series.first_inference_ns
    return Block(
        index=setting.index,
        started_utc=started,
        steady=None,
        warmup=Samples(total_ns=()),
        load_ms=(series.load_ns or 0) / NS_PER_MS,
        first_inference_ms=figures["median_ms"] if first_ns is None else first_ns / NS_PER_MS,
        peak_memory_mb=series.peak_memory_mb,
        warnings=series.warnings if isinstance(series, Sampled) else (),
        before=judged.before,
        after=judged.after,
        invalid=judged.invalid,
        **figures,
    )


def _figures(series: Series, plan: Plan, timed: int) -> dict[str, Any]:
    """The fields of a block that say how long its iterations took: of samples where the tool tells them."""
    samples = series.samples if isinstance(series, Sampled) else None
    if samples is None:
        return _of_statistics(series, timed)
    total_ns = samples.total_ns
    window = timed_pace(plan, statistics.median(total_ns)).window
    interval = block_interval(total_ns, window)
    return {
        "duration_s": sum(total_ns) / NS_PER_S,
        "samples": samples,
        "batch_iterations": interval.batch,
        "median_ms": interval.median / NS_PER_MS,
        "ci_half_width": interval.half_width,
    }


def _of_statistics(series: Series, timed: int) -> dict[str, Any]:
    told, told_warmup = series.run, series.warmup
    return {
        "duration_s": _seconds(told) + (_seconds(told_warmup) if told_warmup else 0.0),
        "samples": Samples(total_ns=()),
        "batch_iterations": timed,
        "median_ms": _middle_ns(told) / NS_PER_MS,
        "ci_half_width": None,
        "told": told,
        "told_warmup": told_warmup,
    }


def lengths(plan: Plan, iteration_ns: float) -> tuple[int, int]:
    """How many iterations warm up, and how many are timed.

    Args:
        plan: how much is sampled.
        iteration_ns: what one iteration takes.
    """
    warm = warmup_pace(plan, iteration_ns)
    return (
        _iterations(warm, max(warm.min_s, min(warm.cap_s, WARMUP_S)), iteration_ns),
        _iterations(timed_pace(plan, iteration_ns), timed_pace(plan, iteration_ns).min_s, iteration_ns),
    )


def _iterations(pace: Pace, seconds: float, iteration_ns: float) -> int:
    """Enough for the minima and so many seconds, within the caps; at least 1."""
    wanted = max(pace.min_iterations, math.ceil(seconds * NS_PER_S / iteration_ns))
    return max(1, min(wanted, pace.max_iterations, int(pace.cap_s * NS_PER_S / iteration_ns)))


def _middle_ns(told: Told) -> int:
    """The median; the average where the tool tells no median."""
    middle = told.avg_ns if told.median_ns is None else told.median_ns
    if not middle:
        raise ToolError("benchmark_model told neither a median nor an average", "use a newer build of it")
    return middle


def _seconds(told: Told) -> float:
    """How long a series took."""
    average = told.median_ns if told.avg_ns is None else told.avg_ns
    return told.count * (average or 0) / NS_PER_S
