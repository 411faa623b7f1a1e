"""The index: the same answer as reading every document, and never believed when it is off."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from benchmarks.example_records import change, example_record
from vitbench.records import document, index
from vitbench.records.store import Store


@pytest.fixture
def store(tmp_path: Path) -> Store:
    made = Store(tmp_path)
    for number in range(4):
        made.save(example_record(number, iterations=10))
    made.save(example_record(9, iterations=10, simulated=True, artifact=None, parity=None, estimate=None))
    return made


def test_the_index_answers_what_the_documents_say(store: Store) -> None:
    cold, warm = index.load(store), index.load(store)
    assert (cold.read_again, warm.read_again) == (5, 0)
    expected = [index.flatten(record) for record in store.records()[0]]
    for found in (cold.rows, warm.rows):
        assert [
            {key: row.get(key) for key in flat} for row, flat in zip(found, expected, strict=True)
        ] == expected
        assert found[-1].get("estimate.latency_ms") is None


def test_rows_name_every_part(store: Store) -> None:
    row = index.load(store).rows[0]
    assert row["workload.model"] == "effvit-b2"
    assert row["workload.resolution"] == [224, 224]
    assert row["protocol.threads"] == 1
    assert row["environment.governor"] == "performance"
    assert row["environment.git_dirty"] is False
    assert len(row["block_medians_ms"]) == 5
    assert not any("samples" in key for key in row)


def test_only_what_is_new_is_read(store: Store) -> None:
    index.load(store)
    store.save(example_record(20, iterations=10))
    found = index.load(store)
    assert (found.read_again, len(found.rows)) == (1, 6)


def test_a_removed_document_disappears(store: Store, tmp_path: Path) -> None:
    index.load(store)
    (tmp_path / store.entries()[0].name).unlink()
    assert len(index.load(store).rows) == 4
    assert index.load(store).read_again == 0


def test_an_edited_document_is_read_again(store: Store, tmp_path: Path) -> None:
    index.load(store)
    record = store.records()[0][0]
    path = tmp_path / f"{record.id}.json"
    edited = document.dump(change(record, status="unsteady"))
    path.write_bytes(edited)
    os.utime(path, ns=(1, 1))
    found = index.load(store)
    assert found.read_again == 1
    assert found.rows[0]["status"] == "unsteady"


def test_damaged_documents_are_named_from_the_index_too(store: Store, tmp_path: Path) -> None:
    (tmp_path / "bad.json").write_text("{")
    cold, warm = index.load(store), index.load(store)
    assert warm.read_again == 0
    assert [problem.name for problem in cold.problems] == ["bad.json"]
    assert cold.problems == warm.problems


def test_a_passing_trouble_is_not_remembered(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    name = store.entries()[0].name
    read = store.files.read

    def fail(asked: str) -> bytes:
        if asked == name:
            raise PermissionError(13, "Permission denied")
        return read(asked)

    with monkeypatch.context() as patch:
        patch.setattr(store.files, "read", fail)
        found = index.load(store)
    assert [(problem.name, problem.reason) for problem in found.problems] == [(name, "permission denied")]
    healed = index.load(store)
    assert (healed.problems, len(healed.rows)) == ([], 5)


def rewritten(payload: bytes) -> bytes:
    return index._digest(payload).encode() + b"\n" + payload


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\n",
        b"\xff\xfe",
        b"{}",
        rewritten(b"{"),
        rewritten(b"[]"),
        rewritten(b'{"rows": ["a"], "columns": {}, "problems": {}}'),
        rewritten(b'{"rows": [], "columns": {"a": [1]}, "problems": {}}'),
        rewritten(b'{"rows": 3, "columns": {}, "problems": {}}'),
    ],
)
def test_a_damaged_index_is_built_anew(store: Store, tmp_path: Path, content: bytes) -> None:
    (tmp_path / index.NAME).write_bytes(content)
    found = index.load(store)
    assert (found.read_again, len(found.rows)) == (5, 5)
    assert index.load(store).read_again == 0


def test_an_edited_index_is_not_believed(store: Store, tmp_path: Path) -> None:
    index.load(store)
    path = tmp_path / index.NAME
    path.write_bytes(path.read_bytes().replace(b"27.43", b"17.43"))
    found = index.load(store)
    assert found.read_again == 5
    assert found.rows[0]["estimate.latency_ms"] == 27.43


def test_an_index_of_another_version_is_not_believed(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    index.load(store)
    monkeypatch.setattr(index, "VERSION", index.VERSION + 1)
    assert index.load(store).read_again == 5


def test_a_place_that_cannot_be_written_is_read_all_the_same(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_name: str, _data: bytes) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(store.files, "write", refuse)
    assert [index.load(store).read_again for _ in range(2)] == [5, 5]


def test_the_index_is_columnar_json(store: Store, tmp_path: Path) -> None:
    index.load(store)
    payload = json.loads((tmp_path / index.NAME).read_bytes().partition(b"\n")[2])
    assert payload["columns"]["workload.model"] == ["effvit-b2"] * 5


def test_the_index_of_a_bucket(tmp_path: Path) -> None:
    store = Store("memory://index-test")
    store.save(example_record(iterations=10))
    assert [index.load(store).read_again for _ in range(2)] == [1, 0]


def test_an_empty_store_has_no_index(tmp_path: Path) -> None:
    assert index.load(Store(tmp_path)).rows == []
    assert list(tmp_path.iterdir()) == []
