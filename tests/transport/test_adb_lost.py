"""The link is lost at the worst moments: nothing half-done counts, and no other phone is touched."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path

import pytest

from tests.support.adb_device.fixtures import MakePhone
from tests.support.adb_device.phone import Phone, wait_until
from tests.support.adb_device.server import AdbServer
from tests.support.adb_device.targets import open_phone
from vitbench.errors import ExitCode, TargetUnreachable, ToolError
from vitbench.transport.adb import AdbTransport, store
from vitbench.transport.adb import link as link_module

pytestmark = pytest.mark.adb

CYCLES = 20


@pytest.fixture
def phone(make_phone: MakePhone) -> Phone:
    """One phone."""
    return make_phone()


@pytest.fixture
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give a lost link up soon."""
    monkeypatch.setattr(AdbTransport, "recovery_s", 1.5)
    monkeypatch.setattr(link_module, "PING_S", 1.0)


def replug_later(phone: Phone, after_s: float) -> threading.Timer:
    """Put the cable back in a while."""
    timer = threading.Timer(after_s, phone.replug)
    timer.start()
    return timer


@pytest.mark.parametrize("count", [0, 1, 6, 3000])
def test_cut_output_never_becomes_a_result(phone: Phone, count: int) -> None:
    with open_phone(phone.serial) as link:
        phone.device.faults.cut_after("output", count)
        with pytest.raises(TargetUnreachable, match=r"lost during `sh`; the phone is back") as caught:
            link.execute(["sh", "-c", "echo ran >> /sdcard/runs; seq 1000"], 20)
        assert caught.value.transient is True
        assert caught.value.exit_code == ExitCode.UNREACHABLE
        assert phone.path("/sdcard/runs").read_text() == "ran\n"
        assert link.execute(["echo", "on"], 10).stdout == "on\n"


def test_a_command_in_the_middle_of_which_the_cable_is_pulled(phone: Phone) -> None:
    with open_phone(phone.serial) as link:
        threading.Timer(0.5, phone.cut).start()
        with pytest.raises(TargetUnreachable, match="lost during `sh`") as caught:
            link.execute(["sh", "-c", "sleep 61 & sleep 61"], 30)
        assert caught.value.transient is True
        wait_until(lambda: phone.processes() == [])
        assert link.execute(["echo", "on"], 10).stdout == "on\n"


def test_a_phone_that_does_not_come_back(phone: Phone, hurried: None, tmp_path: Path) -> None:
    (tmp_path / "model").write_bytes(b"weights")
    link = open_phone(phone.serial)
    scratch = link.scratch()
    phone.unplug()
    begin = time.monotonic()
    for step in (
        lambda: link.execute(["echo", "on"], 10),
        lambda: link.push(tmp_path / "model"),
        lambda: link.pull("/sdcard/x", tmp_path / "x"),
        link.scratch,
    ):
        with pytest.raises(TargetUnreachable, match=r"did not come back in 1\.5 s") as caught:
            step()
        assert caught.value.transient is True
        assert "cable or the network" in (caught.value.hint or "")
    link.close()
    assert time.monotonic() - begin < 30
    assert phone.path(scratch).exists()
    link.close()


def test_a_command_for_an_unplugged_phone_waits_for_it(phone: Phone) -> None:
    with open_phone(phone.serial) as link:
        phone.unplug()
        timer = replug_later(phone, 0.3)
        assert link.execute(["sh", "-c", "echo ran | tee -a /sdcard/runs"], 10).stdout == "ran\n"
        timer.join()
    assert phone.path("/sdcard/runs").read_text() == "ran\n"


@pytest.mark.parametrize("stay_out", [False, True])
@pytest.mark.parametrize("count", [0, 100_000, 999_999])
def test_unplugged_during_a_push(phone: Phone, tmp_path: Path, count: int, stay_out: bool) -> None:
    data = os.urandom(1_000_000)
    (tmp_path / "model").write_bytes(data)
    with open_phone(phone.serial) as link:
        phone.device.faults.cut_after("push", count, stay_out=stay_out)
        timer = replug_later(phone, 0.3)
        remote = link.push(tmp_path / "model")
        timer.join()
        assert phone.path(remote).read_bytes() == data
    assert len(list(phone.path(store.BASE).iterdir())) == 1


def test_unplugged_for_good_during_a_push(phone: Phone, hurried: None, tmp_path: Path) -> None:
    (tmp_path / "artifact").mkdir()
    for name in "abc":
        (tmp_path / "artifact" / name).write_bytes(os.urandom(300_000))
    link = open_phone(phone.serial)
    phone.device.faults.cut_after("push", 700_000, stay_out=True)
    with pytest.raises(TargetUnreachable, match=r"lost while pushing .*/c.*did not come back") as caught:
        link.push(tmp_path / "artifact")
    assert caught.value.transient is True
    # What came so far is under no name that a later push would take for whole.
    assert all(path.name.startswith(".partial-") for path in phone.path(store.BASE).iterdir())
    phone.replug()
    remote = link.push(tmp_path / "artifact")
    assert {path.name for path in phone.path(remote).iterdir()} == set("abc")
    link.close()


