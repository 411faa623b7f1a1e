"""What goes wrong with a phone and its tool, and what a user is told; nothing of it becomes a figure."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.e2e.cli import vitbench
from tests.e2e.phones import RELU, SAMPLES_US, TARGET, Inside
from tests.support import phones
from tests.support.adb_device import Phone
from tests.support.adb_device.fixtures import MakePhone
from tests.support.adb_device.phone import wait_until
from tests.support.benchmark_model import FAULTS, install
from vitbench.runtime import phone as phone_runtime
from vitbench.transport.adb import AdbTransport

pytestmark = [pytest.mark.adb, pytest.mark.tflite]
# A fault of the stand-in, and words of what a user reads of it.
TOLD = {
    "truncate": "stops in the run",
    "silent": "no benchmark_model",
    "fail": "does not say why",
    "short": "of 5",
    "old": "older than the model",
    "delegate": "XNNPACK delegate could not be applied",
    "unconsumed": "does not know --fast_math",
    "segv": "signal 11 (SIGSEGV)",
    "kill": "killed benchmark_model",
    "sleep": "did not end",
    "stale-file": "of another run",
}


@pytest.fixture(scope="module", autouse=True)
def _artifact(tmp_path_factory: pytest.TempPathFactory) -> None:
    """The model in the cache of the session."""
    done = vitbench("export", "-m", RELU, "-t", "snapdragon", cwd=tmp_path_factory.mktemp("export"))
    assert done.code == 0, done.err


@pytest.fixture
def inside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Inside:
    """The command line in this process, with a tool that is kept by a variable, and little patience."""
    monkeypatch.setenv("VITBENCH_BENCHMARK_MODEL", str(install(tmp_path, BM_SAMPLES_US=SAMPLES_US)))
    monkeypatch.setattr(AdbTransport, "recovery_s", 0.6)
    monkeypatch.setattr(phone_runtime, "SOON_S", 0.5)
    monkeypatch.setattr("vitbench.measure.take.COOLING_LIMIT_S", 4.0)
    monkeypatch.setattr("vitbench.measure.take.BACKOFF_S", (0.1,))
    return Inside(tmp_path)


@contextmanager
def at_run(phone: Phone, number: int, *, replug: bool) -> Iterator[None]:
    """Pull the cable while the tool runs for that time; put it back at once, or not at all."""
    phones.count_runs(phone, pause_at=number)
    ended = threading.Event()

    def pull() -> None:
        while phones.runs(phone) < number and not ended.wait(0.02):
            pass
        if not ended.is_set():
            phone.unplug()
            if replug:
                phone.replug()

    puller = threading.Thread(target=pull)
    puller.start()
    try:
        yield
    finally:
        ended.set()
        puller.join()


def test_every_fault_of_the_stand_in_is_tried() -> None:
    # A build that writes no result file all the same tells by its text.
    assert set(TOLD) == set(FAULTS) - {"no-file"}


@pytest.mark.parametrize("fault", TOLD)
def test_a_tool_that_fails_is_no_figure(
    fault: str, phone: Phone, inside: Inside, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(phone_runtime, "PILOT_LIMIT_S", 1.0)
    monkeypatch.setattr(phone_runtime, "SPARE_S", 0.5)
    install(inside.cwd, BM_SAMPLES_US=SAMPLES_US, BM_FAULT=fault)
    done = inside.run()
    assert done.code == 5, done.err
    assert TOLD[fault] in done.err
    assert "hint: " in done.err
    assert "Traceback" not in done.err
    assert inside.records() == []
    # A tool that does not even tell its flags is refused before the mode is entered.
    switched = phones.fixed_performance(phone)
    assert switched == [True, False] * (len(switched) // 2)
    assert bool(switched) == (fault != "silent")
    assert not phone.processes()


def test_a_result_file_that_is_not_written_is_not_missed(phone: Phone, inside: Inside) -> None:
    install(inside.cwd, BM_SAMPLES_US=SAMPLES_US, BM_FAULT="no-file")
    assert inside.run().code == 0
    (record,) = inside.records()
    assert [block.median_ms for block in record.blocks] == [1.0, 1.0]


def test_unplugged_for_good_keeps_the_finished_blocks(phone: Phone, inside: Inside) -> None:
    with at_run(phone, 4, replug=False):
        done = inside.run("--blocks", "5")
    assert done.code == 0, done.err
    (record,) = inside.records()
    assert record.status == "inconclusive"
    # The first run only tells how long an iteration takes.
    assert [block.median_ms for block in record.blocks] == [1.0, 1.0]
    assert any("went out of reach" in reason for reason in record.reasons)


def test_plugged_in_again_it_goes_on(phone: Phone, inside: Inside) -> None:
    with at_run(phone, 4, replug=True):
        done = inside.run("--blocks", "5")
    assert done.code == 0, done.err
    (record,) = inside.records()
    assert [block.median_ms for block in record.blocks] == [1.0] * 5
    assert any("block 2 does not count: the link was lost" in reason for reason in record.reasons)
    assert phones.fixed_performance(phone)[-1] is False
    wait_until(lambda: not phone.processes(), "what the lost run started still runs")


def test_a_phone_that_stays_hot_gives_no_figure(phone: Phone, inside: Inside) -> None:
    phones.heat(phone, status=2)
    done = inside.run("--blocks", "5")
    assert done.code == 0, done.err
    (record,) = inside.records()
    assert record.status == "inconclusive"
    assert {block.invalid for block in record.blocks} == {"the device throttled"}
    assert any("its thermal status is 2, not 0" in reason for reason in record.reasons)


def test_heat_within_a_block_voids_it_and_it_is_replaced(phone: Phone, inside: Inside) -> None:
    phones.count_runs(phone, hot_after=3)
    done = inside.run("--blocks", "5")
    assert done.code == 0, done.err
    (record,) = inside.records()
    assert [block.invalid is None for block in record.blocks] == [True, False, True, True, True, True]
    assert record.estimate is not None
    assert record.estimate.blocks_replaced == 1
    assert any("block 1 does not count" in reason for reason in record.reasons)


@pytest.mark.parametrize("state", ["no phone", "unauthorized", "offline", "no adb"])
def test_a_phone_that_cannot_be_reached(
    state: str, make_phone: MakePhone, inside: Inside, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = {
        "no phone": "no phone is connected for target 'snapdragon'",
        "unauthorized": "does not trust this computer",
        "offline": "is offline: it is known to adb but does not answer",
        "no adb": "there is no adb program in $PATH",
    }
    if state == "no phone":
        make_phone(connect=False)
    elif state == "no adb":
        make_phone()
        folders = [folder for folder in os.environ["PATH"].split(":") if not Path(folder, "adb").exists()]
        monkeypatch.setenv("PATH", ":".join(folders))
    elif state == "unauthorized":
        make_phone(trusted=False, connect=False).connect("unauthorized")
    else:
        away = make_phone()
        away.fall_asleep()
        away.cut()
        away.await_state("offline")
    for arguments in (["run", "-m", RELU, *TARGET], ["doctor", "-t", "snapdragon"]):
        done = inside(*arguments)
        assert done.code == 4, done.err
        assert words[state] in done.err
        assert "hint: " in done.err
    assert inside.records() == []


def test_a_full_phone(phone: Phone, inside: Inside) -> None:
    phone.device.fill_up(100)
    done = inside.run()
    assert done.code == 5
    assert f"no space on phone {phone.serial}" in done.err
    assert inside.records() == []


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"<!DOCTYPE html><title>404</title>", "a web page"),
        (b"", "empty"),
        (None, "cannot read"),
    ],
    ids=["page", "empty", "missing"],
)
def test_a_file_that_is_no_tool(content: bytes | None, words: str, phone: Phone, inside: Inside) -> None:
    path = inside.cwd / "downloaded"
    if content is not None:
        path.write_bytes(content)
    done = inside.run("--benchmark-binary", path)
    assert done.code == 2
    assert words in done.err
    assert "android_aarch64_benchmark_model" in done.err
    assert inside.records() == []


def test_a_tool_for_another_processor(make_phone: MakePhone, inside: Inside) -> None:
    phones.furnish(make_phone({**phones.STAND_IN, "ro.product.cpu.abilist": "armeabi-v7a,armeabi"}))
    path = inside.cwd / "tool"
    path.write_bytes(phones.program_for("arm64-v8a"))
    done = inside.run("--benchmark-binary", path)
    assert done.code == 2
    assert "is a program for arm64-v8a, and the phone executes armeabi-v7a" in done.err


def test_a_tool_that_the_phone_cannot_execute(make_phone: MakePhone, inside: Inside) -> None:
    """Its header promises what the phone asks for; the phone's system has the last word."""
    phone = phones.furnish(make_phone(phones.STAND_IN))
    path = inside.cwd / "tool"
    path.write_bytes(phones.program_for("arm64-v8a"))
    done = inside.run("--benchmark-binary", path)
    assert done.code == 5, done.err
    assert "hint: " in done.err
    assert "Traceback" not in done.err
    assert inside.records() == []
    assert phones.fixed_performance(phone) == []


def test_no_tool_at_all(phone: Phone, inside: Inside, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("VITBENCH_BENCHMARK_MODEL")
    monkeypatch.setenv("XDG_DATA_HOME", str(inside.cwd / "data"))
    done = inside.run()
    assert done.code == 2
    assert "vitbench targets setup snapdragon" in done.err
