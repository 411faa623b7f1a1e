"""Paired comparisons: order, replacement, crashes, lost links, Ctrl-C, and what the ratio is worth."""

from __future__ import annotations

import math
import random
from collections.abc import Callable

import pytest

from tests.measure.fakes import FakeDevice, FakeSession, constant
from vitbench.errors import TargetUnreachable, ToolError
from vitbench.measure import (
    PairsInterrupted,
    PairsResult,
    conclude_pairs,
    make_plan,
    measure_pairs,
    measure_rounds,
    ratio_of,
)
from vitbench.records.schema import Plan

PLAN = make_plan("pairs")
Script = Callable[[int], FakeSession]


def steady(latency_ms: float) -> Script:
    return lambda index: FakeSession(constant(latency_ms))


def failing(error: BaseException, at: set[int], latency_ms: float = 5.0) -> Script:
    """Blocks of the given numbers fail while they are timed."""

    def fail(name: str) -> None:
        if name == "measure":
            raise error

    return lambda index: (
        FakeSession(constant(latency_ms), fail=fail) if index in at else FakeSession(constant(latency_ms))
    )


def run(first: Script, second: Script, plan: Plan = PLAN) -> tuple[PairsResult, list[tuple[str, int]]]:
    """Measure two scripted sides; the result and the log of both devices, in the order things happened."""
    log: list[tuple[str, int]] = []
    devices = (FakeDevice(first, log=log), FakeDevice(second, log=log))
    return measure_pairs(devices, plan, sleep=devices[0].sleep), log


def test_ten_pairs_of_fresh_processes_next_to_each_other_in_random_order() -> None:
    result, log = run(steady(5.0), steady(5.5))
    assert [index for name, index in log if name == "open"] == list(range(20))
    firsts = [pair.first for pair in result.pairs]
    assert len(firsts) == 10
    assert {0, 1} == set(firsts)
    for number, pair in enumerate(result.pairs):
        earlier = result.blocks[pair.first][pair.blocks[pair.first]]
        later = result.blocks[1 - pair.first][pair.blocks[1 - pair.first]]
        assert (earlier.index, later.index) == (2 * number, 2 * number + 1)
    ratio = ratio_of(result.pairs)
    assert ratio is not None
    assert ratio.ratio == ratio.low == ratio.high == pytest.approx(1.1)
    assert ratio.confidence >= 0.95
    assert ratio.pairs == 10
    assert conclude_pairs(result, PLAN) == ("valid", ())


def test_the_order_follows_the_seed() -> None:
    orders = [
        [pair.first for pair in run(steady(5.0), steady(5.0), make_plan("pairs", seed=seed))[0].pairs]
        for seed in (0, 0, 1)
    ]
    assert orders[0] == orders[1] != orders[2]


def test_swapping_the_sides_negates_the_log_ratio() -> None:
    there, back = (ratio_of(run(steady(a), steady(b))[0].pairs) for a, b in ((5.0, 6.0), (6.0, 5.0)))
    assert there is not None
    assert back is not None
    assert math.log(there.ratio) == pytest.approx(-math.log(back.ratio), abs=1e-15)


def test_the_compute_part_is_compared_where_asked() -> None:
    devices = (FakeDevice(steady(5.0)), FakeDevice(steady(10.0)))
    result = measure_pairs(devices, PLAN, value_is="compute", sleep=devices[0].sleep)
    assert ratio_of(result.pairs).ratio == pytest.approx(2.0)  # type: ignore[union-attr]


def test_a_disturbed_pair_is_replaced_and_kept() -> None:
    def throttling(index: int) -> FakeSession:
        readings = (lambda session: {"throttle_count": session.probes}) if index in {4, 5} else (lambda _: {})
        return FakeSession(constant(5.0), readings=readings)

    result, _ = run(throttling, steady(5.0))
    assert [pair.invalid for pair in result.pairs].count(None) == 10
    assert len(result.pairs) == 11
    status, reasons = conclude_pairs(result, PLAN)
    assert status == "valid"
    assert reasons == ("1 of 11 pairs does not count, the first because the device throttled",)


def test_at_most_a_fifth_of_the_pairs_is_replaced() -> None:
    throttling: Script = lambda index: FakeSession(  # noqa: E731
        constant(5.0), readings=lambda session: {"throttle_count": session.probes} if index < 8 else {}
    )
    result, _ = run(throttling, throttling)
    assert len(result.pairs) == 12
    status, reasons = conclude_pairs(result, PLAN)
    assert status == "inconclusive"
    assert reasons[0] == "only 8 of 10 pairs could be used"


def test_a_lost_link_costs_nothing_but_time() -> None:
    lost = TargetUnreachable("the link was lost", transient=True)
    result, _ = run(failing(lost, {2}), failing(lost, {2}))
    assert len(result.pairs) == 10
    assert conclude_pairs(result, PLAN)[0] == "valid"


def test_a_process_that_dies_costs_its_pair() -> None:
    crash = ToolError("the agent exited with code 70")
    result, _ = run(failing(crash, {2}), failing(crash, {2}))
    assert len(result.pairs) == 9
    assert conclude_pairs(result, PLAN)[0] == "inconclusive"


def test_a_process_that_always_dies_is_an_error() -> None:
    with pytest.raises(ToolError, match="code 70"):
        run(failing(ToolError("the agent exited with code 70"), set(range(99))), steady(5.0))


