"""From blocks to the figures a reader quotes."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence

import numpy as np

from vitbench.records.schema import Block, Estimate
from vitbench.stats.robust import tukey_outliers
from vitbench.stats.runs import MIN_BLOCKS, run_interval
from vitbench.stats.tails import tail

NS_PER_MS = 1e6
NS_PER_S = 1e9
# What only requests that come one after the other have.
OF_ONE_REQUEST = ("latency_ms", "ci_low_ms", "ci_high_ms", "p90_ms", "p95_ms", "p99_ms")


def estimate(
    blocks: Sequence[Block], *, metric: str, batch: int, overlap: bool = False, lost: int = 0
) -> Estimate | None:
    """The estimate of a run from its blocks that count; None without blocks.

    Every figure is the median over the blocks of a figure of each block; raw iterations of several blocks are
    never pooled. From five blocks on the interval of the latency is t over the logarithms of the block
    medians; under five it is the hull of the blocks' own intervals, `within_process_only`, and None unless
    every block has one. `latency_paper_ms` is the median of the sums of an iteration's parts; tails are None
    unless every block has enough effective iterations. Where a tool told statistics of compute alone, that is
    `compute_ms`, the interval is of it, and there is no latency.

    Args:
        blocks: valid and invalid ones; beside a valid one the invalid are only counted, as replaced.
        metric: `latency` or `throughput`; the latter adds images per second, over the
            whole time of the iterations: slow ones count there as they do not in a median.
        batch: images a sample.
        overlap: whether samples are rounds of requests that overlap, which say nothing of a latency.
        lost: blocks that were lost with their link, counted as replaced.
    """
    used = blocks_that_count(blocks)
    if not used:
        return None
    found = _estimate(used, metric == "throughput", batch, len(blocks) - len(used) + lost)
    return found.model_copy(update=dict.fromkeys(OF_ONE_REQUEST)) if overlap else found


def blocks_that_count(blocks: Sequence[Block]) -> list[Block]:
    """The valid blocks; where there is none, all: a disturbed figure, told as one, beats no figure."""
    return [block for block in blocks if block.invalid is None] or list(blocks)


def _estimate(blocks: Sequence[Block], throughput: bool, batch: int, replaced: int) -> Estimate:
    medians = [block.median_ms for block in blocks]
    told = any(block.told is not None for block in blocks)
    latency = statistics.median(medians)
    low, high = _interval(blocks, medians)
    paper = _over_blocks(blocks, _paper_ms)
    outliers = [tukey_outliers(block.samples.total_ns) for block in blocks if block.told is None]
    rate, rate_low, rate_high = _throughput(blocks, batch) if throughput else (None, None, None)
    return Estimate(
        latency_ms=None if told else latency,
        ci_low_ms=low,
        ci_high_ms=high,
        h2d_ms=_over_blocks(blocks, lambda block: _median_ms(block.samples.h2d_ns)),
        compute_ms=latency
        if told
        else _over_blocks(blocks, lambda block: _median_ms(block.samples.compute_ns)),
        d2h_ms=_over_blocks(blocks, lambda block: _median_ms(block.samples.d2h_ns)),
        residual_ms=None if paper is None else latency - paper,
        latency_paper_ms=paper,
        throughput_img_s=rate,
        throughput_low_img_s=rate_low,
        throughput_high_img_s=rate_high,
        p90_ms=_over_blocks(blocks, lambda block: _tail_ms(block, 90)),
        p95_ms=_over_blocks(blocks, lambda block: _tail_ms(block, 95)),
        p99_ms=_over_blocks(blocks, lambda block: _tail_ms(block, 99)),
        load_ms=statistics.median(block.load_ms for block in blocks),
        first_inference_ms=statistics.median(block.first_inference_ms for block in blocks),
        peak_memory_mb=max(
            (block.peak_memory_mb for block in blocks if block.peak_memory_mb is not None), default=None
        ),
        outliers_mild=sum(count.mild for count in outliers),
        outliers_severe=sum(count.severe for count in outliers),
        iterations=sum(iterations(block) for block in blocks),
        blocks=len(blocks),
        blocks_steady=sum(bool(block.steady) for block in blocks),
        blocks_replaced=replaced,
        within_process_only=len(blocks) < MIN_BLOCKS,
    )


def iterations(block: Block) -> int:
    """Timed iterations of a block."""
    return len(block.samples.total_ns) if block.told is None else block.told.count


def _interval(blocks: Sequence[Block], medians: Sequence[float]) -> tuple[float | None, float | None]:
    if len(medians) >= MIN_BLOCKS:
        interval = run_interval(medians)
        return interval.low, interval.high
    widths = [block.ci_half_width for block in blocks if block.ci_half_width is not None]
    if len(widths) < len(medians):
        return None, None
    pairs = list(zip(medians, widths, strict=True))
    # An interval wider than its median says nothing of the lower side, and a time is positive.
    low = min(median * max(0.0, 1 - width) for median, width in pairs)
    return low, max(median * (1 + width) for median, width in pairs)


def _over_blocks(blocks: Sequence[Block], figure: Callable[[Block], float | None]) -> float | None:
    """Median over the blocks of a figure, None unless every block has it."""
    figures = [figure(block) for block in blocks]
    known = [value for value in figures if value is not None]
    return statistics.median(known) if len(known) == len(figures) else None


def _paper_ms(block: Block) -> float | None:
    samples = block.samples
    parts = (samples.h2d_ns, samples.compute_ns, samples.d2h_ns)
    if not all(parts):
        return None
    return float(np.median(np.sum(parts, axis=0))) / NS_PER_MS


def _median_ms(values_ns: Sequence[int]) -> float | None:
    return float(np.median(values_ns)) / NS_PER_MS if values_ns else None


def _tail_ms(block: Block, percentile: float) -> float | None:
    if block.told is not None:
        return None
    value_ns = tail(block.samples.total_ns, percentile)
    return None if value_ns is None else value_ns / NS_PER_MS


def _throughput(blocks: Sequence[Block], batch: int) -> tuple[float, float | None, float | None]:
    """Images per second and its interval: of each block, images over the whole time of its iterations."""
    rates = [batch * len(block.samples.total_ns) * NS_PER_S / sum(block.samples.total_ns) for block in blocks]
    if len(rates) < MIN_BLOCKS:
        return statistics.median(rates), None, None
    interval = run_interval(rates)
    return interval.median, interval.low, interval.high
