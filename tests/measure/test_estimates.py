"""From blocks to an estimate and a status."""

from __future__ import annotations

import numpy as np
import pytest

from tests.measure.fakes import block
from vitbench.measure.estimates import estimate
from vitbench.measure.plan import make_plan
from vitbench.measure.result import conclude
from vitbench.records.schema import Block, Samples
from vitbench.stats.runs import run_interval

FULL = make_plan("full")


def five(**changes: object) -> list[Block]:
    """Five blocks of 5.0 to 5.4 ms."""
    return [block(i, **{"median_ms": 5.0 + 0.1 * i, **changes}) for i in range(5)]


def test_the_latency_is_the_median_of_the_block_medians_and_its_interval_t_over_logarithms() -> None:
    found = estimate(five(), metric="latency", batch=1)
    expected = run_interval([5.0, 5.1, 5.2, 5.3, 5.4])
    assert found is not None
    assert found.latency_ms == pytest.approx(5.2)
    assert (found.ci_low_ms, found.ci_high_ms) == (pytest.approx(expected.low), pytest.approx(expected.high))
    assert not found.within_process_only
    assert (found.blocks, found.blocks_steady, found.blocks_replaced) == (5, 5, 0)
    assert found.iterations == 1000
    assert found.throughput_img_s is None


def test_parts_and_the_sum_that_papers_report() -> None:
    total = tuple(range(5_000_000, 5_000_200))
    parts = Samples(
        total_ns=total,
        h2d_ns=(100_000,) * 200,
        compute_ns=tuple(ns - 400_000 for ns in total),
        d2h_ns=(200_000,) * 200,
    )
    median_ms = float(np.median(total)) / 1e6
    found = estimate(
        [block(i, samples=parts, median_ms=median_ms) for i in range(5)], metric="latency", batch=1
    )
    assert found is not None
    assert found.h2d_ms == 0.1
    assert found.d2h_ms == 0.2
    assert found.compute_ms == pytest.approx(median_ms - 0.4)
    assert found.latency_paper_ms == pytest.approx(median_ms - 0.1)
    assert found.residual_ms == pytest.approx(0.1)


def test_parts_that_are_not_timed_are_none() -> None:
    found = estimate(five(), metric="latency", batch=1)
    assert found is not None
    assert (found.h2d_ms, found.compute_ms, found.d2h_ms) == (None, None, None)
    assert (found.latency_paper_ms, found.residual_ms) == (None, None)


def test_throughput_is_images_over_the_whole_time_slow_iterations_included() -> None:
    # Nine iterations of 5 ms and one of 55 ms: 8 x 10 images in 100 ms, whatever the median says.
    samples = Samples(total_ns=(5_000_000,) * 9 + (55_000_000,))
    found = estimate(five(samples=samples), metric="throughput", batch=8)
    assert found is not None
    assert found.throughput_img_s == pytest.approx(800.0)
    assert found.throughput_low_img_s == pytest.approx(800.0)
    assert found.throughput_high_img_s == pytest.approx(800.0)


def test_under_five_blocks_the_interval_is_within_processes_only() -> None:
    found = estimate(
        [block(0, median_ms=5.0, ci_half_width=0.01), block(1, median_ms=5.2, ci_half_width=0.02)],
        metric="latency",
        batch=1,
    )
    assert found is not None
    assert found.within_process_only
    assert found.ci_low_ms == pytest.approx(5.0 * 0.99)
    assert found.ci_high_ms == pytest.approx(5.2 * 1.02)


def test_a_block_without_an_interval_takes_it_from_a_short_run() -> None:
    found = estimate([block(0), block(1, ci_half_width=None)], metric="throughput", batch=1)
    assert found is not None
    assert (found.ci_low_ms, found.ci_high_ms) == (None, None)
    assert (found.throughput_low_img_s, found.throughput_high_img_s) == (None, None)
    assert found.throughput_img_s == pytest.approx(200)


def test_an_interval_wider_than_its_median_does_not_go_below_zero() -> None:
    found = estimate([block(0, ci_half_width=3.0)], metric="throughput", batch=1)
    assert found is not None
    assert found.ci_low_ms == 0
    assert found.throughput_high_img_s is None


def test_tails_are_medians_of_block_tails_and_need_every_block() -> None:
    rng = np.random.default_rng(0)
    long = [Samples(total_ns=tuple(rng.integers(4_900_000, 5_100_000, 900).tolist())) for _ in range(5)]
    blocks = [block(i, samples=samples) for i, samples in enumerate(long)]
    found = estimate(blocks, metric="latency", batch=1)
    assert found is not None
    assert found.p99_ms == pytest.approx(np.median([np.percentile(s.total_ns, 99) for s in long]) / 1e6)
    short = Samples(total_ns=long[0].total_ns[:150])
    found = estimate([*blocks[:4], block(4, samples=short)], metric="latency", batch=1)
    assert found is not None
    assert found.p99_ms is None
    assert found.p90_ms is not None


