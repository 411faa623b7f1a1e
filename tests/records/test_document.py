"""Documents: what is written is read back, and whatever is no record is told so in words."""

from __future__ import annotations

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.example_records import change, example_record
from vitbench.records import document
from vitbench.records.document import UnreadableRecord
from vitbench.records.schema import SCHEMA_VERSION, Record, Samples


def broken(**changes: object) -> bytes:
    return json.dumps(json.loads(document.dump(example_record(iterations=3))) | changes).encode()


def test_a_record_is_read_back_as_it_was_written() -> None:
    record = example_record()
    assert document.parse(document.dump(record)) == record


def test_a_pretty_printed_document_is_the_same_record() -> None:
    record = example_record(iterations=3)
    again = json.dumps(json.loads(document.dump(record)), indent=4).encode()
    assert document.parse(again) == record


@given(st.lists(st.integers(min_value=0, max_value=2**62)))
def test_samples_of_any_length_survive(values: list[int]) -> None:
    samples = Samples(total_ns=tuple(values))
    assert Samples.model_validate_json(document.dump(samples)) == samples


@pytest.mark.parametrize("value", [math.inf, -math.inf])
def test_infinities_survive_in_strict_json(value: float) -> None:
    record = example_record(iterations=3, parity={"passed": False, "finite": False, "max_diff": value})
    data = document.dump(record)
    json.loads(data, parse_constant=pytest.fail)
    assert document.parse(data).parity == record.parity


def test_nan_survives_in_strict_json() -> None:
    record = example_record(iterations=3, parity={"passed": False, "finite": False, "max_diff": math.nan})
    data = document.dump(record)
    json.loads(data, parse_constant=pytest.fail)
    parity = document.parse(data).parity
    assert parity is not None
    assert math.isnan(parity.max_diff)


def test_samples_stand_on_one_line_and_keys_on_their_own() -> None:
    lines = document.dump(example_record(iterations=500)).decode().splitlines()
    samples = [line for line in lines if '"total_ns": [' in line]
    assert len(samples) == 2 * 5
    assert all(line.rstrip(",").endswith("]") for line in samples)
    assert len(lines) == len(document.dump(example_record(iterations=5)).decode().splitlines())
    assert ' "status": "valid",' in lines


def test_a_name_that_is_no_unicode_does_not_lose_the_record() -> None:
    record = example_record(iterations=3, reasons=("foreign process \udcff",))
    assert document.parse(document.dump(record)).reasons == ("foreign process ?",)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "empty file"),
        (b"  \n", "empty file"),
        (b"\x00" * 40, "not whole JSON"),
        (b"\xff\xfe{}", "not whole JSON"),
        (b"[1, 2]", "not a vitbench record"),
        (b'{"name": "somebody else\'s"}', "not a vitbench record"),
        (b'{"schema_version": "one"}', "not a vitbench record"),
        (b"[" * 100_000, "not whole JSON"),
        (broken(schema_version=SCHEMA_VERSION + 1, invention=True), "written by a newer vitbench"),
        (broken(schema_version=SCHEMA_VERSION + 1), "written by a newer vitbench"),
        (broken(schema_version=0), "record schema 0 is unknown"),
        (broken(status="splendid"), "field `status`"),
        (broken(surprise=1), "field `surprise`"),
        (broken(workload=3, target=4), "(and 1 more)"),
        (broken(id="../../etc/passwd"), "field `id`"),
    ],
)
def test_what_is_no_record_is_refused_with_the_reason(data: bytes, reason: str) -> None:
    with pytest.raises(UnreadableRecord) as caught:
        document.parse(data)
    assert reason in caught.value.message
    assert "\n" not in caught.value.message


@given(st.data())
def test_a_document_cut_anywhere_is_refused(data: st.DataObject) -> None:
    whole = document.dump(example_record(iterations=2, blocks=2))
    cut = data.draw(st.integers(min_value=0, max_value=len(whole.rstrip()) - 1))
    with pytest.raises(UnreadableRecord):
        document.parse(whole[:cut])


def test_a_huge_file_is_refused_unread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(document, "MAX_BYTES", 10)
    with pytest.raises(UnreadableRecord, match="too large"):
        document.parse(b" " * 11)


def test_change_keeps_the_rest_of_a_part() -> None:
    record = example_record(iterations=3)
    changed = change(record, estimate={"latency_ms": 1.0})
    assert isinstance(changed, Record)
    assert changed.estimate is not None
    assert record.estimate is not None
    assert changed.estimate.latency_ms == 1.0
    assert changed.estimate.p90_ms == record.estimate.p90_ms
