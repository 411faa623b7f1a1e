"""Blocks of a device whose tool times whole series and tells statistics."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest

from benchmarks.example_records import change, example_record
from tests.measure.fakes import QUIET
from vitbench.errors import TargetUnreachable, ToolError
from vitbench.measure import conclude_pairs, make_plan, measure_cell, measure_pairs, notes_of
from vitbench.measure.block import OverLimit
from vitbench.measure.session import ToolSession
from vitbench.measure.take import COOLING_LIMIT_S
from vitbench.measure.tool_block import lengths
from vitbench.records.schema import Samples, Told

MS = 1_000_000


@dataclass
class FakeTool:
    """A phone: every series takes the same; `heat` is its thermal status at each probe, by number."""

    median_ns: int | None = 5 * MS
    avg_ns: int | None = 5 * MS
    heat: Callable[[int], int] = lambda probe: 0
    readings: Mapping[str, Any] = field(default_factory=dict)
    fail: Callable[[int], None] = lambda block: None
    series_asked: list[tuple[int, int]] = field(default_factory=list)
    probes: int = 0
    block: int = 0

    def expected_ns(self) -> int:
        return self.median_ns or self.avg_ns or 0

    def series(self, warmup: int, timed: int, limit_s: float) -> Any:
        self.fail(self.block)
        self.series_asked.append((warmup, timed))
        return FakeSeries(self._told(timed), self._told(warmup))

    def _told(self, count: int) -> Told:
        rest = {"min_ns": None, "max_ns": None, "std_ns": None, "p5_ns": None, "p95_ns": None}
        return Told(count=count, avg_ns=self.avg_ns, median_ns=self.median_ns, **rest)

    def probe(self) -> dict[str, Any]:
        status = self.heat(self.probes)
        self.probes += 1
        hot = {"hot": f"its thermal status is {status}, not 0"} if status else {}
        return {**QUIET, "thermal_status": status, **hot, **self.readings}

    @contextmanager
    def open(self, index: int) -> Iterator[ToolSession]:
        self.block = index
        yield self


@dataclass(frozen=True)
class FakeSeries:
    run: Told
    warmup: Told
    load_ns: int | None = 40 * MS
    first_inference_ns: int | None = 9 * MS
    peak_memory_mb: float | None = 12.5


def no_sleep(seconds: float) -> None: ...


def test_a_fake_tool_is_one() -> None:
    assert isinstance(FakeTool(), ToolSession)


def test_a_cell_has_compute_times_and_no_latency() -> None:
    tool = FakeTool()
    result = measure_cell(tool.open, make_plan("full"), sleep=no_sleep)
    assert (result.status, result.reasons) == ("valid", ())
    estimate = result.estimate
    assert estimate is not None
    assert (estimate.latency_ms, estimate.compute_ms) == (None, 5.0)
    assert (estimate.ci_low_ms, estimate.ci_high_ms) == pytest.approx((5.0, 5.0))
    assert (estimate.h2d_ms, estimate.d2h_ms, estimate.latency_paper_ms, estimate.p90_ms) == (None,) * 4
    assert estimate.iterations == 5 * tool.series_asked[0][1]
    assert (estimate.load_ms, estimate.first_inference_ms, estimate.peak_memory_mb) == (40.0, 9.0, 12.5)
    for block in result.blocks:
        assert block.steady is None
        assert block.samples.total_ns == block.warmup.total_ns == ()
        assert block.told is not None
        assert block.told_warmup is not None
        assert (block.told_warmup.count, block.told.count) == tool.series_asked[0]
        assert block.before.phone == {"thermal_status": 0}


def test_a_tool_without_a_median_is_taken_at_its_average() -> None:
    result = measure_cell(FakeTool(median_ns=None, avg_ns=7 * MS).open, make_plan("quick"), sleep=no_sleep)
    assert [block.median_ms for block in result.blocks] == [7.0, 7.0]


def test_a_tool_that_tells_neither_fails() -> None:
    class Mute(FakeTool):
        def expected_ns(self) -> int:
            return 5 * MS

    with pytest.raises(ToolError, match="neither a median nor an average"):
        measure_cell(Mute(median_ns=None, avg_ns=None).open, make_plan("quick"), sleep=no_sleep)


@pytest.mark.parametrize(
    ("preset", "iteration_ms", "expected"),
    [
        ("full", 1.0, (2000, 2000)),
        ("full", 100.0, (30, 200)),
        ("full", 1000.0, (9, 30)),
        ("full", 10_000.0, (9, 12)),
        ("pairs", 1.0, (2000, 500)),
        ("pairs", 100.0, (20, 20)),
        ("study", 1.0, (1000, 500)),
        ("quick", 100.0, (10, 5)),
        ("quick", 3000.0, (1, 1)),
    ],
)
def test_lengths_follow_the_plan(preset: Any, iteration_ms: float, expected: tuple[int, int]) -> None:
    assert lengths(make_plan(preset), iteration_ms * MS) == expected


def test_a_cell_that_would_take_too_long_is_not_measured() -> None:
    result = measure_cell(FakeTool().open, make_plan("full", cell_limit_s=1), sleep=no_sleep)
    assert result.blocks == ()
    assert "not measured" in result.reasons[0]
    assert OverLimit(1, 2, 3)


def test_a_rise_of_the_thermal_status_voids_the_block_and_another_is_taken() -> None:
    tool = FakeTool(heat=lambda probe: 1 if probe == 3 else 0)
    result = measure_cell(tool.open, make_plan("full"), sleep=no_sleep)
    assert [block.invalid for block in result.blocks].count(None) == 5
    assert result.blocks[1].invalid == "the thermal status of the phone rose from 0 to 1"
    assert result.status == "valid"


def test_a_hot_phone_is_waited_for_and_told_when_it_stays_hot() -> None:
    waits: list[float] = []
    tool = FakeTool(heat=lambda probe: 2)
    result = measure_cell(tool.open, make_plan("full"), sleep=waits.append)
    assert sum(waits) == 5 * COOLING_LIMIT_S
    assert "block 0 started while its thermal status is 2, not 0: it did not cool down" in result.reasons[0]


def test_a_phone_that_cools_down_is_measured_then() -> None:
    waits: list[float] = []
    tool = FakeTool(heat=lambda probe: 2 if probe < 4 else 0)
    result = measure_cell(tool.open, make_plan("full"), sleep=waits.append)
    assert len(waits) == 4
    assert result.status == "valid"


def test_a_tool_that_fails_costs_its_block_and_a_lost_link_is_replaced() -> None:
    def fail(block: int) -> None:
        if block == 1:
            raise ToolError("benchmark_model was cut short")
        if block == 2:
            raise TargetUnreachable("the link was lost", transient=True)

    result = measure_cell(FakeTool(fail=fail).open, make_plan("full"), sleep=no_sleep)
    assert [block.index for block in result.blocks] == [0, 3, 4, 5]
    assert result.status == "inconclusive"


def test_pairs_of_tools_compare_compute_times() -> None:
    first, second = FakeTool(median_ns=4 * MS), FakeTool(median_ns=5 * MS)
    plan = make_plan("pairs")
    result = measure_pairs((first.open, second.open), plan, value_is="compute", sleep=no_sleep)
    assert {round(pair.log_ratio, 6) for pair in result.pairs} == {0.223144}
    assert conclude_pairs(result, plan) == ("valid", ())


@dataclass(frozen=True)
class SampledSeries(FakeSeries):
    """A tool that tells every iteration; of five, one takes a tenth longer."""

    warnings: tuple[str, ...] = ("the tool is not content",)

    @property
    def samples(self) -> Samples:
        compute = tuple(4 * MS + (number % 5 == 4) * 4 * MS // 10 for number in range(self.run.count))
        copies = (MS // 2,) * len(compute)
        # Between the parts of an iteration there is a tenth of a millisecond.
        total = tuple(one + MS + MS // 10 for one in compute)
        return Samples(total_ns=total, h2d_ns=copies, compute_ns=compute, d2h_ns=copies)


@dataclass
class SampledTool(FakeTool):
    """A device whose tool tells samples."""

    def series(self, warmup: int, timed: int, limit_s: float) -> Any:
        told = super().series(warmup, timed, limit_s)
        return SampledSeries(told.run, told.warmup)


def test_samples_of_a_tool_make_a_latency_with_its_parts() -> None:
    tool = SampledTool()
    result = measure_cell(tool.open, make_plan("full"), sleep=no_sleep)
    assert (result.status, result.reasons) == ("valid", ())
    estimate = result.estimate
    assert estimate is not None
    assert (estimate.latency_ms, estimate.compute_ms) == (5.1, 4.0)
    assert (estimate.h2d_ms, estimate.d2h_ms, estimate.latency_paper_ms) == (0.5, 0.5, 5.0)
    assert estimate.residual_ms == pytest.approx(0.1)
    assert estimate.p90_ms == 5.5
    assert estimate.iterations == 5 * tool.series_asked[0][1]
    for block in result.blocks:
        assert block.told is None
        assert block.warmup.total_ns == ()
        assert block.steady is None
        assert block.ci_half_width == 0.0
        assert block.duration_s == pytest.approx(len(block.samples.total_ns) * 5.18e-3)
        assert block.warnings == ("the tool is not content",)


def test_throughput_of_a_tool_with_samples() -> None:
    result = measure_cell(SampledTool().open, make_plan("full"), metric="throughput", batch=8, sleep=no_sleep)
    assert result.estimate is not None
    assert result.estimate.throughput_img_s == pytest.approx(8 / 5.18e-3)


def test_the_protocol_of_the_paper_is_100_requests_however_long_one_takes() -> None:
    plan = make_plan("paper")
    assert plan.blocks == 5
    assert [lengths(plan, iteration_ms * MS)[1] for iteration_ms in (0.2, 5, 400, 3000)] == [100] * 4
    tool = SampledTool()
    result = measure_cell(tool.open, plan, sleep=no_sleep)
    assert tool.series_asked == [(40, 100)] * 5
    assert result.status == "valid"


def test_what_a_tool_warns_of_and_a_device_says_of_itself_is_noted() -> None:
    record = change(
        example_record(), environment={"facts": {"notes": ["it cannot hold layers"]}, "state": {}}
    )
    blocks = [
        record.blocks[0].model_copy(update={"warnings": told}) for told in (("unstable",), (), ("unstable",))
    ]
    assert notes_of(record, blocks) == ("it cannot hold layers", "unstable (2 of 3 blocks)")
