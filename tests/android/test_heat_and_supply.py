"""Temperatures, the battery, and the screen, in the words of several versions of Android."""

from __future__ import annotations

import pytest

from tests.android.phone import DUMPS
from vitbench.android.battery import parse_battery, parse_saver, parse_screen
from vitbench.android.kernel import Kernel, parse_kernel
from vitbench.android.thermal import parse_thermal


def test_temperatures_of_now_and_not_the_cached_ones() -> None:
    found = parse_thermal((DUMPS / "thermal_12.txt").read_text())
    assert found is not None
    assert (found.status, found.throttled) == (0, False)
    assert (found.cpu_c, found.skin_c, found.hottest_c("GPU")) == (38.25, 31.5, 35.5)
    assert [each.name for each in found.temperatures if each.kind == "CPU"] == ["cpu-0-0", "cpu-1-2"]
    assert found.hottest_c("UNKNOWN") == 36.0


def test_a_name_that_says_its_kind_wins_over_a_number_of_the_maker() -> None:
    found = parse_thermal((DUMPS / "thermal_10_own_numbers.txt").read_text())
    assert found is not None
    assert (found.status, found.throttled) == (2, True)
    assert (found.cpu_c, found.skin_c) == (41.5, 39.2)


def test_cached_temperatures_and_a_status_without_sensors_are_no_measurement() -> None:
    found = parse_thermal((DUMPS / "thermal_cached_only.txt").read_text())
    assert found is not None
    assert (found.status, found.throttled, found.temperatures, found.cpu_c) == (None, None, (), None)


def test_a_status_that_somebody_set_is_none() -> None:
    text = (DUMPS / "thermal_12.txt").read_text().replace("IsStatusOverride: false", "IsStatusOverride: true")
    found = parse_thermal(text)
    assert found is not None
    assert found.status is None
    assert found.cpu_c == 38.25


def test_the_whole_chip_where_the_cores_have_no_sensor() -> None:
    found = parse_thermal(
        "Thermal Status: 1\nCurrent temperatures from HAL:\n"
        "\tTemperature{mValue=47.5, mType=13, mName=soc, mStatus=0}\n"
        "\tTemperature{mValue=x}\n\tTemperature{}\n"
    )
    assert found is not None
    assert (found.throttled, found.cpu_c, found.skin_c) == (True, 47.5, None)


@pytest.mark.parametrize("text", ["", "Can't find service: thermalservice\n", "\n\n"])
def test_phones_without_a_thermal_service(text: str) -> None:
    assert parse_thermal(text) is None


def test_the_battery() -> None:
    text = (DUMPS / "battery_usb.txt").read_text()
    found = parse_battery(text)
    assert found is not None
    assert (found.level_percent, found.temp_c, found.plugged, found.status, found.faked) == (
        87,
        29.1,
        ("USB",),
        "charging",
        False,
    )
    loose = parse_battery(
        text.replace("true", "false").replace("status: 2", "status: 3").replace("100", "200")
    )
    assert loose is not None
    assert (loose.level_percent, loose.plugged, loose.status) == (43.5, (), "discharging")
    bare = parse_battery("  level: 50\n  temperature: -35\n")
    assert bare is not None
    assert (bare.level_percent, bare.temp_c, bare.plugged, bare.status) == (50, -3.5, None, None)
    assert parse_battery("Can't find service: battery\n") is None


@pytest.mark.parametrize(
    ("text", "on"),
    [
        ("  mWakefulness=Asleep\nDisplay Power: state=OFF\n", False),
        ("  mWakefulness=Dozing\nDisplay Power: state=DOZE\n", False),
        ("  mWakefulness=Awake\nDisplay Power: state=ON\n", True),
        ("  mWakefulness=Awake\n  mWakefulnessChanging=false\n", True),
        ("  mWakefulness=Asleep\n", False),
        ("", None),
    ],
)
def test_the_screen(text: str, on: bool | None) -> None:
    assert parse_screen(text) is on


@pytest.mark.parametrize(
    ("text", "on"), [("0\n", False), ("1\n", True), ("null\n", False), ("", None), ("?", None)]
)
def test_the_battery_saver(text: str, on: bool | None) -> None:
    assert parse_saver(text) is on


def test_the_kernel() -> None:
    found = parse_kernel(
        "load=0.50 0.40 0.30 1/100 9\nuptime=12.5 40.0\n"
        "MemTotal:  2048 kB\nSwapTotal: 4096 kB\nSwapFree: 1024 kB\n"
        "cpu 1 2 3 4 5 6 7 8 0 0\ncpu0 1 2 3 4 5 6 7 8 0 0\ncpu3 1 2 3 4 5 6 7 8 0 0\n"
    )
    assert found == Kernel(
        load1=0.5,
        uptime_s=12.5,
        memory_total_mb=2.0,
        swap_used_mb=3.0,
        cpu_count=2,
        cpu_busy_ns=(1 + 2 + 3 + 6 + 7) * 10_000_000,
        cpu_idle_ns=9 * 10_000_000,
        cpu_steal_ns=8 * 10_000_000,
    )
    assert parse_kernel("load=\nuptime=\ncpu 1 2 x\n") == Kernel()
