"""Writing: a file is there whole or not at all, whatever happens to the writer or the disk."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from vitbench.records import files
from vitbench.records.files import LocalFiles, RemoteFiles, open_files, write_atomically

KILLED_WHILE = """
import os, signal, sys
from pathlib import Path
from vitbench.records import files

def die(*arguments, **options):
    os.kill(os.getpid(), signal.SIGKILL)

if sys.argv[2] == "fsync":
    os.fsync = die
elif sys.argv[2] == "replace":
    Path.replace = die
elif sys.argv[2] == "directory":
    files._sync_directory = die
files.write_atomically(Path(sys.argv[1]), b"new" * 100_000)
"""


def kill_while(path: Path, moment: str) -> None:
    done = subprocess.run([sys.executable, "-c", KILLED_WHILE, str(path), moment], check=False)
    assert done.returncode == -signal.SIGKILL


@pytest.mark.parametrize("moment", ["fsync", "replace"])
def test_killed_while_writing_leaves_the_old_file_or_none(tmp_path: Path, moment: str) -> None:
    old = tmp_path / "old.json"
    old.write_bytes(b"old")
    kill_while(old, moment)
    kill_while(tmp_path / "none.json", moment)
    assert old.read_bytes() == b"old"
    assert [entry.name for entry in LocalFiles(tmp_path).entries()] == ["old.json"]


def test_killed_after_the_rename_leaves_the_whole_file(tmp_path: Path) -> None:
    kill_while(tmp_path / "new.json", "directory")
    assert (tmp_path / "new.json").read_bytes() == b"new" * 100_000


def test_litter_of_killed_writers_is_swept_once_it_is_old(tmp_path: Path) -> None:
    kill_while(tmp_path / "a.json", "replace")
    (litter,) = tmp_path.iterdir()
    LocalFiles(tmp_path).sweep()
    assert litter.exists()
    long_ago = time.time() - files.STALE_S - 60
    os.utime(litter, (long_ago, long_ago))
    LocalFiles(tmp_path).sweep()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EIO])
def test_a_full_disk_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    def full(_descriptor: int) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match=os.strerror(code)):
        write_atomically(tmp_path / "a.json", b"data")
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_may_not_grow_is_not_left_half_written(tmp_path: Path) -> None:
    """The kernel itself stops the write half-way, at the limit of a file's size."""
    program = (
        "import resource; from pathlib import Path; from vitbench.records.files import write_atomically\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))\n"
        f"write_atomically(Path({str(tmp_path / 'a.json')!r}), b'x' * 10_000)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], check=False, capture_output=True, text=True)
    assert "File too large" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_the_file_is_synced_before_it_gets_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    steps = []
    fsync, replace = os.fsync, Path.replace

    def note_fsync(descriptor: int) -> None:
        steps.append("fsync")
        fsync(descriptor)

    def note_replace(self: Path, target: Path) -> Path:
        steps.append("replace")
        return replace(self, target)

    monkeypatch.setattr(os, "fsync", note_fsync)
    monkeypatch.setattr(Path, "replace", note_replace)
    write_atomically(tmp_path / "a.json", b"data")
    assert steps == ["fsync", "replace", "fsync"]


def test_a_directory_that_cannot_be_synced_is_no_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fsync = os.fsync

    def refuse_directories(descriptor: int) -> None:
        if os.path.isdir(f"/proc/self/fd/{descriptor}"):  # noqa: PTH112
            raise OSError(errno.EINVAL, "Invalid argument")
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", refuse_directories)
    write_atomically(tmp_path / "a.json", b"data")
    assert (tmp_path / "a.json").read_bytes() == b"data"


def test_entries_tell_what_is_no_regular_file(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text("{}")
    (tmp_path / "directory.json").mkdir()
    (tmp_path / ".hidden.json").write_text("{}")
    (tmp_path / "dangling.json").symlink_to(tmp_path / "nowhere")
    os.mkfifo(tmp_path / "pipe.json")
    assert [(e.name, e.regular) for e in LocalFiles(tmp_path).entries()] == [
        ("a.json", True),
        ("dangling.json", False),
        ("pipe.json", False),
    ]


@pytest.mark.parametrize(
    ("location", "expected"),
    [
        ("results", "results"),
        ("/tmp/x", "/tmp/x"),
        ("file:///tmp/x", "/tmp/x"),
        ("memory://open/a", "memory://open/a"),
        (Path("memory://open/a"), "memory://open/a"),
    ],
)
def test_locations(location: str | Path, expected: str) -> None:
    assert open_files(location).location == expected


def test_files_behind_a_url() -> None:
    place = open_files("memory://files-test/deep")
    assert isinstance(place, RemoteFiles)
    assert place.entries() == []
    place.check_writable()
    assert place.entries() == []
    place.write("b.json", b"two")
    place.write("a.json", b"one")
    place.write(".index.json", b"hidden")
    assert [(entry.name, entry.size) for entry in place.entries()] == [("a.json", 3), ("b.json", 3)]
    assert place.read("a.json") == b"one"
    assert place.exists("a.json")
    assert not place.exists("c.json")
    before = place.entries()[0].stamp
    place.write("a.json", b"new")
    assert place.entries()[0].stamp != before


def test_errors_of_a_bucket_client_become_os_errors(monkeypatch: pytest.MonkeyPatch) -> None:
    class ClientError(Exception):
        pass

    place = open_files("memory://files-test-2")
    assert isinstance(place, RemoteFiles)

    def refuse(*_arguments: object) -> None:
        raise ClientError("access denied")

    monkeypatch.setattr(place._files, "pipe_file", refuse)
    with pytest.raises(OSError, match="access denied"):
        place.write("a.json", b"one")


@pytest.mark.parametrize("location", ["nonsense://x/y", "s3x://bucket"])
def test_an_unknown_file_system_is_an_os_error(location: str) -> None:
    with pytest.raises(OSError, match="not known"):
        open_files(location)