def test_outliers_are_counted_block_by_block() -> None:
    spiked = Samples(total_ns=((5_000_000,) * 50 + (5_100_000,) * 50 + (5_270_000, 9_000_000)))
    found = estimate([block(i, samples=spiked) for i in range(5)], metric="latency", batch=1)
    assert found is not None
    assert (found.outliers_mild, found.outliers_severe) == (5, 5)


def test_load_first_inference_and_memory() -> None:
    blocks = [
        block(i, load_ms=100.0 + i, first_inference_ms=9.0 + i, peak_memory_mb=memory)
        for i, memory in enumerate([60.0, None, 70.0, 65.0, 61.0])
    ]
    found = estimate(blocks, metric="latency", batch=1)
    assert found is not None
    assert (found.load_ms, found.first_inference_ms, found.peak_memory_mb) == (102.0, 11.0, 70.0)
    none = estimate([block(0, peak_memory_mb=None)], metric="latency", batch=1)
    assert none is not None
    assert none.peak_memory_mb is None


def test_invalid_blocks_are_counted_and_not_used() -> None:
    blocks = [*five(), block(5, median_ms=50.0, invalid="the device throttled")]
    found = estimate(blocks, metric="latency", batch=1, lost=2)
    clean = estimate(five(), metric="latency", batch=1, lost=3)
    assert found == clean
    assert estimate([], metric="latency", batch=1) is None


def test_where_every_block_is_disturbed_they_are_used_and_told() -> None:
    blocks = [block(index, median_ms=50.0, invalid="the device throttled") for index in range(5)]
    result = conclude(blocks, FULL)
    assert result.estimate is not None
    assert result.estimate.latency_ms == 50.0
    assert result.estimate.blocks_replaced == 0
    assert result.status == "inconclusive"
    assert "every block was disturbed, so the figures are of disturbed blocks" in result.reasons


def test_a_full_run_of_steady_narrow_blocks_is_valid() -> None:
    result = conclude(five(), FULL)
    assert (result.status, result.reasons) == ("valid", ())


@pytest.mark.parametrize(
    ("unsteady", "status"), [(0, "valid"), (1, "valid"), (2, "unsteady"), (5, "unsteady")]
)
def test_four_fifths_of_the_blocks_must_be_steady(unsteady: int, status: str) -> None:
    result = conclude([block(i, steady=i >= unsteady) for i in range(5)], FULL)
    assert result.status == status
    if status == "unsteady":
        assert result.reasons == (f"only {5 - unsteady} of 5 blocks warmed up to a steady state",)


def test_quick_is_never_valid() -> None:
    result = conclude([block(0), block(1)], make_plan("quick"))
    assert result.status == "inconclusive"
    assert result.reasons == ("a quick run is never valid",)


def test_a_missing_block_is_inconclusive() -> None:
    result = conclude(five()[:3], FULL, notes=("interrupted",))
    assert result.status == "inconclusive"
    assert result.reasons == ("only 3 of 5 blocks could be used", "interrupted")
    assert result.estimate is not None
    assert result.estimate.within_process_only


def test_nothing_at_all_is_inconclusive() -> None:
    result = conclude([], FULL)
    assert result.status == "inconclusive"
    assert result.estimate is None


def test_slow_blocks_that_miss_the_width_are_inconclusive_with_what_they_reached() -> None:
    result = conclude(five(median_ms=400.0, ci_half_width=0.034), FULL)
    assert result.status == "inconclusive"
    assert result.reasons == ("5 of 5 blocks ended at a cap within 3.40%, not within 1.00%",)
    assert conclude(five(median_ms=400.0, ci_half_width=0.01), FULL).status == "valid"
    without = conclude(five(median_ms=400.0, ci_half_width=None), FULL)
    assert without.reasons == ("5 of 5 blocks ended at a cap without an interval, not within 1.00%",)


def test_one_wide_slow_block_of_five_is_tolerated() -> None:
    blocks = [block(i, median_ms=400.0, ci_half_width=0.03 if i == 0 else 0.01) for i in range(5)]
    assert conclude(blocks, FULL).reasons == ()


def test_fast_blocks_that_miss_the_width_are_told() -> None:
    result = conclude(five(ci_half_width=0.02), FULL)
    assert result.status == "valid"
    assert result.reasons == ("5 of 5 blocks ended at a cap within 2.00%, not within 1.00%",)


def test_fewer_blocks_on_request_can_be_valid_but_say_so() -> None:
    result = conclude([block(0), block(1)], make_plan("full", blocks=2))
    assert result.status == "valid"
    assert result.estimate is not None
    assert result.estimate.within_process_only
