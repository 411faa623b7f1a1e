"""Throughput of requests that overlap: rounds in place of iterations, through real agents."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from vitbench import catalog, pipeline, runtime, transport
from vitbench.catalog import TargetSpec
from vitbench.errors import OutOfMemory
from vitbench.measure import CellProgress, as_measured, images_a_sample, overlaps
from vitbench.measure.streaming import Streamed
from vitbench.records.schema import Protocol, Record
from vitbench.report import render_records
from vitbench.request import parse_request
from vitbench.runtime import AgentSession

TOML = """
name = "overlapping"
title = "scripted device that overlaps"
transport = "sim"
runtime = "sim"
[options]
streams = 3
[sim]
latency_ms = 5.0
noise = 0.01
h2d_ms = 1.0
d2h_ms = 0.5
"""


class Told:
    """Keeps what a user is told."""

    def __init__(self) -> None:
        self.notes: list[str] = []

    def stage(self, cell: str, text: str) -> None:
        pass

    def measuring(self, cell: str, progress: CellProgress) -> None:
        pass

    def note(self, text: str) -> None:
        self.notes.append(text)


@pytest.fixture
def target(tmp_path: Path) -> TargetSpec:
    path = tmp_path / "overlapping.toml"
    path.write_text(TOML)
    return catalog.resolve_target(str(path))


def measured(path: Path, metric: str, results: Path, *, batch: str = "4", quick: bool = False) -> Record:
    request = parse_request(
        models=["attention-4x16:7x7"],
        targets=[str(path)],
        batches=[batch],
        metric="throughput" if metric == "throughput" else "latency",
        quick=quick,
    )
    (record,) = pipeline.run(request, str(results), Told()).records
    return record


def test_throughput_counts_every_stream_and_knows_no_latency(target: TargetSpec, tmp_path: Path) -> None:
    record = measured(tmp_path / "overlapping.toml", "throughput", tmp_path / "results")
    assert record.status == "valid", record.reasons
    protocol, found = record.protocol, record.estimate
    assert (protocol.streams, protocol.overlap) == (3, True)
    assert found is not None
    # 5 ms an image's batch alone; 3.5 ms, the compute part, where copies overlap with it.
    assert found.throughput_img_s is not None
    assert found.throughput_img_s == pytest.approx(4 / 3.5e-3, rel=0.02)
    assert found.throughput_low_img_s is not None
    assert found.throughput_low_img_s < found.throughput_img_s
    assert {found.latency_ms, found.p99_ms, found.h2d_ms, found.compute_ms, found.ci_low_ms} == {None}
    text = render_records([record], "markdown")
    assert "3 streams" in text
    assert "n/a" not in text, "it has no tails, however many iterations there are"
    block = record.blocks[0]
    assert block.median_ms == pytest.approx(3 * 3.5, rel=0.02)
    assert block.first_inference_ms == pytest.approx(5, rel=0.1)
    assert block.samples.h2d_ns == block.warmup.h2d_ns == ()
    assert len(block.samples.total_ns) >= 200


def test_latency_on_the_same_device_is_of_one_request(target: TargetSpec, tmp_path: Path) -> None:
    record = measured(tmp_path / "overlapping.toml", "latency", tmp_path / "results", quick=True)
    assert (record.protocol.streams, record.protocol.overlap) == (1, False)
    assert record.estimate is not None
    assert record.estimate.latency_ms == pytest.approx(5, rel=0.05)


def test_a_device_without_streams_measures_throughput_one_by_one(tmp_path: Path) -> None:
    (tmp_path / "sim.toml").write_text(TOML.replace("streams = 3", "").replace("overlapping", "serial"))
    record = measured(tmp_path / "sim.toml", "throughput", tmp_path / "results", quick=True)
    assert (record.protocol.streams, record.protocol.overlap) == (1, False)
    assert record.estimate is not None
    assert record.estimate.latency_ms == pytest.approx(5, rel=0.05)
    assert record.estimate.throughput_img_s == pytest.approx(4 / 5e-3, rel=0.05)


def test_the_first_inference_is_a_request_alone(target: TargetSpec) -> None:
    engine = runtime.for_target(target)
    with (
        transport.open(target) as link,
        runtime.open_session(link, engine, None, engine.load_options()) as session,
    ):
        assert isinstance(session, AgentSession)
        streamed = Streamed(session, 3)
        assert streamed.warm(1).total_ns[0] == pytest.approx(5e6, rel=0.1)
        assert streamed.warm(2).total_ns[0] == pytest.approx(3 * 3.5e6, rel=0.1)
        assert streamed.loaded is session.loaded
        assert streamed.probe()["cpu_count"] == 1


def protocol(**fields: object) -> Protocol:
    base = {"metric": "throughput", "transfers": "timed", "zero_copy": False, "batch": 8, "precision": "fp16"}
    more = {"threads": 1, "spin_wait": True, "cuda_graph": False, "affinity": None, "builds": 1}
    return Protocol.model_validate({**base, **more, "streams": 2, "overlap": True, **fields})


def test_only_throughput_on_several_streams_is_in_rounds() -> None:
    assert overlaps(protocol())
    assert images_a_sample(protocol()) == 16
    for other in (protocol(metric="latency"), protocol(overlap=False), protocol(streams=1)):
        assert not overlaps(other)
        assert images_a_sample(other) == 8
        assert as_measured(len, other) is len  # type: ignore[arg-type, comparison-overlap]


def test_the_search_for_a_batch_ends_at_the_end_of_the_memory(
    target: TargetSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    request = parse_request(
        models=["attention-4x16:7x7"],
        targets=[str(tmp_path / "overlapping.toml")],
        batches=["auto"],
        metric="throughput",
        quick=True,
    )
    run_module = sys.modules["vitbench.pipeline.run"]
    true_cell, told = run_module._run_cell, Told()

    def run_cell(cell, *rest):  # type: ignore[no-untyped-def]
        if cell.workload.batch == 8:
            raise OutOfMemory("a GPU has not enough memory")
        return true_cell(cell, *rest)

    monkeypatch.setattr(run_module, "_run_cell", run_cell)
    outcome = pipeline.run(request, str(tmp_path / "results"), told)
    assert [record.workload.batch for record in outcome.records] == [1, 2, 4]
    assert outcome.failures == ()
    assert any(
        "not enough memory; the search for the best batch ends before it" in text for text in told.notes
    )


def test_the_search_for_a_batch_ends_at_one_without_a_figure(
    target: TargetSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A batch over the limit of its cell has none, and would be tried for ever."""
    request = parse_request(
        models=["attention-4x16:7x7"],
        targets=[str(tmp_path / "overlapping.toml")],
        batches=["auto"],
        metric="throughput",
        cell_limit_s=0.001,
    )
    run_module = sys.modules["vitbench.pipeline.run"]
    true_cell, batches = run_module._run_cell, []

    def run_cell(cell, *rest):  # type: ignore[no-untyped-def]
        batches.append(cell.workload.batch)
        assert len(batches) < 3, "it goes on and on"
        return true_cell(cell, *rest)

    monkeypatch.setattr(run_module, "_run_cell", run_cell)
    (record,) = pipeline.run(request, str(tmp_path / "results"), Told()).records
    assert batches == [1]
    assert (record.status, record.estimate) == ("inconclusive", None)
