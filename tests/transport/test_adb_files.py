"""Files to a phone and back: whole, verified, under their content's hash; full phones and damaged files."""

from __future__ import annotations

import hashlib
import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.adb_device.fixtures import MakePhone
from tests.support.adb_device.phone import Phone
from tests.support.adb_device.targets import open_phone
from vitbench.errors import ExitCode, ToolError, UsageError
from vitbench.transport.adb import AdbTransport, store
from vitbench.transport.posix import store as posix_store
from vitbench.transport.posix.scripts import install_script
from vitbench.transport.posix.tree import FILES_PER_SCRIPT, Tree, read_tree

pytestmark = pytest.mark.adb

NAMES = [
    "model.tflite",
    "two words",
    "it's",
    '"double"',
    "; rm -rf .",
    "$(touch pwned)",
    "`id`",
    "-rf",
    "--help",
    "a\nb",
    "größe 模型 🙂",
    "a,0644",
    "*",
    "\\",
    "~",
]


@pytest.fixture
def phone(make_phone: MakePhone) -> Phone:
    """One phone."""
    return make_phone()


@pytest.fixture
def link(phone: Phone) -> Iterator[AdbTransport]:
    """The transport to it."""
    with open_phone(phone.serial) as opened:
        yield opened


def contents(folder: Path) -> dict[str, bytes]:
    """Every file below a directory."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_file_lies_under_the_hash_of_its_content(link: AdbTransport, phone: Phone, tmp_path: Path) -> None:
    data = os.urandom(300_000)
    (tmp_path / "model.tflite").write_bytes(data)
    remote = link.push(tmp_path / "model.tflite")
    digest = hashlib.sha256(data).hexdigest()
    assert remote == f"/data/local/tmp/vitbench/{digest[:16]}/model.tflite"
    assert phone.path(remote).read_bytes() == data
    assert phone.path(remote).stat().st_mode & 0o777 == 0o644
    assert [path.name for path in phone.path(store.BASE).iterdir()] == [digest[:16]]


def test_programs_can_be_executed(link: AdbTransport, tmp_path: Path) -> None:
    (tmp_path / "tool").write_text("#!/bin/sh\necho ran with $1\n")
    remote = link.push(tmp_path / "tool")
    assert link.execute([remote, "this"], 10).stdout == "ran with this\n"


def test_modes_are_set_again(link: AdbTransport, phone: Phone, tmp_path: Path) -> None:
    (tmp_path / "tool").write_text("#!/bin/sh\n")
    remote = link.push(tmp_path / "tool")
    phone.path(remote).chmod(0o600)
    assert link.push(tmp_path / "tool") == remote
    assert phone.path(remote).stat().st_mode & 0o777 == 0o755


def test_a_directory_comes_with_all_it_holds(link: AdbTransport, phone: Phone, tmp_path: Path) -> None:
    top = tmp_path / "artifact"
    (top / "deep" / "deeper").mkdir(parents=True)
    (top / "empty").mkdir()
    for index in range(FILES_PER_SCRIPT + 5):
        (top / f"part{index}").write_bytes(b"%d" % index)
    (top / "deep" / "deeper" / "nothing").write_bytes(b"")
    remote = link.push(top)
    assert remote.endswith("/artifact")
    assert contents(phone.path(remote)) == contents(top)
    assert (phone.path(remote) / "empty").is_dir()


def test_an_empty_directory_is_pushed(link: AdbTransport, phone: Phone, tmp_path: Path) -> None:
    (tmp_path / "void").mkdir()
    assert phone.path(link.push(tmp_path / "void")).is_dir()


def test_hostile_names_arrive_as_they_are(link: AdbTransport, phone: Phone, tmp_path: Path) -> None:
    top = tmp_path / "it's; $(touch pwned)"
    (top / "-sub dir").mkdir(parents=True)
    for name in NAMES:
        (top / name).write_text(name)
        (top / "-sub dir" / name).write_text(f"sub {name}")
    remote = link.push(top)
    assert contents(phone.path(remote)) == contents(top)
    assert link.execute(["cat", f"{remote}/it's"], 10).stdout == "it's"
    for name in NAMES:
        single = link.push(top / name)
        assert phone.path(single).read_text() == name
        link.pull(single, tmp_path / "back")
        assert (tmp_path / "back").read_text() == name
    assert not list(tmp_path.rglob("pwned"))


def test_the_same_content_is_pushed_once(link: AdbTransport, phone: Phone, tmp_path: Path) -> None:
    (tmp_path / "model").write_bytes(os.urandom(100_000))
    remote = link.push(tmp_path / "model")
    assert phone.device.faults.total["push"] == 100_000
    assert link.push(tmp_path / "model") == remote
    with open_phone(phone.serial) as another:
        assert another.push(tmp_path / "model") == remote
    assert phone.device.faults.total["push"] == 100_000


def test_another_content_of_the_same_size_is_pushed(link: AdbTransport, phone: Phone, tmp_path: Path) -> None:
    (tmp_path / "model").write_bytes(b"first weights")
    first = link.push(tmp_path / "model")
    (tmp_path / "model").write_bytes(b"other weights")
    os.utime(tmp_path / "model", (0, 0))
    second = link.push(tmp_path / "model")
    assert first != second
    assert phone.path(second).read_bytes() == b"other weights"


@pytest.mark.parametrize("harm", ["same size", "cut", "gone", "a directory"])
def test_what_was_damaged_on_the_phone_is_pushed_again(
    link: AdbTransport, phone: Phone, tmp_path: Path, harm: str
) -> None:
    (tmp_path / "artifact").mkdir()
    (tmp_path / "artifact" / "weights").write_bytes(b"0123456789")
    (tmp_path / "artifact" / "graph").write_bytes(b"graph")
    remote = link.push(tmp_path / "artifact")
    victim = phone.path(remote) / "weights"
    victim.unlink()
    if harm == "same size":
        victim.write_bytes(b"0123456780")
    elif harm == "cut":
        victim.write_bytes(b"01234")
    elif harm == "a directory":
        victim.mkdir()
    assert link.push(tmp_path / "artifact") == remote
    assert contents(phone.path(remote)) == contents(tmp_path / "artifact")


def test_a_full_phone_is_told_with_what_is_needed(link: AdbTransport, phone: Phone, tmp_path: Path) -> None:
    (tmp_path / "model.tflite").write_bytes(os.urandom(700_000))
    phone.device.fill_up(200_000)
    with pytest.raises(ToolError, match="no space on phone") as caught:
        link.push(tmp_path / "model.tflite")
    assert "model.tflite needs 700,000 bytes, and 0 bytes are free" in caught.value.message
    assert "make room" in (caught.value.hint or "")
    assert caught.value.exit_code == ExitCode.TOOL
    assert not list(phone.path(store.BASE).iterdir())


def test_a_place_that_cannot_be_written(make_phone: MakePhone) -> None:
    phone = make_phone()
    phone.path(store.BASE).write_text("a file in the way")
    with pytest.raises(ToolError, match="refused: mkdir") as caught:
        open_phone(phone.serial)
    assert "/data/local/tmp" in (caught.value.hint or "")


def test_a_file_that_changes_while_it_is_pushed(
    link: AdbTransport, phone: Phone, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "model").write_bytes(b"as it was read")

    def and_change(local: Path) -> Tree:
        tree = read_tree(local)
        local.write_bytes(b"as it is now..")
        return tree

    monkeypatch.setattr(posix_store, "read_tree", and_change)
    with pytest.raises(ToolError, match="model does not arrive whole on phone"):
        link.push(tmp_path / "model")
    assert not list(phone.path(store.BASE).iterdir())


def test_a_local_file_that_is_not_there(link: AdbTransport, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"cannot read .*missing"):
        link.push(tmp_path / "missing")


def test_pulls_whole_files(link: AdbTransport, phone: Phone, tmp_path: Path) -> None:
    data = os.urandom(500_000)
    phone.path("/sdcard/result.bin").write_bytes(data)
    link.pull("/sdcard/result.bin", tmp_path / "result.bin")
    assert (tmp_path / "result.bin").read_bytes() == data
    phone.path("/sdcard/empty").write_bytes(b"")
    link.pull("/sdcard/empty", tmp_path / "result.bin")
    assert (tmp_path / "result.bin").read_bytes() == b""
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == ["result.bin"]


def test_a_file_that_changes_while_it_is_pulled(link: AdbTransport, phone: Phone, tmp_path: Path) -> None:
    phone.path("/sdcard/log").write_text("as it is now")
    phone.device.program("sha256sum", f"echo {hashlib.sha256(b'as it was').hexdigest()} -\n")
    with pytest.raises(ToolError, match="/sdcard/log does not arrive whole from phone"):
        link.pull("/sdcard/log", tmp_path / "log")
    assert not [path for path in tmp_path.iterdir() if path.is_file()]


def test_a_phone_without_sha256sum(phone: Phone) -> None:
    phone.device.program("sha256sum", "echo 'sh: sha256sum: not found' >&2\nexit 127\n")
    with pytest.raises(ToolError, match=r"phone .* has no sha256sum"):
        open_phone(phone.serial)


def test_the_last_step_of_a_push_may_be_repeated(tmp_path: Path) -> None:
    """Its reply can be lost: what was moved must then not be removed."""
    (tmp_path / "passing").write_text("verified")
    (tmp_path / "hash").mkdir()
    (tmp_path / "hash" / "final").write_text("damaged")
    script = install_script(f"{tmp_path}/passing", f"{tmp_path}/hash/final")
    for _ in range(2):
        subprocess.run(["sh", "-c", script], check=True)
        assert (tmp_path / "hash" / "final").read_text() == "verified"


@pytest.mark.parametrize("remote", ["/sdcard/missing", "/sdcard", "/sdcard/no such; dir/x"])
def test_what_cannot_be_pulled_leaves_nothing(link: AdbTransport, tmp_path: Path, remote: str) -> None:
    (tmp_path / "here").write_text("before")
    with pytest.raises(ToolError, match=r"cannot read /sdcard.* on phone"):
        link.pull(remote, tmp_path / "here")
    assert (tmp_path / "here").read_text() == "before"
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == ["here"]


def test_a_place_here_that_cannot_be_written(link: AdbTransport, phone: Phone, tmp_path: Path) -> None:
    phone.path("/sdcard/result").write_text("x")
    with pytest.raises(UsageError, match="there is no directory"):
        link.pull("/sdcard/result", tmp_path / "no" / "result")
    (tmp_path / "folder").mkdir()
    with pytest.raises(UsageError, match=r"cannot copy /sdcard/result to .*folder"):
        link.pull("/sdcard/result", tmp_path / "folder")
    assert not list(tmp_path.glob(".*partial"))


def test_scratch_directories_end_with_the_transport(make_phone: MakePhone, tmp_path: Path) -> None:
    phone = make_phone()
    (tmp_path / "model").write_bytes(b"weights")
    with open_phone(phone.serial) as opened:
        first, second = opened.scratch(), opened.scratch()
        remote = opened.push(tmp_path / "model")
        assert first != second
        assert list(phone.path(first).iterdir()) == []
        (phone.path(first) / "left").write_text("behind")
    assert not phone.path(first).exists()
    assert not phone.path(second).exists()
    assert phone.path(remote).exists()
    opened.close()


def test_leftovers_of_killed_programs_are_swept(make_phone: MakePhone) -> None:
    phone = make_phone()
    base = phone.path(store.BASE)
    for name in (".partial-old", "scratch-old", "scratch-new", "0123456789abcdef"):
        (base / name).mkdir(parents=True)
    long_ago = time.time() - 3 * 86400
    for name in (".partial-old", "scratch-old", "0123456789abcdef"):
        os.utime(base / name, (long_ago, long_ago))
    open_phone(phone.serial).close()
    assert sorted(path.name for path in base.iterdir()) == ["0123456789abcdef", "scratch-new"]