@pytest.mark.parametrize("stay_out", [False, True])
@pytest.mark.parametrize("count", [0, 65_536, 999_999])
def test_unplugged_during_a_pull(phone: Phone, tmp_path: Path, count: int, stay_out: bool) -> None:
    data = os.urandom(1_000_000)
    phone.path("/sdcard/result").write_bytes(data)
    with open_phone(phone.serial) as link:
        phone.device.faults.cut_after("pull", count, stay_out=stay_out)
        timer = replug_later(phone, 0.3)
        link.pull("/sdcard/result", tmp_path / "result")
        timer.join()
    assert (tmp_path / "result").read_bytes() == data


def test_unplugged_for_good_during_a_pull(phone: Phone, hurried: None, tmp_path: Path) -> None:
    phone.path("/sdcard/result").write_bytes(os.urandom(1_000_000))
    link = open_phone(phone.serial)
    phone.device.faults.cut_after("pull", 500_000, stay_out=True)
    with pytest.raises(TargetUnreachable, match="lost while pulling"):
        link.pull("/sdcard/result", tmp_path / "result")
    assert not [path for path in tmp_path.iterdir() if path.is_file()]
    link.close()


def test_a_phone_that_leaves_the_network_without_a_word(phone: Phone, hurried: None) -> None:
    """adb goes on listing it as `device`; only silence tells."""
    link = open_phone(phone.serial)
    threading.Timer(0.3, phone.fall_asleep).start()
    with pytest.raises(TargetUnreachable, match=r"lost during `sleep`, and phone .* did not come back"):
        link.execute(["sleep", "61"], 1.0)
    phone.wake()
    assert link.execute(["echo", "on"], 10).stdout == "on\n"
    wait_until(lambda: phone.processes() == [])
    link.close()


def test_what_a_silent_phone_went_on_running_is_ended(phone: Phone, monkeypatch: pytest.MonkeyPatch) -> None:
    """The phone itself never notices: its end of the old link stays open."""
    monkeypatch.setattr(link_module, "PING_S", 3.0)
    with open_phone(phone.serial) as link:

        def lose() -> None:
            """Fall asleep when the program runs, and come back when its time is up."""
            wait_until(lambda: len(phone.processes()) > 0)
            phone.fall_asleep()
            time.sleep(13.0)
            phone.roam()

        losing = threading.Thread(target=lose)
        losing.start()
        with pytest.raises(TargetUnreachable, match="lost during `sh`; the phone is back"):
            link.execute(["sh", "-c", "sleep 61 & sleep 61"], 4.0)
        losing.join()
        wait_until(lambda: phone.processes() == [])


def test_a_phone_that_no_longer_trusts_this_computer(phone: Phone) -> None:
    with open_phone(phone.serial) as link:
        phone.device.trusted = False
        phone.cut()
        phone.await_state("unauthorized")
        with pytest.raises(TargetUnreachable, match="does not trust this computer") as caught:
            link.execute(["echo", "on"], 10)
        assert caught.value.transient is False


def test_an_address_that_has_become_another_phones(make_phone: MakePhone) -> None:
    phone = make_phone()
    with open_phone(phone.serial) as link:
        phone.unplug()
        other = make_phone(connect=False, port=phone.device.port)
        with pytest.raises(TargetUnreachable, match="another phone answers") as caught:
            link.execute(["touch", "/sdcard/here"], 10)
        assert caught.value.transient is False
    assert not other.path("/sdcard/here").exists()


def test_twenty_cycles_lose_nothing_and_touch_no_other_phone(
    make_phone: MakePhone, adb_server: AdbServer, tmp_path: Path
) -> None:
    phone, bystander = make_phone(), make_phone()
    connected = bystander.device.connected
    done, lost = 0, []
    with open_phone(phone.serial) as link, open_phone(bystander.serial) as other:
        for cycle in range(CYCLES):
            (tmp_path / "model").write_bytes(b"weights %d" % cycle)
            phone.unplug()
            timer = replug_later(phone, 0.05 * (cycle % 5))
            remote = link.push(tmp_path / "model")
            timer.join()
            assert phone.path(remote).read_bytes() == b"weights %d" % cycle
            threading.Timer(0.02 * (cycle % 4), phone.cut).start()
            try:
                said = link.execute(["sh", "-c", f"sleep 0.03; echo {cycle}"], 10).stdout
                assert said == f"{cycle}\n"
                done += 1
            except TargetUnreachable as error:
                lost.append(error.transient)
            assert other.execute(["echo", str(cycle)], 10).stdout == f"{cycle}\n"
        assert link.execute(["echo", "on"], 10).stdout == "on\n"
    assert done + len(lost) == CYCLES
    assert all(lost)
    assert bystander.device.connected == connected
    assert len(list(phone.path(store.BASE).iterdir())) == CYCLES
    wait_until(lambda: phone.processes() == [])


def test_a_refusal_is_no_lost_link(phone: Phone, tmp_path: Path) -> None:
    """What the phone itself refuses is told at once, and in its words."""
    (tmp_path / "model").write_bytes(b"weights")
    with open_phone(phone.serial) as link:
        phone.device.faults.refuse = "Read-only file system"
        begin = time.monotonic()
        with pytest.raises(ToolError, match="Read-only file system"):
            link.push(tmp_path / "model")
        assert time.monotonic() - begin < 5
