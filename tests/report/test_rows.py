"""Rows: every figure of a record under its name, the headline value, and what follows from it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from benchmarks.example_records import change, example_record
from vitbench.records import index
from vitbench.records.schema import Record
from vitbench.records.store import Store
from vitbench.report.rows import Row, from_flat, from_records


def row_of(**changes: Any) -> Row:
    return from_records([example_record(iterations=5, **changes)])[0]


def test_a_row_says_what_the_record_says() -> None:
    row = row_of()
    assert (row.model, row.resolution, row.height, row.width) == ("effvit-b2", "224x224", 224, 224)
    assert (row.target, row.device, row.runtime, row.precision) == ("cpu", "AMD EPYC", "onnxruntime", "fp32")
    assert (row.latency_ms, row.value, row.unit, row.value_is) == (27.43, 27.43, "ms", "latency")
    assert row.half_width_percent == pytest.approx(0.77)
    assert row.gmacs_per_s == pytest.approx(1.599488256 / 27.43e-3)
    assert (row.parity, row.parity_max_diff) == ("passed", 2.1e-6)
    assert (row.governor, row.git_dirty, row.machine_key) == ("performance", False, "0123456789ab")


def test_every_field_of_an_estimate_and_protocol_is_in_a_row() -> None:
    record = example_record(iterations=5)
    assert record.estimate is not None
    row = from_records([record])[0]
    for part in (record.estimate, record.protocol, record.counts):
        for name, value in part.model_dump().items():
            assert getattr(row, name) == value, name


def test_rows_from_the_index_are_the_same(tmp_path: Path) -> None:
    records: list[Record] = [
        example_record(0, iterations=5),
        example_record(1, iterations=5, protocol={"affinity": (0, 2)}, parity=None, artifact=None),
        change(example_record(2), estimate=None, blocks=(), status="inconclusive", reasons=("no blocks",)),
    ]
    store = Store(tmp_path)
    for record in records:
        store.save(record)
    index.load(store)
    assert [from_flat(flat) for flat in index.load(store).rows] == from_records(records)


def test_without_a_latency_compute_stands_in() -> None:
    row = row_of(estimate={"latency_ms": None, "compute_ms": 12.5})
    assert (row.latency_ms, row.value, row.value_is, row.unit) == (None, 12.5, "compute", "ms")


def test_throughput_has_its_own_interval_and_rate() -> None:
    throughput = {"throughput_img_s": 400.0, "throughput_low_img_s": 390.0, "throughput_high_img_s": 404.0}
    row = row_of(protocol={"metric": "throughput", "batch": 8}, workload={"batch": 8}, estimate=throughput)
    assert (row.value, row.unit, row.value_low, row.value_high) == (400.0, "img/s", 390.0, 404.0)
    assert row.half_width_percent == pytest.approx(2.5)
    assert row.gmacs_per_s == pytest.approx(400 / 8 * 1.599488256)


def test_a_record_without_an_estimate_has_no_figures() -> None:
    row = row_of(estimate=None)
    assert (row.value, row.latency_ms, row.gmacs_per_s, row.half_width_percent) == (None, None, None, None)


def test_a_scripted_target_has_no_parity() -> None:
    assert row_of(parity=None).parity == "none"


def test_failed_parity_comes_first_among_the_reasons() -> None:
    failed = {"passed": False, "reason": "3 outputs are not finite"}
    row = row_of(parity=failed, status="parity-failed", reasons=("only 2 of 5 blocks were steady",))
    assert row.parity == "failed"
    assert row.reasons == ("parity: 3 outputs are not finite", "only 2 of 5 blocks were steady")


def test_affinity_is_a_list_of_cpus() -> None:
    assert row_of().affinity is None
    assert row_of(protocol={"affinity": (0, 2)}).affinity == "0,2"
