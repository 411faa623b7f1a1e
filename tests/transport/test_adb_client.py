"""What adb prints, which phone is meant, and files as they are to lie on a phone: without any phone."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from tests.support.adb_device.targets import phone_target as phone
from vitbench import transport
from vitbench.errors import ExitCode, TargetUnreachable, UsageError, VitbenchError
from vitbench.transport.adb import choice
from vitbench.transport.adb.client import Adb, parse_devices, parse_version
from vitbench.transport.posix.scripts import free_bytes
from vitbench.transport.posix.tree import read_tree

LISTING = """\
* daemon not running; starting now at tcp:5037
* daemon started successfully
List of devices attached
R58M41ABCDE\tdevice
192.168.1.7:5555\toffline
0123456789\tno permissions (user in plugdev group; are your udev rules wrong?); see [http://example.org]
emulator-5554\tunauthorized

"""


def stand_in(monkeypatch: pytest.MonkeyPatch, folder: Path, body: str) -> None:
    """Put an adb program of the test's own into $PATH."""
    program = folder / "adb"
    program.write_text(f"#!/bin/sh\n{body}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")


def test_reads_the_list_of_devices() -> None:
    assert parse_devices(LISTING) == {
        "R58M41ABCDE": "device",
        "192.168.1.7:5555": "offline",
        "0123456789": "no permissions (user in plugdev group; are your udev rules wrong?); see [http://example.org]",
        "emulator-5554": "unauthorized",
    }
    assert parse_devices("List of devices attached\r\nA\tdevice\r\n\r\n") == {"A": "device"}
    assert parse_devices("List of devices attached\n\n") == {}
    assert parse_devices("") == {}


@pytest.mark.parametrize(
    ("text", "version"),
    [
        (
            "Android Debug Bridge version 1.0.41\nVersion 29.0.6-debian\nInstalled as /x\n",
            "1.0.41 (29.0.6-debian)",
        ),
        ("Android Debug Bridge version 1.0.32\n", "1.0.32"),
        ("something else", "unknown"),
    ],
)
def test_reads_the_version(text: str, version: str) -> None:
    assert parse_version(text) == version


@pytest.mark.parametrize(
    ("listing", "free"),
    [
        (
            "Filesystem 1K-blocks Used Available Use% Mounted on\n/dev/dm-9 110000 90000 20000 82% /data\n",
            20480000,
        ),
        (
            "Filesystem 1K-blocks Used Available Use% Mounted on\n/dev/a/very/long/name\n 9 9 0 100% /data\n",
            0,
        ),
        ("df: /data: Permission denied\n", None),
        ("", None),
    ],
)
def test_reads_free_space(listing: str, free: int | None) -> None:
    assert free_bytes(listing) == free


@pytest.mark.parametrize(
    ("serial", "address"),
    [
        ("192.168.1.7:5555", True),
        ("phone.local:37099", True),
        ("[fe80::1]:5555", True),
        ("R58M41ABCDE", False),
        ("emulator-5554", False),
        ("adb-R58M-x1y2z3._adb-tls-connect._tcp.", False),
        (":5555", False),
    ],
)
def test_knows_phones_on_the_network(serial: str, address: bool) -> None:
    assert choice.is_address(serial) is address


@pytest.mark.parametrize(
    ("state", "said", "advice", "transient"),
    [
        (None, "no phone A9 among those connected: B1 (device)", "--serial", False),
        ("unauthorized", "does not trust this computer", "accept the question", False),
        ("authorizing", "does not trust this computer", "accept the question", False),
        ("no permissions (udev)", "may not open phone A9", "udev rules", False),
        ("offline", "phone A9 is offline", "plug it in again", True),
        ("connecting", "phone A9 is connecting", "plug it in again", True),
        ("recovery", "in state 'recovery'", "start Android", False),
    ],
)
def test_every_state_has_its_own_words(state: str | None, said: str, advice: str, transient: bool) -> None:
    error = choice.refusal("A9", state, {"B1": "device"})
    assert isinstance(error, TargetUnreachable)
    assert said in error.message
    assert advice in (error.hint or "")
    assert error.transient is transient
    assert error.exit_code == ExitCode.UNREACHABLE


@pytest.mark.parametrize("serial", ["", "two words", "a\nb", "a\0b", "größe"])
def test_a_target_with_an_impossible_serial_number_is_refused(serial: str) -> None:
    with pytest.raises(ValueError, match="serial"):
        phone(serial)


def test_no_adb_program(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(TargetUnreachable, match="no adb program in") as caught:
        transport.open(phone())
    assert caught.value.transient is False
    assert "apt-get install adb" in (caught.value.hint or "")


def test_an_adb_that_cannot_be_run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    stand_in(monkeypatch, tmp_path, "")
    (tmp_path / "adb").write_bytes(b"\x7fELF nothing")
    with pytest.raises(TargetUnreachable, match=r"cannot run .*/adb: Exec format error"):
        transport.open(phone())


def test_a_server_that_cannot_be_reached(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    stand_in(
        monkeypatch,
        tmp_path,
        "echo 'adb: failed to check server version: cannot connect to daemon' >&2; exit 1",
    )
    with pytest.raises(TargetUnreachable, match=r"adb server cannot be reached: .*cannot connect") as caught:
        transport.open(phone())
    assert caught.value.transient is False


def test_an_adb_that_says_nothing_of_use(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    stand_in(monkeypatch, tmp_path, "echo 'no such command'; exit 3")
    with pytest.raises(TargetUnreachable, match="`adb devices` gives no answer: no such command"):
        transport.open(phone())


def test_an_adb_that_hangs_is_stopped(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    stand_in(monkeypatch, tmp_path, "exec sleep 60")
    begin = time.monotonic()
    answer = Adb().run("devices", timeout_s=0.3)
    assert answer.timed_out
    assert time.monotonic() - begin < 10


def test_a_command_that_is_too_long(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    stand_in(monkeypatch, tmp_path, "exit 0")
    with pytest.raises(UsageError, match="too long"):
        Adb().run("shell", "x" * (1 << 20))


class TestTree:
    """Names, contents and modes of what is to be pushed."""

    def test_the_digest_is_of_the_content(self, tmp_path: Path) -> None:
        (tmp_path / "a").write_bytes(b"one")
        first = read_tree(tmp_path / "a")
        (tmp_path / "a").write_bytes(b"two")
        second = read_tree(tmp_path / "a")
        (tmp_path / "b").write_bytes(b"one")
        assert (first.name, first.size, first.folders) == ("a", 3, ())
        assert first.digest != second.digest
        assert first.digest == read_tree(tmp_path / "b").digest

    def test_the_digest_of_a_directory_is_of_names_and_contents(self, tmp_path: Path) -> None:
        top = tmp_path / "top"
        (top / "sub").mkdir(parents=True)
        seen = {read_tree(top).digest}
        (top / "a").write_bytes(b"x")
        seen.add(read_tree(top).digest)
        (top / "a").rename(top / "sub" / "a")
        seen.add(read_tree(top).digest)
        (top / "sub" / "a").rename(top / "sub" / "b")
        seen.add(read_tree(top).digest)
        (top / "empty").mkdir()
        tree = read_tree(top)
        assert len(seen | {tree.digest}) == 5
        assert tree.folders == ("empty", "sub")
        assert [item.path for item in tree.items] == ["sub/b"]

    def test_programs_are_known_by_mode_or_beginning(self, tmp_path: Path) -> None:
        for name, start in (
            ("elf", b"\x7fELF\x02"),
            ("script", b"#!/bin/sh"),
            ("data", b"TFL3"),
            ("empty", b""),
        ):
            (tmp_path / name).write_bytes(start)
        (tmp_path / "marked").write_bytes(b"TFL3")
        (tmp_path / "marked").chmod(0o700)
        modes = {item.path: item.mode for item in read_tree(tmp_path).items}
        assert modes == {"elf": 0o755, "script": 0o755, "data": 0o644, "empty": 0o644, "marked": 0o755}

    def test_links_to_files_are_followed(self, tmp_path: Path) -> None:
        (tmp_path / "target").write_bytes(b"content")
        (tmp_path / "top").mkdir()
        (tmp_path / "top" / "link").symlink_to(tmp_path / "target")
        assert [item.size for item in read_tree(tmp_path / "top").items] == [7]

    def test_what_cannot_be_pushed_is_named(self, tmp_path: Path) -> None:
        with pytest.raises(UsageError, match=r"cannot read .*missing: No such file"):
            read_tree(tmp_path / "missing")
        (tmp_path / "top").mkdir()
        os.mkfifo(tmp_path / "top" / "pipe")
        with pytest.raises(UsageError, match=r"pipe: it is neither a file nor a directory"):
            read_tree(tmp_path / "top")
        (tmp_path / "top" / "pipe").unlink()
        (tmp_path / "top" / "loop").symlink_to(tmp_path)
        with pytest.raises(UsageError, match="loop: it is a link to a directory"):
            read_tree(tmp_path / "top")
        (tmp_path / "top" / "loop").unlink()
        (tmp_path / "top" / "gone").symlink_to(tmp_path / "nothing")
        with pytest.raises(VitbenchError, match="gone"):
            read_tree(tmp_path / "top")
