"""Made-up records of the size of real ones, for benchmarks and tests: nothing in them was measured."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from typing import Any

from vitbench.records.schema import (
    ArtifactPart,
    Block,
    Counts,
    Estimate,
    Parity,
    Plan,
    Probe,
    Protocol,
    Record,
    Samples,
    TargetPart,
    WorkloadPart,
)
from vitbench.records.store import new_id

BEGIN = datetime(2026, 11, 21, 8, 15, tzinfo=UTC)


def example_record(
    number: int = 0,
    *,
    model: str = "effvit-b2",
    resolution: tuple[int, int] = (224, 224),
    target: str = "cpu",
    blocks: int = 5,
    iterations: int = 200,
    latency_ms: float = 27.43,
    **changes: Any,
) -> Record:
    """Make a record; `number` sets its time (one a minute) and the seed of its samples.

    `changes` replace fields of the record; a mapping changes only the fields it names of a part.
    """
    source = random.Random(number)
    created = BEGIN + timedelta(minutes=number)
    made = [_block(source, created, index, iterations, latency_ms) for index in range(blocks)]
    record = Record(
        id=new_id(created, model, resolution, target),
        created_utc=created.isoformat().replace("+00:00", "Z"),
        vitbench_version="0.1.0",
        status="valid",
        simulated=False,
        workload=WorkloadPart(
            model=model,
            family=model.partition("-")[0],
            variant=model.partition("-")[2].partition("+")[0].partition("@")[0],
            task="cls",
            attention=model.partition("+")[2] or "relu",
            form="train" if model.endswith("@train") else "deploy",
            resolution=resolution,
            batch=1,
            weights="seeded:0",
        ),
        target=TargetPart(
            name=target,
            transport="local",
            runtime="onnxruntime",
            runtime_version="1.31.1",
            device="AMD EPYC",
        ),
        protocol=Protocol(
            metric="latency",
            transfers="timed",
            zero_copy=True,
            batch=1,
            precision="fp32",
            threads=1,
            spin_wait=False,
            cuda_graph=False,
            streams=1,
            affinity=None,
            builds=1,
        ),
        plan=_plan(blocks),
        counts=Counts(
            params=24_326_872,
            params_deploy=24_312_000,
            macs=1_599_488_256,
            macs_attention=28_901_376,
            macs_artifact=1_599_488_256,
            bytes_read=120_000_000,
            bytes_written=45_000_000,
        ),
        artifact=ArtifactPart(
            digest="0" * 64,
            format="onnx",
            exporter="torch 2.13.0",
            opset=18,
            bytes=97_400_000,
            formulation={"relu": "concatenated"},
            cache="reused",
        ),
        parity=Parity(
            passed=True,
            max_diff=2.1e-6,
            tolerance=1e-4,
            inputs=17,
            finite=True,
            normaliser_min=1e-9,
        ),
        environment={
            "machine_key": "0123456789ab",
            "facts": {"cpu_model": "AMD EPYC", "os": "Debian GNU/Linux 12 (bookworm)", "kernel": "6.1.0"},
            "state": {"governor": "performance", "load1": 0.1},
            "git": {"project": {"commit": "0" * 40, "dirty": False}, "directory": None},
        },
        estimate=_estimate(blocks, iterations, latency_ms),
        blocks=tuple(made),
    )
    return change(record, **changes)


def change(record: Record, **changes: Any) -> Record:
    """Replace fields of a record, and the fields that a mapping names inside of its parts; validated anew."""
    data = record.model_dump()
    for name, value in changes.items():
        inside = isinstance(value, dict) and isinstance(data[name], dict) and name != "environment"
        data[name] = {**data[name], **value} if inside else value
    return Record.model_validate(data)


def _plan(blocks: int) -> Plan:
    return Plan(
        preset="full",
        blocks=blocks,
        ci_width=0.01,
        warmup_min_iterations=30,
        warmup_min_s=0.5,
        warmup_cap_s=30.0,
        timed_min_iterations=200,
        timed_min_s=2.0,
        timed_max_iterations=2000,
        timed_cap_s=30.0,
        seed=0,
    )


def _block(source: random.Random, created: datetime, index: int, iterations: int, latency_ms: float) -> Block:
    probe = Probe(
        load1=0.1, clock_mhz=2596.1, governor="performance", memory_free_mb=23000.0, unknown=("temp_c",)
    )
    return Block(
        index=index,
        started_utc=(created + timedelta(seconds=8 * index)).isoformat().replace("+00:00", "Z"),
        duration_s=iterations * latency_ms / 1e3,
        steady=True,
        warmup=_samples(source, 60, latency_ms),
        samples=_samples(source, iterations, latency_ms),
        batch_iterations=20,
        median_ms=latency_ms * source.gauss(1, 0.003),
        ci_half_width=0.004,
        load_ms=180.0,
        first_inference_ms=2 * latency_ms,
        peak_memory_mb=310.0,
        before=probe,
        after=probe,
    )


def _samples(source: random.Random, count: int, latency_ms: float) -> Samples:
    compute = [int(latency_ms * 1e6 * source.lognormvariate(0, 0.01)) for _ in range(count)]
    copies = [[source.randint(2000, 6000) for _ in range(count)] for _ in range(2)]
    return Samples(
        total_ns=tuple(map(sum, zip(compute, *copies, strict=True))),
        h2d_ns=tuple(copies[0]),
        compute_ns=tuple(compute),
        d2h_ns=tuple(copies[1]),
    )


def _estimate(blocks: int, iterations: int, latency_ms: float) -> Estimate:
    enough = blocks >= 5
    return Estimate(
        latency_ms=latency_ms,
        ci_low_ms=latency_ms * 0.9924 if enough else None,
        ci_high_ms=latency_ms * 1.0077 if enough else None,
        h2d_ms=0.004,
        compute_ms=latency_ms * 0.9997,
        d2h_ms=0.0031,
        residual_ms=latency_ms * 0.0003 - 0.0071,
        latency_paper_ms=latency_ms * 0.9999,
        p90_ms=latency_ms * 1.02,
        p95_ms=latency_ms * 1.03,
        p99_ms=latency_ms * 1.06 if iterations >= 662 else None,
        load_ms=180.0,
        first_inference_ms=2 * latency_ms,
        peak_memory_mb=310.0,
        outliers_mild=3 * blocks,
        outliers_severe=blocks,
        iterations=blocks * iterations,
        blocks=blocks,
        blocks_steady=blocks,
        blocks_replaced=0,
        within_process_only=not enough,
    )
