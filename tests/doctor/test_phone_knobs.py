"""Each knob of a phone: what it makes of what a real shell reads, and its fix."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.android.phone import PROPERTIES, FakePhone
from vitbench.android import kernel, state
from vitbench.android.battery import Battery
from vitbench.android.power import FixedPerformance
from vitbench.android.shell import ask
from vitbench.android.thermal import Temperature, Thermal
from vitbench.benchmark_model.binary import Binary
from vitbench.benchmark_model.flags import Flags
from vitbench.benchmark_model.matters import meanings
from vitbench.benchmark_model.place import Place
from vitbench.doctor.machine import Finding, Machine, Verdict
from vitbench.doctor.phone_knobs import SPEED
from vitbench.doctor.phone_needs import FIRST, LAST, listed
from vitbench.doctor.phone_state import Handset
from vitbench.errors import ToolError, UsageError
from vitbench.runtime.phone import Tool

OPTIONS = {"threads": 1, "cluster": "big", "fixed_performance": True, "ceiling_c": 38.0}
SHELL = "adb -s A1 shell"
NOTHING = state.PhoneState(
    phone=state.soc.parse_phone(""),
    cores=(),
    thermal=None,
    battery=None,
    screen_on=None,
    battery_saver=None,
    kernel=kernel.Kernel(),
)


@pytest.fixture
def fake(tmp_path: Path) -> FakePhone:
    return FakePhone(tmp_path / "phone")


def tool(*without: str, dialect: str = "tflite", abi: str | None = "arm64-v8a") -> Tool:
    known = {"graph", "num_runs", "num_threads", "warmup_runs", *meanings(dialect)} - set(without)  # type: ignore[arg-type]
    flags = Flags(dialect, dict.fromkeys(known, ""))  # type: ignore[arg-type]
    return Tool("/data/tool", Binary(Path("/here/tool"), "ab" * 32, abi), flags, simulated=False)


def handset(found: state.PhoneState, **changes: Any) -> Handset:
    phone = Handset(
        serial="A1",
        state=found,
        later=found.kernel,
        options=OPTIONS,
        free_mb=5000.0,
        fixed=FixedPerformance(active=True, answer=""),
        place=Place(Path("/here/tool"), "kept by setup"),
        tool=tool(),
        checker="2.3.0",
        here=Machine({}, {}, {}),
    )
    return replace(phone, **changes)


def read(fake: FakePhone, **changes: Any) -> Handset:
    return handset(state.read(fake.run), **changes)


def judged(name: str, phone: Handset) -> Finding:
    (knob,) = [knob for knob in (*FIRST, *SPEED, *LAST) if knob.name == name]
    return knob.judge(phone)


def test_every_knob_of_a_healthy_phone(fake: FakePhone) -> None:
    found = {knob.name: knob.judge(read(fake)) for knob in (*FIRST, *SPEED, *LAST)}
    good = {name for name, finding in found.items() if finding.verdict is Verdict.OK}
    assert set(found) - good == {"governor", "battery", "other programs", "disk", "versions"}
    assert found["phone"].seen == "Heron Kite 5, Snapdragon 8 Gen 2 (SM8550), Android 13, arm64-v8a"
    assert (
        found["cores"].seen == "a measurement uses big: CPUs 3-7, mask f8; 3 + 4 + 1 cores from slow to fast"
    )
    assert found["clocks"].seen == "may reach 3187 and 2803 MHz"
    # It is on the cable by which it is reached.
    assert "charging warms the phone" in found["battery"].seen
    # Nobody waited between the readings.
    assert found["other programs"].verdict is Verdict.UNKNOWN


def test_what_a_phone_does_not_tell_is_never_ok() -> None:
    silent = handset(NOTHING, free_mb=None, serial="A1")
    own = {"connection", "fixed performance", "benchmark_model", "parity check", "threads"}
    for knob in (*FIRST, *SPEED, *LAST):
        if knob.name not in own:
            assert knob.judge(silent).verdict in (Verdict.UNKNOWN, Verdict.FAIL), knob.name
    assert judged("threads", silent).verdict is Verdict.UNKNOWN
    # Without clusters a measurement is refused.
    assert judged("cores", silent).verdict is Verdict.FAIL


def test_only_a_verdict_that_asks_for_something_has_a_fix(fake: FakePhone) -> None:
    for knob in (*FIRST, *SPEED, *LAST):
        finding = knob.judge(read(fake))
        assert (finding.fix is not None) == (finding.verdict in (Verdict.WARN, Verdict.FAIL)), knob.name


@pytest.mark.parametrize(
    ("serial", "verdict", "word"),
    [
        ("R5CT10ABC", "ok", "USB"),
        ("192.168.1.7:5555", "warn", "wireless"),
        ("adb-R5CT-xYz._adb-tls-connect._tcp", "warn", "wireless"),
        ("emulator-5554", "warn", "emulator"),
    ],
)
def test_how_it_is_connected(serial: str, verdict: str, word: str) -> None:
    finding = judged("connection", handset(NOTHING, serial=serial))
    assert finding.verdict == verdict
    assert word in finding.seen


@pytest.mark.parametrize(
    ("cluster", "threads", "cores", "threads_verdict", "fix"),
    [
        ("big", 5, "big: CPUs 3-7, mask f8", "ok", None),
        ("prime", 1, "prime: CPU 7, mask 80", "ok", None),
        ("prime", 3, "prime: CPU 7, mask 80", "fail", "--threads 1, or --cluster little"),
        ("little", 4, "little: CPUs 0-2, mask 7", "fail", "--threads 3, or --cluster big"),
        ("big", 9, "big: CPUs 3-7, mask f8", "fail", "--threads 5"),
    ],
)
def test_threads_and_cores(
    cluster: str, threads: int, cores: str, threads_verdict: str, fix: str | None, fake: FakePhone
) -> None:
    phone = read(fake, options={**OPTIONS, "cluster": cluster, "threads": threads})
    assert cores in judged("cores", phone).seen
    finding = judged("threads", phone)
    assert (finding.verdict, finding.fix) == (threads_verdict, fix)


def test_a_cluster_that_is_not_there_and_cores_that_sleep(fake: FakePhone) -> None:
    fake.write("sys/devices/system/cpu/online", "0-6\n")
    big = judged("cores", read(fake))
    assert (big.verdict, big.fix) == (Verdict.WARN, f"{SHELL} input keyevent KEYCODE_WAKEUP")
    assert "offline: CPU 7" in big.seen
    prime = judged("cores", read(fake, options={**OPTIONS, "cluster": "prime"}))
    assert prime.verdict is Verdict.FAIL


def test_clocks_that_are_held_down_are_named(fake: FakePhone) -> None:
    fake.core(7, 3_187_200, limit_khz=2_000_000)
    finding = judged("clocks", read(fake))
    assert finding.verdict is Verdict.WARN
    assert finding.seen == "held down: CPU 7 at most 2000 of 3187 MHz"
    assert judged("clocks", read(fake, options={**OPTIONS, "cluster": "little"})).verdict is Verdict.OK


def test_the_governor(fake: FakePhone) -> None:
    finding = judged("governor", read(fake))
    assert finding.verdict is Verdict.WARN
    assert finding.fix == (
        f"{SHELL} su -c \"'echo performance | tee /sys/devices/system/cpu/cpu*/cpufreq/scaling_governor'\""
    )
    for cpu in range(3, 8):
        fake.core(cpu, 3_000_000, governor="performance")
    assert judged("governor", read(fake)).verdict is Verdict.OK


def thermal(status: int | None, **sensors: float) -> Callable[[Handset], Handset]:
    temperatures = tuple(Temperature(kind, kind, degrees) for kind, degrees in sensors.items())
    return lambda phone: replace(
        phone, state=replace(phone.state, thermal=Thermal(status, temperatures), battery=None)
    )


@pytest.mark.parametrize(
    ("change", "status", "temperature"),
    [
        (thermal(0, SKIN=30.0, CPU=60.0), "ok", "ok"),
        (thermal(1, SKIN=30.0), "fail", "ok"),
        (thermal(6, SKIN=38.1), "fail", "fail"),
        (thermal(0, SKIN=38.0), "ok", "ok"),
        (thermal(None, CPU=99.0), "unknown", "unknown"),
    ],
)
def test_heat(change: Callable[[Handset], Handset], status: str, temperature: str, fake: FakePhone) -> None:
    phone = change(read(fake))
    assert judged("thermal status", phone).verdict == status
    assert judged("temperature", phone).verdict == temperature


@pytest.mark.parametrize(
    ("battery", "verdict", "word"),
    [
        (Battery(90.0, 27.0, ("USB",), "full"), "ok", "90 %, full, plugged in by USB"),
        (Battery(90.0, 27.0, (), "discharging"), "ok", "not plugged in"),
        (Battery(90.0, 27.0, ("AC",), "charging"), "warn", "charging warms"),
        (Battery(19.0, 27.0, (), "discharging"), "warn", "slow down"),
        (Battery(90.0, 27.0, None, None), "unknown", "not told"),
        (Battery(90.0, 27.0, (), "full", faked=True), "unknown", "by hand"),
        (Battery(None, 27.0, (), "full"), "unknown", "does not tell"),
        (None, "unknown", "does not tell"),
    ],
)
def test_the_battery(battery: Battery | None, verdict: str, word: str) -> None:
    finding = judged("battery", handset(replace(NOTHING, battery=battery)))
    assert finding.verdict == verdict
    assert word in finding.seen


def test_saver_and_screen() -> None:
    on = handset(replace(NOTHING, battery_saver=True, screen_on=True))
    off = handset(replace(NOTHING, battery_saver=False, screen_on=False))
    assert judged("battery saver", on).fix == f"{SHELL} settings put global low_power 0"
    assert judged("battery saver", off).verdict is Verdict.OK
    assert judged("screen", on).verdict is Verdict.OK
    assert judged("screen", off).fix == f'{SHELL} "input keyevent KEYCODE_WAKEUP; svc power stayon true"'


@pytest.mark.parametrize(
    ("fixed", "verdict", "word"),
    [
        (FixedPerformance(active=True, answer=""), "ok", "supported"),
        (
            FixedPerformance(active=False, answer="x\nUnknown command"),
            "warn",
            "not supported: Unknown command",
        ),
        (FixedPerformance(active=False, answer=""), "warn", "not supported"),
        (ToolError("would not leave", "adb shell ..."), "fail", "would not leave"),
        (None, "warn", "does not ask for it"),
    ],
)
def test_the_mode_for_benchmarks(fixed: Any, verdict: str, word: str) -> None:
    finding = judged("fixed performance", handset(NOTHING, fixed=fixed))
    assert finding.verdict == verdict
    assert word in finding.seen


@pytest.mark.parametrize(("busy_s", "verdict"), [(0.0, "ok"), (0.9, "ok"), (1.1, "warn")])
def test_other_programs_by_the_time_they_use(busy_s: float, verdict: str, fake: FakePhone) -> None:
    phone = read(fake)
    first = phone.state.kernel
    assert first.uptime_s is not None
    assert first.cpu_busy_ns is not None
    later = replace(first, uptime_s=first.uptime_s + 2, cpu_busy_ns=first.cpu_busy_ns + int(busy_s * 1e9))
    finding = judged("other programs", replace(phone, later=later))
    assert finding.verdict == verdict
    assert f"{busy_s / 2:.2f} of 8 CPUs busy; load average 3.21" in finding.seen


@pytest.mark.parametrize(
    ("free_mb", "verdict"), [(63.0, "fail"), (1000.0, "warn"), (1024.0, "ok"), (None, "unknown")]
)
def test_space(free_mb: float | None, verdict: str) -> None:
    finding = judged("free space", handset(NOTHING, free_mb=free_mb))
    assert finding.verdict == verdict
    assert (finding.fix == f"{SHELL} rm -r /data/local/tmp/vitbench") == (verdict in ("warn", "fail"))


@pytest.mark.parametrize(
    ("free_mb", "verdict"), [(255.0, "fail"), (1000.0, "warn"), (1024.0, "ok"), (None, "unknown")]
)
def test_memory(free_mb: float | None, verdict: str) -> None:
    later = kernel.Kernel(memory_free_mb=free_mb, memory_total_mb=8000.0)
    assert judged("free memory", handset(NOTHING, later=later)).verdict == verdict


@pytest.mark.parametrize(
    ("found", "verdict", "words"),
    [
        (
            tool(),
            "ok",
            "TensorFlow Lite's tool, /here/tool (kept by setup), for arm64-v8a, sha256 abababababab",
        ),
        (tool(dialect="litert"), "ok", "LiteRT's tool"),
        (tool(abi=None), "ok", "for a stand-in"),
        (tool("result_file_path", "min_secs"), "warn", "without --min_secs, --result_file_path"),
        (tool("use_xnnpack"), "fail", "older than XNNPACK"),
        (tool("use_cpu", dialect="litert"), "fail", "has no --use_cpu"),
        (UsageError("there is none", "get one"), "fail", "there is none"),
    ],
)
def test_the_tool(found: Any, verdict: str, words: str) -> None:
    finding = judged("benchmark_model", handset(NOTHING, tool=found))
    assert finding.verdict == verdict
    assert words in finding.seen
    assert (finding.fix is None) == (verdict == "ok")


def test_without_an_interpreter_here_nothing_is_checked() -> None:
    finding = judged("parity check", handset(NOTHING, checker=UsageError("not installed", "pip install it")))
    assert (finding.verdict, finding.fix) == (Verdict.FAIL, "pip install it")


def test_a_serial_number_in_a_command_is_one_word() -> None:
    finding = judged("screen", handset(replace(NOTHING, screen_on=False), serial="a;b$(c)"))
    assert finding.fix is not None
    assert finding.fix.startswith("adb -s 'a;b$(c)' shell ")


def test_numbers_of_cpus() -> None:
    assert [listed(cpus) for cpus in ((), (7,), (0, 1, 2, 5), (3, 1))] == ["", "7", "0-2,5", "1,3"]


def test_the_phone_that_does_not_say_its_chip(fake: FakePhone) -> None:
    fake.properties(
        {name: value for name, value in PROPERTIES.items() if "soc" not in name and "board" not in name}
    )
    fake.write("proc/cpuinfo", "processor : 0\n")
    told = ask(fake.run, {"phone": state.soc.COMMANDS})["phone"].replace("ro.hardware=qcom", "ro.hardware=")
    finding = judged("phone", handset(replace(NOTHING, phone=state.soc.parse_phone(told))))
    assert finding.verdict is Verdict.UNKNOWN
    assert finding.seen.endswith("not told: SoC")
