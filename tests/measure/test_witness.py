"""What the machine says decides; what it does not say is unknown."""

from __future__ import annotations

from typing import Any

import pytest

from tests.measure.fakes import QUIET
from vitbench.measure.witness import Judgement, judge

S = 1_000_000_000
BEFORE = {**QUIET, "uptime_s": 100.0, "cpu_busy_ns": 50 * S, "own_cpu_ns": 1 * S}
# Ten seconds later: one CPU busy all the time, by this process.
AFTER = {**QUIET, "uptime_s": 110.0, "cpu_busy_ns": 60 * S, "own_cpu_ns": 11 * S}


def judged(
    before: dict[str, Any] | None = None,
    after: dict[str, Any] | None = None,
    *,
    threads: int = 1,
    clock_max_mhz: float | None = None,
) -> Judgement:
    """Judge a quiet machine with changes; a change to None takes the reading away."""
    readings = [{**BEFORE, **(before or {})}, {**AFTER, **(after or {})}]
    kept = [{name: value for name, value in found.items() if value is not None} for found in readings]
    return judge(kept[0], kept[1], threads=threads, clock_max_mhz=clock_max_mhz)


def test_a_quiet_machine_speaks_against_nothing() -> None:
    found = judged()
    assert found.invalid is None
    assert found.after.throttled is False
    assert found.after.foreign_cpu == 0
    assert found.after.stolen_cpu == 0
    assert found.before.unknown == found.after.unknown == ()
    assert found.before.temp_c == 40
    assert found.before.governor == "performance"
    assert found.before.memory_free_mb == 1000


def test_throttling_by_flag_or_by_count() -> None:
    assert judged(after={"throttled": True}).invalid == "the device throttled"
    assert judged(before={"throttled": True}, after={"throttled": False}).invalid == "the device throttled"
    assert judged(before={"throttled": False}, after={"throttled": False}).invalid is None
    assert judged(after={"throttle_count": 4}).invalid == "the device throttled"
    only_flag = judged({"throttle_count": None}, {"throttle_count": None, "throttled": False})
    assert only_flag.after.throttled is False
    assert "throttled" not in only_flag.after.unknown


@pytest.mark.parametrize(
    ("clock_mhz", "seen_mhz", "bad"), [(1800, 2000, False), (1799, 2000, True), (1799, None, True)]
)
def test_a_clock_under_nine_tenths_of_the_highest_seen(
    clock_mhz: float, seen_mhz: float | None, bad: bool
) -> None:
    """The block's own clock before it (2000 MHz) counts among those seen."""
    found = judged(after={"clock_mhz": clock_mhz}, clock_max_mhz=seen_mhz)
    assert (found.invalid is not None) == bad
    if found.invalid:
        assert "1799 MHz" in found.invalid


def test_the_highest_clock_of_earlier_blocks_counts() -> None:
    found = judged(clock_max_mhz=3000.0)
    assert found.invalid == "the clock fell to 2000 MHz, 67% of 3000 MHz"


@pytest.mark.parametrize(
    ("foreign", "threads", "bad"),
    [(0.2, 4, False), (0.3, 4, True), (3.2, 1, False), (3.3, 1, True), (1.0, 2, False), (0.3, 8, True)],
)
def test_other_processes_may_use_the_idle_cpus_and_a_quarter(foreign: float, threads: int, bad: bool) -> None:
    found = judged(after={"cpu_busy_ns": (60 + 10 * foreign) * S}, threads=threads)
    assert found.after.foreign_cpu == pytest.approx(foreign)
    assert (found.invalid is not None) == bad
    if found.invalid:
        assert "other processes" in found.invalid


@pytest.mark.parametrize(
    ("kept", "foreign", "threads", "said"),
    [
        (1, 0.2, 1, None),
        (1, 0.9, 1, "other processes used 0.90 of the CPU that the block keeps to"),
        (3, 2.2, 1, None),
        (3, 2.3, 1, "other processes used 2.30 of the 3 CPUs that the block keeps to"),
        (2, 0.4, 2, "other processes used 0.40 of the 2 CPUs that the block keeps to"),
    ],
)
def test_of_the_cpus_that_a_block_keeps_to_others_may_use_what_is_idle(
    kept: int, foreign: float, threads: int, said: str | None
) -> None:
    """Though all CPUs together had room for them."""
    found = judged(
        before={"kept_cpu_count": kept, "kept_cpu_busy_ns": 20 * S, "cpu_count": 64},
        after={"kept_cpu_count": kept, "kept_cpu_busy_ns": (30 + 10 * foreign) * S, "cpu_count": 64},
        threads=threads,
    )
    assert found.invalid == said


def test_stolen_time() -> None:
    assert judged(after={"cpu_steal_ns": 2 * S}).invalid is None
    found = judged(after={"cpu_steal_ns": 3 * S})
    assert found.after.stolen_cpu == pytest.approx(0.3)
    assert found.invalid == "the hypervisor withheld 0.30 CPUs"


@pytest.mark.parametrize("name", ["load1", "clock_mhz", "temp_c", "governor", "memory_free_mb"])
def test_what_cannot_be_read_is_unknown(name: str) -> None:
    found = judged({name: None}, {name: None})
    assert getattr(found.after, name) is None
    assert found.before.unknown == found.after.unknown == (name,)
    assert found.invalid is None


@pytest.mark.parametrize(
    ("missing", "unknown"),
    [
        ("throttle_count", ("throttled",)),
        ("own_cpu_ns", ("foreign_cpu",)),
        ("cpu_busy_ns", ("foreign_cpu",)),
        ("cpu_steal_ns", ("stolen_cpu",)),
        ("uptime_s", ("foreign_cpu", "stolen_cpu")),
    ],
)
def test_a_difference_needs_both_readings(missing: str, unknown: tuple[str, ...]) -> None:
    for before, after in (({missing: None}, {}), ({}, {missing: None})):
        found = judged(before, after)
        assert found.before.unknown == found.after.unknown == unknown
        assert all(getattr(found.after, name) is None for name in unknown)
        assert found.invalid is None


def test_a_moment_is_too_short_for_cpu_times() -> None:
    found = judged(after={"uptime_s": 100.1, "cpu_busy_ns": 60 * S})
    assert found.after.foreign_cpu is None
    assert set(found.after.unknown) == {"foreign_cpu", "stolen_cpu"}


def test_a_machine_that_tells_nothing() -> None:
    found = judge({}, {}, threads=1, clock_max_mhz=None)
    assert found.invalid is None
    assert set(found.after.unknown) == {
        "load1",
        "clock_mhz",
        "temp_c",
        "governor",
        "memory_free_mb",
        "throttled",
        "foreign_cpu",
        "stolen_cpu",
    }


def test_nothing_is_ok_for_want_of_a_number() -> None:
    """A reading of the wrong type is no reading."""
    found = judged({"temp_c": "hot", "clock_mhz": True}, {"temp_c": "hot", "clock_mhz": True})
    assert set(found.after.unknown) == {"temp_c", "clock_mhz"}
