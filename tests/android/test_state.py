"""The whole state of a phone, read by a real shell, and judged as the measurement judges it."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from tests.android.phone import FakePhone
from vitbench.android import state
from vitbench.android.clusters import mask_for
from vitbench.errors import ToolError
from vitbench.measure.witness import judge, temperature_c


def test_reads_everything_in_one_round_trip(phone: FakePhone) -> None:
    found = state.read(phone.run)
    assert len(phone.calls) == 1
    assert found.phone.model == "Heron Kite 5"
    assert found.phone.soc is not None
    assert found.phone.soc.name == "Snapdragon 8 Gen 2"
    assert [core.cpu for core in found.cores] == list(range(8))
    assert found.thermal is not None
    assert found.thermal.cpu_c == 38.25
    assert found.battery is not None
    assert found.battery.level_percent == 87
    assert (found.screen_on, found.battery_saver) == (True, False)
    assert found.kernel.load1 == 3.21


def test_the_readings_are_the_witnesses_of_a_measurement(phone: FakePhone) -> None:
    readings = state.read(phone.run).readings()
    assert readings == {
        "clock_mhz": 3187.2,
        "clock_max_mhz": 3187.2,
        "governor": "walt",
        "temp_c": 38.25,
        "skin_c": 31.5,
        "thermal_status": 0,
        "throttled": False,
        "battery_c": 29.1,
        "battery_percent": 87.0,
        "plugged": "USB",
        "load1": 3.21,
        "uptime_s": 86400.52,
        "memory_free_mb": 2000.0,
        "memory_total_mb": pytest.approx(7629.4, abs=0.1),
        "cpu_count": 8,
        "cpu_busy_ns": (1000 + 20 + 300 + 7 + 8) * 10_000_000,
        "cpu_idle_ns": 5060 * 10_000_000,
        "cpu_steal_ns": 9 * 10_000_000,
        "screen_on": True,
        "battery_saver": False,
    }
    judged = judge(readings, {**readings, "uptime_s": 86410.0}, threads=1, clock_max_mhz=3187.2)
    assert judged.invalid is None
    assert judged.after.temp_c == temperature_c(readings) == 38.25
    assert judged.after.throttled is False
    # Nobody says how much of the busy time was the tool's own.
    assert "foreign_cpu" in judged.after.unknown


def test_a_clock_that_heat_holds_down_voids_a_block(phone: FakePhone) -> None:
    before = state.read(phone.run)
    mask = mask_for(before.cores, "prime", 1)
    phone.core(7, 3_187_200, limit_khz=2_000_000)
    after = state.read(phone.run)
    assert after.capped_cpus() == after.capped_cpus(mask) == (7,)
    judged = judge(before.readings(mask), after.readings(mask), threads=1, clock_max_mhz=None)
    assert judged.invalid == "the clock fell to 2000 MHz, 63% of 3187 MHz"
    # The other clusters may still run at full speed.
    little = mask_for(after.cores, "little", 3)
    assert (
        judge(before.readings(little), after.readings(little), threads=1, clock_max_mhz=None).invalid is None
    )


def test_a_phone_that_says_it_throttles_voids_a_block(phone: FakePhone) -> None:
    before = state.read(phone.run).readings()
    phone.dump("thermal", "thermal_10_own_numbers")
    after = state.read(phone.run).readings()
    assert after["thermal_status"] == 2
    assert judge(before, after, threads=1, clock_max_mhz=None).invalid == "the device throttled"


def test_a_phone_that_tells_nothing(phone: FakePhone) -> None:
    def nothing(argv: Sequence[str]) -> str:
        silenced = [word.replace("/sys/", "/nowhere/").replace("/proc/", "/nowhere/") for word in argv]
        return phone.run(silenced)

    for name in ("getprop", "dumpsys", "settings"):
        phone.program(name, "echo denied >&2; exit 1")
    found = state.read(nothing)
    assert found.readings() == {}
    assert (found.cores, found.thermal, found.battery, found.screen_on) == ((), None, None, None)
    assert (found.phone.soc, found.phone.abis, found.phone.sdk) == (None, (), None)
    judged = judge(found.readings(), found.readings(), threads=1, clock_max_mhz=None)
    assert judged.invalid is None
    assert {"clock_mhz", "temp_c", "throttled"} <= set(judged.after.unknown)


def test_figures_of_the_battery_that_somebody_set_are_no_witness(phone: FakePhone) -> None:
    text = (phone.root / "battery.txt").read_text()
    phone.write(
        "battery.txt", text.replace("state:", "state:\n  (UPDATES STOPPED -- use 'reset' to restart)")
    )
    found = state.read(phone.run)
    assert found.battery is not None
    assert found.battery.faked
    assert "battery_percent" not in found.readings()


def test_an_answer_that_was_cut_is_none(phone: FakePhone) -> None:
    with pytest.raises(ToolError, match="stops before its end"):
        state.read(lambda argv: phone.run(argv)[:-8])
