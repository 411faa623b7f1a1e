"""What a GPU or its board says beside a block decides whether the block counts."""

from __future__ import annotations

from typing import Any

import pytest

from tests.measure.test_witness import judged
from tests.support.jetson import GPU, LOCKED, ORIN, lay_out
from vitbench.agent.gpu import Watch
from vitbench.measure.witness import Judgement
from vitbench.records.schema import Probe

CARD: dict[str, Any] = {
    "throttle_count": None,
    "throttled": False,
    "gpu_clock_mhz": 1410,
    "gpu_foreign": 0,
    "gpu_throttle_reasons": "none",
}
BOARD: dict[str, Any] = {
    "throttle_count": None,
    "power_mode": "MAXN",
    "clocks_locked": True,
    "over_current_count": 4,
    "rail_VDD_GPU_SOC_w": 11.5,
}


def judged_gpu(known: dict[str, Any], after: dict[str, Any], **options: Any) -> Judgement:
    """Judge a GPU before whose block these readings were taken, and after it those with changes."""
    return judged({**known, "clock_mhz": None}, {**known, **after}, **options)


def test_a_quiet_card() -> None:
    found = judged_gpu(CARD, {"clock_mhz": 1395.0})
    assert found.invalid is None
    assert found.after.throttled is False
    assert found.after.clock_mhz == 1395
    assert found.after.gpu == {
        "gpu_clock_mhz": 1410,
        "gpu_foreign": 0,
        "gpu_throttle_reasons": "none",
    }
    assert found.before.clock_mhz is None
    assert "clock_mhz" in found.before.unknown


def test_another_process_on_the_gpu_before_or_after() -> None:
    busy = {"gpu_foreign": 1, "gpu_foreign_names": "python3 (77)"}
    reason = "another process computes on the GPU: python3 (77)"
    assert judged_gpu(CARD, busy).invalid == reason
    assert judged({**CARD, **busy}, CARD).invalid == reason
    assert judged_gpu(CARD, {"gpu_foreign": None}).invalid is None


def test_a_gpu_that_protected_itself() -> None:
    assert judged_gpu(CARD, {"throttled": True}).invalid == "the device throttled"
    assert judged_gpu(CARD, {"gpu_throttle_seen": "sw_power_cap"}).invalid is None


def test_the_clock_of_earlier_blocks_counts_and_an_idle_one_does_not() -> None:
    slow = judged_gpu(CARD, {"clock_mhz": 1200.0}, clock_max_mhz=1410.0)
    assert slow.invalid == "the clock fell to 1200 MHz, 85% of 1410 MHz"
    assert judged_gpu(CARD, {"clock_mhz": 1200.0, "gpu_clock_mhz": 210}).invalid is None


def test_a_quiet_board() -> None:
    found = judged_gpu(BOARD, {"clock_mhz": 1300.0})
    assert found.invalid is None
    assert found.after.gpu == {name: value for name, value in BOARD.items() if value is not None}


@pytest.mark.parametrize(
    ("after", "reason"),
    [
        ({"over_current_count": 6}, "the board counted 2 over-current events"),
        ({"throttled": True}, "the device throttled"),
        (
            {"gpu_clock_timed_min_mhz": 918.0, "gpu_clock_timed_max_mhz": 1300.5},
            "the GPU's clock moved between 918 and 1300 MHz, though it is locked",
        ),
        ({"gpu_clock_timed_min_mhz": 1299.0, "gpu_clock_timed_max_mhz": 1300.5}, None),
        (
            {
                "gpu_clock_timed_min_mhz": 918.0,
                "gpu_clock_timed_max_mhz": 1300.5,
                "clocks_locked": False,
            },
            None,
        ),
        ({"over_current_count": None}, None),
        ({"over_current_count": 3}, None),
    ],
)
def test_boards_that_were_disturbed(after: dict[str, Any], reason: str | None) -> None:
    assert judged_gpu(BOARD, after).invalid == reason


def test_a_board_as_its_agent_reads_it(tmp_path: Any) -> None:
    """From files to a verdict: the clock that jetson_clocks locked falls while iterations are timed."""
    watch = Watch(lay_out(tmp_path, ORIN | LOCKED))
    machine = {"load1": 0.1, "governor": "schedutil", "memory_free_mb": 1000.0}
    before = watch.readings(machine)
    watch.timed()
    lay_out(tmp_path, {f"{GPU}/cur_freq": "510000000\n"})
    watch.timed()
    after = watch.readings(machine)
    found = judged({**before, "clock_mhz": None}, after)
    assert found.invalid == "the GPU's clock moved between 510 and 1300 MHz, though it is locked"
    assert found.after.clock_mhz == pytest.approx(905.25)
    assert found.after.temp_c == 48.75
    assert found.after.gpu is not None
    assert found.after.gpu["rail_VDD_GPU_SOC_w"] == pytest.approx(4.0)


def test_records_of_processors_do_not_have_the_field() -> None:
    assert "gpu" not in judged().after.model_dump()
    assert "gpu" not in judged().after.model_dump(mode="json")
    kept = judged_gpu(CARD, {}).after
    assert Probe.model_validate(kept.model_dump()) == kept
