"""Pairs whose blocks are timed in turns: the order, when they end, the witnesses, and what it is all for."""

from __future__ import annotations

import math
import random
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import groupby, pairwise

import pytest

from tests.measure.fakes import FakeDevice, FakeSession, Latency, constant
from vitbench.errors import TargetUnreachable
from vitbench.measure import PairsResult, conclude_pairs, make_plan, measure_pairs
from vitbench.measure.plan import in_turns
from vitbench.measure.witness import beside
from vitbench.records.schema import Block, Plan
from vitbench.stats.pairs import log_ratio_of_turns
from vitbench.stats.quantiles import t_half_width

TURN_S = 0.02
PLAN = make_plan("pairs").model_copy(update={"turn_s": TURN_S})


@dataclass
class Machine:
    """One CPU that both sides share, and its clock, which only their iterations advance.

    Attributes:
        speed: how many times as long an iteration takes, by the time in s.
        ran: side and whether it was timed, of each iteration in order.
    """

    speed: Callable[[float], float] = lambda now_s: 1.0
    now_s: float = 0.0
    ran: list[int] = field(default_factory=list)

    def side(self, number: int, latency_ms: Callable[[int], float]) -> FakeDevice:
        """A side of a comparison on this machine."""

        def iterate(iteration: int) -> float:
            taken_ms = latency_ms(iteration) * self.speed(self.now_s)
            self.now_s += taken_ms / 1e3
            self.ran.append(number)
            return taken_ms

        def readings(session: FakeSession) -> dict[str, float]:
            return {"uptime_s": self.now_s, "cpu_busy_ns": self.now_s * 1e9, "own_cpu_ns": session.now_ns}

        return FakeDevice(lambda index: FakeSession(iterate, readings=readings))


def _load_at(load: Sequence[float], now_s: float) -> float:
    """A load that may change every eighth of a second."""
    return load[int(now_s * 8)]


def run(machine: Machine, first: FakeDevice, second: FakeDevice, plan: Plan = PLAN) -> PairsResult:
    return measure_pairs((first, second), plan, sleep=first.sleep)


def test_both_warm_up_and_then_take_turns_of_twenty_milliseconds() -> None:
    machine = Machine()
    plan = PLAN.model_copy(update={"blocks": 2})
    result = run(machine, machine.side(0, constant(0.4)), machine.side(1, constant(0.8)), plan)
    pair = result.pairs[0]
    assert pair.log_ratio == pytest.approx(math.log(2))
    runs = [(side, len(list(found))) for side, found in groupby(machine.ran)]
    warmups, turns = runs[:2], runs[2:]
    assert [side for side, _ in warmups] == [pair.first, 1 - pair.first]
    # 50 iterations of 0.4 ms or 25 of 0.8 ms, after 5 that are not timed; two of a side follow each other.
    length = {0: 50 + 5, 1: 25 + 5}
    order = [pair.first, 1 - pair.first]
    wanted = [(order[0], length[order[0]])]
    while len(wanted) < len(turns):
        order.reverse()
        wanted.append((order[0], 2 * length[order[0]]))
    wanted[-1] = (wanted[-1][0], length[wanted[-1][0]])
    assert turns == wanted
    for side in (0, 1):
        block = result.blocks[side][0]
        timed = len(block.samples.total_ns)
        assert timed == sum(length[side] - 5 for _ in block.pauses)
        assert all(pause.untimed_iterations == 5 for pause in block.pauses)
        assert [pause.after_iterations for pause in block.pauses] == list(range(0, timed, length[side] - 5))
        assert list(block.turns) == list(range(0, timed, length[side] - 5))
        assert sum(block.samples.total_ns) >= 0.5e9


def test_slow_iterations_give_no_more_than_a_quarter_of_a_turn_to_what_is_not_timed() -> None:
    machine = Machine()
    plan = PLAN.model_copy(update={"blocks": 2})
    result = run(machine, machine.side(0, constant(300.0)), machine.side(1, constant(60.0)), plan)
    slow, fast = result.blocks[0][0], result.blocks[1][0]
    assert {pause.untimed_iterations for pause in slow.pauses} == {1}
    assert len(slow.samples.total_ns) >= plan.slow_timed_min_iterations
    assert {pause.untimed_iterations for pause in fast.pauses} == {1}


def test_who_has_enough_goes_on_while_the_other_needs_more() -> None:
    noise = random.Random(5)
    machine = Machine()
    quiet = machine.side(0, constant(1.0))
    noisy = machine.side(1, lambda iteration: noise.uniform(0.5, 1.5))
    result = run(machine, quiet, noisy, PLAN.model_copy(update={"blocks": 2}))
    counts = [len(result.blocks[side][0].samples.total_ns) for side in (0, 1)]
    assert result.blocks[1][0].ci_half_width > 0.01  # type: ignore[operator]
    assert counts[1] == pytest.approx(2000, rel=0.05)
    assert counts[0] == pytest.approx(counts[1], rel=0.05)


