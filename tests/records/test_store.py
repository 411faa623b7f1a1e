"""The store: concurrent writers, places that cannot be written, and documents of all sorts beside ours."""

from __future__ import annotations

import errno
import os
import re
import subprocess
import sys
import tempfile
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest

from benchmarks.example_records import example_record
from vitbench.errors import UsageError
from vitbench.records import document
from vitbench.records.schema import ID_PATTERN
from vitbench.records.store import Problem, Store, new_id

WRITER = """
import sys
from benchmarks.example_records import example_record
from vitbench.records.store import Store
for number in range(20):
    Store(sys.argv[1]).save(example_record(number, iterations=50))
"""


def test_ids_sort_by_time_and_name_the_cell() -> None:
    moment = datetime(2026, 11, 21, 8, 15, tzinfo=UTC)
    first = new_id(moment, "effvit-b2+softmax@train", (224, 448), "cpu")
    assert re.fullmatch(r"20261121T081500Z-effvit-b2\+softmax@train-224x448-cpu-[0-9a-f]{8}", first)
    assert re.match(ID_PATTERN, first)
    later = new_id(moment + timedelta(seconds=1), "effvit-b0", (224, 224), "cpu")
    assert first < later
    assert new_id(moment, "m", (1, 1), "cpu") != new_id(moment, "m", (1, 1), "cpu")


def test_ids_are_in_utc_and_safe_as_file_names() -> None:
    moment = datetime(2026, 11, 21, 1, 0, tzinfo=timezone(timedelta(hours=3)))
    made = new_id(moment, "../up /ä|b", (224, 224), "cpu")
    assert made.startswith("20261120T220000Z-.._up")
    assert re.match(ID_PATTERN, made)
    assert "/" not in made


def test_a_saved_record_is_read_by_name_and_by_id(tmp_path: Path) -> None:
    store, record = Store(tmp_path / "new" / "results"), example_record()
    saved = store.save(record)
    assert saved.problem is None
    assert Path(saved.location).read_bytes() == document.dump(record)
    assert store.read(record.id) == store.read(f"{record.id}.json") == record
    assert store.has(record.id)


def test_records_are_immutable(tmp_path: Path) -> None:
    store, record = Store(tmp_path), example_record()
    store.save(record)
    with pytest.raises(ValueError, match="already stored"):
        store.save(record)


def test_a_bucket_holds_records_too() -> None:
    store, record = Store("memory://store-test/results"), example_record()
    store.check_writable()
    assert store.records() == ([], [])
    assert store.save(record).location == f"memory://store-test/results/{record.id}.json"
    assert store.records() == ([record], [])


def test_journals_of_a_bucket_are_local(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    one, two = Store("memory://one").running_dir, Store("memory://two").running_dir
    assert one.is_relative_to(tmp_path)
    assert one != two


def test_an_unknown_url_is_a_usage_error() -> None:
    with pytest.raises(UsageError, match="nonsense://x"):
        Store("nonsense://x")


def test_two_processes_write_at_once(tmp_path: Path) -> None:
    writers = [subprocess.Popen([sys.executable, "-c", WRITER, str(tmp_path)]) for _ in range(2)]
    store = Store(tmp_path)
    while any(writer.poll() is None for writer in writers):
        assert store.records()[1] == []
    assert [writer.returncode for writer in writers] == [0, 0]
    records, problems = store.records()
    assert (len(records), problems) == (40, [])


def test_every_damaged_or_foreign_document_is_named(tmp_path: Path) -> None:
    store, record = Store(tmp_path), example_record()
    store.save(record)
    whole = document.dump(record)
    (tmp_path / "cut.json").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "empty.json").touch()
    (tmp_path / "foreign.json").write_text('{"a": 1}')
    (tmp_path / "newer.json").write_bytes(whole.replace(b'"schema_version": 1', b'"schema_version": 99'))
    (tmp_path / "notes.txt").write_text("not a document")
    (tmp_path / "baselines").mkdir()
    os.mkfifo(tmp_path / "pipe.json")
    records, problems = store.records()
    assert records == [record]
    assert {problem.name: problem.reason.partition(":")[0] for problem in problems} == {
        "cut.json": "not whole JSON",
        "empty.json": "empty file",
        "foreign.json": "not a vitbench record",
        "newer.json": "written by a newer vitbench (record schema 99, this one reads 1)",
        "pipe.json": "not a regular file",
    }


def test_reading_one_damaged_record_says_why(tmp_path: Path) -> None:
    (tmp_path / "bad.json").write_text("{")
    with pytest.raises(UsageError, match=r"bad\.json`: not whole JSON"):
        Store(tmp_path).read("bad")
    with pytest.raises(UsageError, match="no such file"):
        Store(tmp_path).read("absent")


@pytest.mark.parametrize("place", ["taken", "taken/deeper", "/proc/vitbench-results"])
def test_a_place_that_cannot_be_written_is_refused_before_measuring(tmp_path: Path, place: str) -> None:
    (tmp_path / "taken").write_text("a file")
    with pytest.raises(UsageError, match=re.escape(str(tmp_path / place))) as caught:
        Store(tmp_path / place).check_writable()
    assert caught.value.hint is not None
    assert "--results" in caught.value.hint


def test_a_full_disk_is_noticed_before_measuring(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(UsageError, match="no space left on device"):
        Store(tmp_path).check_writable()
    assert list(tmp_path.iterdir()) == []


def test_the_check_leaves_nothing_behind(tmp_path: Path) -> None:
    Store(tmp_path / "results").check_writable()
    assert list((tmp_path / "results").iterdir()) == []


def test_a_record_that_the_store_refuses_is_kept_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    refuge = tmp_path / "tmp"
    refuge.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(refuge))
    (tmp_path / "results").write_text("a file where the directory was")
    record = example_record()
    saved = Store(tmp_path / "results").save(record)
    assert saved.problem is not None
    assert str(tmp_path / "results") in saved.problem
    kept = Path(saved.location)
    assert kept.is_relative_to(refuge)
    assert document.parse(kept.read_bytes()) == record
    assert kept.parent.stat().st_mode & 0o077 == 0


def test_no_refuge_either_is_an_error_that_names_both(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "absent"))
    (tmp_path / "results").write_text("a file")
    with pytest.raises(UsageError) as caught:
        Store(tmp_path / "results").save(example_record())
    assert "absent" in caught.value.message
    assert caught.value.hint is not None
    assert ".running" in caught.value.hint


def test_a_place_that_is_not_there_is_empty(tmp_path: Path) -> None:
    assert Store(tmp_path / "absent").records() == ([], [])


def test_a_file_in_place_of_the_store_is_a_usage_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="not a directory"):
        Store(tmp_path / "file").records()


def test_a_document_that_vanishes_while_reading_is_told(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.save(example_record())
    entries = store.entries()
    (tmp_path / entries[0].name).unlink()
    ((_, problem),) = store.load(entries)
    assert isinstance(problem, Problem)
    assert not problem.lasting
