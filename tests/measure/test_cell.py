"""A whole cell: fresh processes, replaced blocks, crashes, lost links, heat, Ctrl-C."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.measure.fakes import FakeDevice, FakeSession, constant
from vitbench.errors import TargetUnreachable, ToolError, UsageError
from vitbench.measure import CellResult, make_plan, measure_cell
from vitbench.measure.take import BACKOFF_S, COOLING_LIMIT_S
from vitbench.records.schema import Block, Plan

FULL = make_plan("full")
LOST = TargetUnreachable("the link to `phone` was lost", transient=True)
GONE = TargetUnreachable("no such device `phone`")
CRASH = ToolError("the agent exited with code 70", tail="boom")


def plain(index: int) -> FakeSession:
    """A quiet block of 5 ms."""
    return FakeSession(constant(5.0))


def raising(error: BaseException, *, on: str = "measure", after: int = 0) -> FakeSession:
    """A block in which the request of a name fails, after so many that did not."""
    left = [after]

    def fail(name: str) -> None:
        if name == on:
            left[0] -= 1
            if left[0] < 0:
                raise error

    return FakeSession(constant(5.0), fail=fail)


def only(indices: set[int], special: Callable[[], FakeSession]) -> Callable[[int], FakeSession]:
    """Plain blocks but for those of the given numbers."""
    return lambda index: special() if index in indices else plain(index)


def throttling() -> FakeSession:
    """A block during which the count of throttling events rises."""
    return FakeSession(constant(5.0), readings=lambda session: {"throttle_count": session.probes})


def run(device: FakeDevice, plan: Plan = FULL, **options: Any) -> CellResult:
    """Measure a cell on a scripted device."""
    return measure_cell(device, plan, sleep=device.sleep, **options)


def opened(device: FakeDevice) -> list[int]:
    """Numbers of the blocks for which a session was opened."""
    return [index for name, index in device.log if name == "open"]


def test_five_blocks_in_five_processes_one_after_the_other() -> None:
    device = FakeDevice(plain)
    kept: list[Block] = []
    result = run(device, on_block=kept.append)
    assert (result.status, result.reasons) == ("valid", ())
    assert opened(device) == [0, 1, 2, 3, 4]
    assert [name for name, _ in device.log if name in ("open", "close")] == ["open", "close"] * 5
    assert tuple(kept) == result.blocks
    assert [block.index for block in kept] == [0, 1, 2, 3, 4]
    assert result.estimate is not None
    assert result.estimate.latency_ms == 5.0
    assert result.clock_max_mhz == 2000.0
    assert device.slept_s == []


def test_a_block_is_handed_on_after_its_process_has_ended() -> None:
    device = FakeDevice(plain)
    run(device, on_block=lambda block: device.log.append(("kept", block.index)))
    kept = [place for place, (name, _) in enumerate(device.log) if name == "kept"]
    assert [device.log[place - 1] for place in kept] == [("close", index) for index in range(5)]


def test_the_screen_is_never_refreshed_while_a_request_is_under_way() -> None:
    """The scripted screen asserts it on every call."""
    device = FakeDevice(plain)
    screen = device.screen()
    run(device, on_progress=screen)
    phases = [progress.phase for progress in screen.shown]
    assert phases.count("opening") == phases.count("done") == 5
    assert "timed" in phases
    assert screen.shown[-1].finished_ms == (5.0,) * 5
    assert screen.shown[0].finished_ms == ()


def test_the_wall_clock_decides_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.monotonic", lambda: pytest.fail("the host's clock was read"))
    monkeypatch.setattr("time.time", lambda: pytest.fail("the host's clock was read"))
    assert len(run(FakeDevice(plain)).blocks) == 5


def test_a_void_block_is_replaced_once_in_five() -> None:
    device = FakeDevice(only({1}, throttling))
    result = run(device)
    assert result.status == "valid"
    assert opened(device) == [0, 1, 2, 3, 4, 5]
    assert [block.invalid for block in result.blocks] == [
        None,
        "the device throttled",
        None,
        None,
        None,
        None,
    ]
    assert result.reasons == ("block 1 does not count: the device throttled",)
    assert result.estimate is not None
    assert (result.estimate.blocks, result.estimate.blocks_replaced) == (5, 1)


def test_a_second_void_block_is_not_replaced() -> None:
    device = FakeDevice(only({1, 3}, throttling))
    result = run(device)
    assert result.status == "inconclusive"
    assert opened(device) == [0, 1, 2, 3, 4, 5]
    assert result.reasons[0] == "only 4 of 5 blocks could be used"
    assert result.estimate is not None
    assert (result.estimate.blocks, result.estimate.blocks_replaced) == (4, 2)


@pytest.mark.parametrize(("blocks", "replaced"), [(1, 0), (4, 0), (5, 1), (9, 1), (10, 2)])
def test_at_most_a_fifth_is_replaced(blocks: int, replaced: int) -> None:
    device = FakeDevice(lambda index: throttling())
    result = run(device, make_plan("full", blocks=blocks))
    assert len(opened(device)) == blocks + replaced
    assert result.status == "inconclusive"
    assert result.reasons[0] == "every block was disturbed, so the figures are of disturbed blocks"


def test_a_falling_clock_voids_later_blocks() -> None:
    device = FakeDevice(
        only({2}, lambda: FakeSession(constant(5.0), readings=lambda session: {"clock_mhz": 1500.0}))
    )
    result = run(device)
    assert result.blocks[2].invalid == "the clock fell to 1500 MHz, 75% of 2000 MHz"
    assert result.status == "valid"


def test_the_clock_of_earlier_cells_counts() -> None:
    result = run(FakeDevice(plain), clock_max_mhz=3000.0)
    assert all(block.invalid for block in result.blocks)
    assert result.clock_max_mhz == 3000.0


def test_witnesses_that_cannot_be_read_are_listed_and_void_nothing() -> None:
    silent = {"clock_mhz": None, "temp_c": None, "governor": None, "throttle_count": None, "own_cpu_ns": None}
    device = FakeDevice(lambda index: FakeSession(constant(5.0), readings=lambda session: silent))
    result = run(device)
    assert result.status == "valid"
    assert result.clock_max_mhz is None
    for block in result.blocks:
        assert set(block.after.unknown) == {"clock_mhz", "temp_c", "governor", "throttled", "foreign_cpu"}


def test_threads_decide_how_much_others_may_use() -> None:
    def busy(index: int) -> FakeSession:
        return FakeSession(
            constant(5.0), readings=lambda session: {"cpu_busy_ns": 3 * session.now_ns, "cpu_count": 4}
        )

    assert run(FakeDevice(busy), threads=1).status == "valid"
    crowded = run(FakeDevice(busy), threads=4)
    assert crowded.status == "inconclusive"
    assert crowded.blocks[0].invalid == "other processes used 2.00 CPUs, where 0 were idle"


def test_a_crash_costs_its_block() -> None:
    device = FakeDevice(only({2}, lambda: raising(CRASH)))
    result = run(device)
    assert opened(device) == [0, 1, 2, 3, 4], "a crash is no external witness: the block is not replaced"
    assert result.status == "inconclusive"
    assert result.reasons == (
        "only 4 of 5 blocks could be used",
        "block 2 failed: the agent exited with code 70",
    )


@pytest.mark.parametrize("on", ["probe", "warm", "measure"])
def test_a_process_that_always_dies_is_the_tools_error(on: str) -> None:
    device = FakeDevice(lambda index: raising(CRASH, on=on))
    with pytest.raises(ToolError) as caught:
        run(device)
    assert caught.value.tail == "boom"
    assert opened(device) == [0, 1], "two are enough to see that it will not work"


def test_a_crash_while_loading_is_a_crash() -> None:
    def refuse(index: int) -> None:
        raise CRASH

    with pytest.raises(ToolError, match="code 70"):
        run(FakeDevice(plain, refuse=refuse), make_plan("quick", blocks=1))


def test_a_crash_in_the_first_block_is_survived() -> None:
    result = run(FakeDevice(only({0}, lambda: raising(CRASH))))
    assert len(result.blocks) == 4
    assert result.status == "inconclusive"


def test_a_link_lost_in_a_block_is_replaced() -> None:
    device = FakeDevice(only({1}, lambda: raising(LOST, after=2)))
    result = run(device)
    assert result.status == "valid"
    assert [block.index for block in result.blocks] == [0, 2, 3, 4, 5]
    assert result.reasons == ("block 1 does not count: the link was lost: the link to `phone` was lost",)
    assert result.estimate is not None
    assert result.estimate.blocks_replaced == 1


def test_a_link_lost_twice_is_inconclusive() -> None:
    result = run(FakeDevice(only({1, 2}, lambda: raising(LOST))))
    assert result.status == "inconclusive"
    assert len(result.blocks) == 4


def test_a_link_that_is_down_is_tried_again_with_growing_pauses() -> None:
    tries = [0]

    def refuse(index: int) -> None:
        if index == 2:
            tries[0] += 1
            if tries[0] <= 3:
                raise LOST

    device = FakeDevice(plain, refuse=refuse)
    result = run(device)
    assert result.status == "valid"
    assert device.slept_s == [1.0, 2.0, 4.0]
    assert opened(device) == [0, 1, 2, 2, 2, 2, 3, 4]
    assert result.estimate is not None
    assert result.estimate.blocks_replaced == 0, "no block was lost, only time"


def test_a_link_that_stays_away_keeps_what_was_finished() -> None:
    def refuse(index: int) -> None:
        if index >= 3:
            raise LOST

    device = FakeDevice(plain, refuse=refuse)
    kept: list[Block] = []
    result = run(device, on_block=kept.append)
    assert device.slept_s == list(BACKOFF_S)
    assert result.status == "inconclusive"
    assert len(kept) == len(result.blocks) == 3
    assert result.reasons == (
        "only 3 of 5 blocks could be used",
        "the device went out of reach: the link to `phone` was lost",
    )


def test_a_device_that_is_not_there_is_not_tried_again() -> None:
    def refuse(index: int) -> None:
        if index >= 1:
            raise GONE

    device = FakeDevice(plain, refuse=refuse)
    result = run(device)
    assert device.slept_s == []
    assert len(result.blocks) == 1
    assert result.status == "inconclusive"


def test_a_device_that_is_cut_off_for_good_in_a_block_ends_the_cell() -> None:
    device = FakeDevice(only({2}, lambda: raising(GONE)))
    result = run(device)
    assert opened(device) == [0, 1, 2]
    assert len(result.blocks) == 2


@pytest.mark.parametrize("error", [LOST, GONE])
def test_a_device_that_was_never_reached_is_unreachable(error: TargetUnreachable) -> None:
    def refuse(index: int) -> None:
        raise error

    with pytest.raises(TargetUnreachable) as caught:
        run(FakeDevice(plain, refuse=refuse))
    assert caught.value is error


def test_a_link_lost_in_every_block_is_unreachable() -> None:
    device = FakeDevice(lambda index: raising(LOST))
    with pytest.raises(TargetUnreachable):
        run(device)
    assert opened(device) == [0, 1, 2, 3, 4, 5]


def test_a_refused_request_is_passed_on() -> None:
    with pytest.raises(UsageError, match="no model"):
        run(FakeDevice(lambda index: raising(UsageError("no model is loaded"))))


def test_ctrl_c_keeps_the_finished_blocks() -> None:
    device = FakeDevice(only({3}, lambda: raising(KeyboardInterrupt(), after=1)))
    kept: list[Block] = []
    with pytest.raises(KeyboardInterrupt):
        run(device, on_block=kept.append)
    assert [block.index for block in kept] == [0, 1, 2]
    assert device.log[-1] == ("close", 3), "the process was ended"


def test_it_waits_until_the_device_has_cooled_down() -> None:
    """Each block after the first finds the device at 50 C, and a degree less at every look."""

    def warm(index: int) -> FakeSession:
        def heat(session: FakeSession) -> dict[str, Any]:
            return {"temp_c": 40.0 if index == 0 else 51.0 - session.probes}

        return FakeSession(constant(5.0), readings=heat)

    device = FakeDevice(warm)
    screen = device.screen()
    result = run(device, make_plan("full", blocks=2), on_progress=screen)
    assert device.slept_s == [2.0] * 7, "from 50 C to 43 C"
    assert result.blocks[1].before.temp_c == 43.0
    assert result.reasons == ()
    assert [progress.phase for progress in screen.shown].count("cooling") == 7


def test_three_degrees_are_not_worth_waiting_for() -> None:
    device = FakeDevice(
        lambda index: FakeSession(
            constant(5.0), readings=lambda session: {"temp_c": 40.0 if index == 0 else 43.0}
        )
    )
    run(device)
    assert device.slept_s == []


def test_it_does_not_wait_for_ever() -> None:
    device = FakeDevice(
        lambda index: FakeSession(
            constant(5.0), readings=lambda session: {"temp_c": 40.0 if index == 0 else 60.0}
        )
    )
    result = run(device, make_plan("full", blocks=2))
    assert sum(device.slept_s) == COOLING_LIMIT_S
    assert result.status == "valid"
    assert result.reasons == ("block 1 started at 60 C, the first at 40 C: it did not cool down in 120 s",)


def test_unsteady_blocks_make_an_unsteady_run() -> None:
    device = FakeDevice(lambda index: FakeSession(lambda i: 25.0 if (i // 20) % 2 else 26.0))
    result = run(device)
    assert result.status == "unsteady"
    assert result.reasons[0] == "only 0 of 5 blocks warmed up to a steady state"
    assert result.estimate is not None
    assert result.estimate.blocks_steady == 0


def test_quick_is_two_blocks_and_never_valid() -> None:
    device = FakeDevice(plain)
    result = run(device, make_plan("quick"))
    assert opened(device) == [0, 1]
    assert result.status == "inconclusive"
    assert result.estimate is not None
    assert result.estimate.within_process_only


def test_throughput_counts_the_images_of_a_batch() -> None:
    result = run(FakeDevice(plain), metric="throughput", batch=8)
    assert result.estimate is not None
    assert result.estimate.throughput_img_s == pytest.approx(8 / 0.005)
