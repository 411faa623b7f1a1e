"""Which phone is meant and whether it may be used, with the real adb."""

from __future__ import annotations

import pytest

from tests.support.adb_device.fixtures import MakePhone
from tests.support.adb_device.server import AdbServer
from tests.support.adb_device.targets import open_phone, phone_target
from vitbench import transport
from vitbench.errors import TargetUnreachable, UsageError
from vitbench.transport.adb import AdbTransport

pytestmark = pytest.mark.adb


def test_the_only_phone_is_taken(make_phone: MakePhone) -> None:
    phone = make_phone({"ro.product.model": "One; Two $(id)"})
    with transport.open(phone_target()) as opened:
        assert isinstance(opened, AdbTransport)
        assert opened.serial == phone.serial
        told = opened.describe()
    assert told["transport"] == "adb"
    assert told["serial"] == phone.serial
    assert told["model"] == "One; Two $(id)"
    assert told["manufacturer"] == "vitbench"
    assert told["abi"] == "arm64-v8a"
    assert told["android"] == "13"
    assert told["adb_version"].startswith("1.0.")


def test_no_phone(make_phone: MakePhone) -> None:
    with pytest.raises(TargetUnreachable, match="no phone is connected for target 'phone'") as caught:
        open_phone()
    assert caught.value.transient is False
    assert "USB debugging" in (caught.value.hint or "")


def test_two_phones_and_no_serial_number(make_phone: MakePhone, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = make_phone(), make_phone()
    with pytest.raises(UsageError, match="2 phones are connected") as caught:
        open_phone()
    assert first.serial in caught.value.message
    assert second.serial in caught.value.message
    assert "--serial" in (caught.value.hint or "")
    with open_phone(second.serial) as opened:
        assert opened.serial == second.serial
        opened.execute(["touch", "/sdcard/here"], 10)
    monkeypatch.setenv("ANDROID_SERIAL", first.serial)
    with open_phone() as opened:
        assert opened.serial == first.serial
    with open_phone(second.serial) as opened:
        assert opened.serial == second.serial
    assert second.path("/sdcard/here").exists()
    assert not first.path("/sdcard/here").exists()


def test_an_empty_android_serial_asks_for_nothing(
    make_phone: MakePhone, monkeypatch: pytest.MonkeyPatch
) -> None:
    phone = make_phone()
    monkeypatch.setenv("ANDROID_SERIAL", "")
    with open_phone() as opened:
        assert opened.serial == phone.serial


def test_an_unknown_serial_number(make_phone: MakePhone, monkeypatch: pytest.MonkeyPatch) -> None:
    phone = make_phone()
    with pytest.raises(TargetUnreachable, match="no phone R58M41, which the target asks for,") as caught:
        open_phone("R58M41")
    assert phone.serial in caught.value.message
    assert caught.value.transient is False
    monkeypatch.setenv("ANDROID_SERIAL", "-d; rm")
    with pytest.raises(TargetUnreachable, match=r"no phone -d; rm, which \$ANDROID_SERIAL asks for,"):
        open_phone()


def test_a_phone_on_the_network_is_connected(make_phone: MakePhone) -> None:
    phone = make_phone(connect=False)
    assert phone.state is None
    with open_phone(phone.serial) as opened:
        assert opened.execute(["echo", "here"], 10).stdout == "here\n"
    assert phone.state == "device"


def test_nothing_at_that_address(make_phone: MakePhone) -> None:
    phone = make_phone(connect=False)
    phone.unplug()
    with pytest.raises(TargetUnreachable, match=f"no phone answers at {phone.serial} .*refused") as caught:
        open_phone(phone.serial)
    assert caught.value.transient is False
    assert f"adb connect {phone.serial}" in (caught.value.hint or "")


def test_a_phone_that_does_not_trust_this_computer(make_phone: MakePhone) -> None:
    phone = make_phone(trusted=False, connect=False)
    phone.connect("unauthorized")
    for serial in (None, phone.serial):
        with pytest.raises(TargetUnreachable, match="does not trust this computer") as caught:
            open_phone(serial)
        assert caught.value.transient is False
        assert "accept the question about USB debugging on its screen" in (caught.value.hint or "")
    phone.device.trusted = True
    phone.disconnect()
    with open_phone(phone.serial) as opened:
        assert opened.serial == phone.serial


def test_a_phone_that_is_offline(
    make_phone: MakePhone, adb_server: AdbServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(AdbTransport, "recovery_s", 1.0)
    phone = make_phone()
    phone.fall_asleep()
    phone.cut()
    phone.await_state("offline")
    with pytest.raises(TargetUnreachable, match=f"phone {phone.serial} is offline") as caught:
        open_phone(phone.serial)
    assert caught.value.transient is True
    assert "plug it in again" in (caught.value.hint or "")
    phone.wake()
    monkeypatch.setattr(AdbTransport, "recovery_s", 20.0)
    with open_phone(phone.serial) as opened:
        assert opened.serial == phone.serial


def test_a_phone_that_tells_no_exit_codes(make_phone: MakePhone) -> None:
    phone = make_phone(features=["cmd", "stat_v2"])
    with pytest.raises(TargetUnreachable, match=r"too old: .*shell_v2") as caught:
        open_phone(phone.serial)
    assert caught.value.transient is False


def test_phones_start_no_agents(make_phone: MakePhone) -> None:
    make_phone()
    with open_phone() as opened, pytest.raises(UsageError, match="phones have no Python") as caught:
        opened.start_agent("onnxruntime agent on `phone`")
    assert "benchmark_model" in (caught.value.hint or "")


def test_two_phones_at_once(make_phone: MakePhone) -> None:
    phones = [make_phone(), make_phone()]
    with open_phone(phones[0].serial) as first, open_phone(phones[1].serial) as second:
        for opened, word in ((first, "one"), (second, "two")):
            opened.execute(["sh", "-c", f"echo {word} > /sdcard/word"], 10)
        scratch = first.scratch()
        assert phones[0].path(scratch).is_dir()
        assert not phones[1].path(scratch).exists()
    assert [phone.path("/sdcard/word").read_text() for phone in phones] == ["one\n", "two\n"]


def test_nothing_is_printed(make_phone: MakePhone, capfd: pytest.CaptureFixture[str]) -> None:
    make_phone()
    with open_phone() as opened:
        opened.execute(["echo", "loud"], 10)
        opened.scratch()
    assert capfd.readouterr() == ("", "")