@pytest.mark.parametrize("latency_ms", [0.2, 1.0, 70.0, 400.0])
def test_no_cap_is_passed_by_more_than_a_turn(latency_ms: float) -> None:
    noise = random.Random(7)
    machine = Machine()
    sides = [machine.side(side, lambda iteration: latency_ms * noise.uniform(0.5, 1.5)) for side in (0, 1)]
    result = run(machine, sides[0], sides[1], PLAN.model_copy(update={"blocks": 2}))
    for side in (0, 1):
        block = result.blocks[side][0]
        assert len(block.samples.total_ns) <= PLAN.timed_max_iterations
        cap_s = PLAN.timed_cap_s if latency_ms < 150 else PLAN.slow_cap_s
        assert sum(block.samples.total_ns) / 1e9 <= cap_s + max(TURN_S, 2 * latency_ms / 1e3)


def test_the_ratio_of_a_pair_is_that_of_its_turns() -> None:
    """Now fast, now slow, an eighth of a second each: medians of whole blocks fall to either side."""
    found = []
    for seed in range(6):
        load = random.Random(seed).choices((1.0, 2.0), k=1000)
        machine = Machine(speed=partial(_load_at, load))
        result = run(machine, machine.side(0, constant(0.4)), machine.side(1, constant(0.42)))
        blocks = [result.blocks[side] for side in (0, 1)]
        for pair in result.pairs:
            first, second = (blocks[side][pair.blocks[side]] for side in (0, 1))
            assert pair.log_ratio == log_ratio_of_turns(
                first.samples.total_ns, first.turns, second.samples.total_ns, second.turns
            )
            found.append(pair.log_ratio)
    assert found == pytest.approx([math.log(1.05)] * len(found), abs=0.002)


def test_a_neighbour_that_comes_and_goes_is_seen_by_both_alike() -> None:
    draws = random.Random(11)
    load = [draws.choice((1.0, 1.2, 1.7, 2.0)) for _ in range(2000)]
    ratio = 1.05
    spread = {}
    for turn_s in (None, TURN_S):
        machine = Machine(speed=lambda now_s: load[int(now_s / 1.3)])
        plan = make_plan("pairs", blocks=60).model_copy(update={"turn_s": turn_s})
        result = run(machine, machine.side(0, constant(1.0)), machine.side(1, constant(ratio)), plan)
        found = [pair.log_ratio for pair in result.pairs]
        spread[turn_s] = statistics.stdev(found)
        if turn_s is not None:
            assert statistics.median(found) == pytest.approx(math.log(ratio), abs=0.005)
    assert spread[TURN_S] < spread[None] / 4


def test_what_the_other_side_uses_of_the_machine_is_not_foreign() -> None:
    machine = Machine()
    result = run(machine, machine.side(0, constant(1.0)), machine.side(1, constant(1.0)))
    assert conclude_pairs(result, PLAN) == ("valid", ())
    blocks = [block for side in result.blocks for block in side]
    assert all(block.after.foreign_cpu == pytest.approx(0.0, abs=1e-6) for block in blocks)


def test_what_a_third_uses_is() -> None:
    machine = Machine()
    sides = [machine.side(side, constant(1.0)) for side in (0, 1)]
    for side in sides:
        usual = side.script

        def busier(index: int, usual: Callable[[int], FakeSession] = usual) -> FakeSession:
            session = usual(index)
            mine = session.readings
            session.readings = lambda seen: {**mine(seen), "cpu_busy_ns": 4.5 * machine.now_s * 1e9}
            return session

        side.script = busier
    result = run(machine, sides[0], sides[1], PLAN.model_copy(update={"blocks": 2}))
    assert result.pairs[0].invalid == "other processes used 3.50 CPUs, where 3 were idle"


def test_own_time_is_unknown_where_that_of_either_is() -> None:
    assert beside({"own_cpu_ns": 5, "load1": 1.0}, {"own_cpu_ns": 7}) == {"own_cpu_ns": 12, "load1": 1.0}
    assert beside({"own_cpu_ns": 5, "load1": 1.0}, {}) == {"load1": 1.0}
    assert beside({"load1": 1.0}, {"own_cpu_ns": 7}) == {"load1": 1.0}


def test_a_link_lost_in_a_turn_costs_both_blocks_and_no_pair() -> None:
    machine = Machine()
    sides = [machine.side(side, constant(1.0)) for side in (0, 1)]
    lost = [TargetUnreachable("the link was lost", transient=True)]
    usual = sides[1].script

    def failing(index: int) -> FakeSession:
        session = usual(index)

        def fail(name: str) -> None:
            if name == "measure" and session.iteration > 200 and lost:
                raise lost.pop()

        session.fail = fail
        return session

    sides[1].script = failing
    result = run(machine, sides[0], sides[1])
    assert len(result.pairs) == 10
    assert conclude_pairs(result, PLAN)[0] == "valid"
    assert not sides[0].open_sessions
    assert not sides[1].open_sessions