def test_what_was_finished_stands_when_the_device_goes() -> None:
    gone = TargetUnreachable("no such device")
    result, _ = run(failing(gone, {14, 15}), failing(gone, {14, 15}))
    assert len(result.pairs) == 7
    status, reasons = conclude_pairs(result, PLAN)
    assert status == "inconclusive"
    assert "the device went out of reach: no such device" in reasons


def test_ctrl_c_keeps_the_finished_pairs() -> None:
    with pytest.raises(PairsInterrupted) as caught:
        run(failing(KeyboardInterrupt(), {8, 9}), failing(KeyboardInterrupt(), {8, 9}))
    assert len(caught.value.result.pairs) == 4


def test_few_pairs_have_no_interval_and_say_so() -> None:
    result, _ = run(steady(5.0), steady(5.0), make_plan("pairs", blocks=10))
    ratio = ratio_of(result.pairs)
    assert ratio is not None
    assert (ratio.low, ratio.high) == (0.0, math.inf)
    assert conclude_pairs(result, make_plan("pairs", blocks=10))[0] == "inconclusive"


def test_a_quick_comparison_is_never_valid() -> None:
    plan = make_plan("quick-pairs")
    result, _ = run(steady(5.0), steady(5.0), plan)
    assert len(result.pairs) == 6
    status, reasons = conclude_pairs(result, plan)
    assert status == "inconclusive"
    assert reasons[0] == "a quick comparison is never valid"


def test_blocks_that_never_became_steady_make_a_comparison_unsteady() -> None:
    def drifting(index: int) -> FakeSession:
        return FakeSession(lambda iteration: 5.0 * 1.002**iteration)

    result, _ = run(drifting, drifting)
    status, reasons = conclude_pairs(result, PLAN)
    assert status == "unsteady"
    assert reasons == ("only 0 of 20 blocks warmed up to a steady state",)


def test_a_planted_ratio_lies_inside_the_interval() -> None:
    """Noise between processes of 1 %: the interval at 10 pairs holds the ratio about 95 times in 100."""
    inside = 0
    for seed in range(60):
        source = random.Random(seed)
        sides: list[Script] = [
            lambda index, source=source, base=base: FakeSession(  # type: ignore[misc]
                constant(base * source.lognormvariate(0, 0.01))
            )
            for base in (5.0, 5.25)
        ]
        ratio = ratio_of(run(sides[0], sides[1], make_plan("pairs", seed=seed))[0].pairs)
        assert ratio is not None
        inside += ratio.low <= 1.05 <= ratio.high
    assert inside >= 53  # under 95 % each, fewer has a probability of 1 in 100


def test_rounds_take_one_block_of_each_side_in_turn() -> None:
    log: list[tuple[str, int]] = []
    devices = [FakeDevice(steady(latency_ms), log=log) for latency_ms in (5.0, 6.0, 7.0)]
    blocks, taker = measure_rounds(devices, make_plan("choice"), sleep=devices[0].sleep)
    assert [[round(block.median_ms) for block in side] for side in blocks] == [[5] * 3, [6] * 3, [7] * 3]
    assert [index for name, index in log if name == "open"] == list(range(9))
    for number in range(3):
        assert sorted(side[number].index for side in blocks) == [3 * number, 3 * number + 1, 3 * number + 2]
    assert taker.waiting_s == 0


def test_rounds_end_with_the_first_block_that_cannot_be_taken() -> None:
    lost = TargetUnreachable("the link was lost", transient=True)
    devices = [FakeDevice(failing(lost, {1})), FakeDevice(failing(lost, {1}))]
    with pytest.raises(TargetUnreachable, match="the link was lost"):
        measure_rounds(devices, make_plan("choice"), sleep=devices[0].sleep)


def test_where_every_pair_was_disturbed_the_figures_are_shown_as_such() -> None:
    throttling: Script = lambda index: FakeSession(  # noqa: E731
        constant(5.0), readings=lambda session: {"throttle_count": session.probes}
    )
    result, _ = run(throttling, throttling)
    ratio = ratio_of(result.pairs)
    assert ratio is not None
    assert ratio.ratio == 1.0
    status, reasons = conclude_pairs(result, PLAN)
    assert status == "inconclusive"
    assert reasons == (
        "every pair was disturbed, so the figures are of disturbed pairs",
        "12 of 12 pairs do not count, the first because the device throttled",
    )


@pytest.mark.parametrize(("first_temp_c", "waits"), [(None, False), (40.0, True), (60.0, False)])
def test_a_later_stage_begins_as_cool_as_the_first(first_temp_c: float | None, waits: bool) -> None:
    """A device at 50 C that began a stage before at 40 C is waited for; on its own it is as cool as it is."""
    warm: Script = lambda index: FakeSession(  # noqa: E731
        constant(5.0),
        readings=lambda session: {"temp_c": 50.0 if index == 0 and session.probes < 3 else 40.0},
    )
    devices = (FakeDevice(warm), FakeDevice(warm))
    result = measure_pairs(
        devices, PLAN, first_temp_c=first_temp_c, sleep=lambda seconds: devices[0].slept_s.append(seconds)
    )
    assert bool(devices[0].slept_s) == waits
    assert bool(result.waiting_s) == waits