def test_swapping_the_sides_negates_the_log_ratio() -> None:
    found = []
    for first, second in ((1.0, 1.3), (1.3, 1.0)):
        machine = Machine()
        result = run(machine, machine.side(0, constant(first)), machine.side(1, constant(second)))
        found.append([pair.log_ratio for pair in result.pairs])
    assert found[0] == pytest.approx([-each for each in found[1]], abs=1e-12)


GATE = in_turns(make_plan("gate", blocks=2))


def turn_ratios(first: Block, second: Block) -> list[float]:
    """Log ratios of the medians of the turns of a pair."""
    medians = [
        [
            statistics.median(block.samples.total_ns[begin:end])
            for begin, end in pairwise((*block.turns, None))
        ]
        for block in (first, second)
    ]
    return [math.log(b / a) for a, b in zip(*medians, strict=False)]


def gated(machine: Machine, first: Latency, second: Latency, plan: Plan = GATE) -> tuple[Block, Block]:
    """The blocks of a gate's pair."""
    result = run(machine, machine.side(0, first), machine.side(1, second), plan)
    return result.blocks[0][0], result.blocks[1][0]


def noisy(latency_ms: float, spread: float, seed: int) -> Latency:
    draws = random.Random(seed)
    return lambda iteration: latency_ms * math.exp(draws.gauss(0, spread))


def test_a_gate_s_pair_ends_at_its_minima_where_the_ratio_is_known_by_then() -> None:
    for block in gated(Machine(), constant(1.0), constant(1.1)):
        # The faster one needs half a second, and the slower one has as many iterations.
        assert len(block.samples.total_ns) == pytest.approx(500, abs=10)
        lengths = {end - begin for begin, end in pairwise(block.turns)}
        # Both as many iterations, so that as large a share of them has cold caches.
        assert lengths == {5}
        assert {pause.untimed_iterations for pause in block.pauses} == {1}


@pytest.mark.parametrize("seed", range(4))
def test_a_gate_s_pair_goes_on_until_its_ratio_is_known(seed: int) -> None:
    """Turns of 5 iterations that vary by 25 % have log ratios of about 0.19: 2 % need some 340 of them."""
    blocks = gated(Machine(), noisy(1.0, 0.25, seed), noisy(1.0, 0.25, seed + 100))
    ratios = turn_ratios(*blocks)
    assert all(0.6 < sum(block.samples.total_ns) / 1e9 < 1.99 for block in blocks)

    def half_width(count: int) -> float:
        return t_half_width(statistics.stdev(ratios[:count]), count, 0.95)

    assert half_width(len(ratios)) <= 0.02
    # It was looked at after every two turns of either side, from half a second on.
    least = next(count for count in range(100, len(ratios) + 1) if half_width(count) <= 0.02)
    assert len(ratios) - least <= 1


def test_a_gate_s_pair_ends_at_its_caps_where_it_never_is() -> None:
    blocks = gated(Machine(), noisy(1.0, 0.8, 1), noisy(1.0, 0.8, 2))
    assert t_half_width(statistics.stdev(turn_ratios(*blocks)), len(blocks[0].turns), 0.95) > 0.02
    assert max(sum(block.samples.total_ns) / 1e9 for block in blocks) == pytest.approx(2.0, abs=0.02)


def test_a_gate_s_pair_ends_when_one_of_its_blocks_may_run_no_more() -> None:
    """Fast iterations reach their number before the least time, and noise keeps the ratio unknown."""
    fast, slow = gated(Machine(), noisy(0.1, 0.5, 1), noisy(0.11, 0.5, 2))
    assert max(len(block.samples.total_ns) for block in (fast, slow)) == GATE.timed_max_iterations
    assert abs(len(fast.turns) - len(slow.turns)) <= 1


def test_slow_iterations_have_turns_of_three() -> None:
    for block in gated(Machine(), constant(40.0), constant(44.0)):
        assert {end - begin for begin, end in pairwise(block.turns)} == {3}
        assert sum(block.samples.total_ns) / 1e9 == pytest.approx(2.0, abs=0.15)


def test_swapping_the_sides_of_a_gate_negates_the_log_ratio_and_ends_as_early() -> None:
    one = gated(Machine(), noisy(1.0, 0.25, 7), noisy(1.05, 0.25, 8))
    other = gated(Machine(), noisy(1.05, 0.25, 8), noisy(1.0, 0.25, 7))
    assert [len(block.turns) for block in one] == [len(block.turns) for block in other]
    forward = log_ratio_of_turns(*series(one[0]), *series(one[1]))
    assert forward == -log_ratio_of_turns(*series(other[0]), *series(other[1]))


def series(block: Block) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """What was timed, and where its turns began."""
    return block.samples.total_ns, block.turns
