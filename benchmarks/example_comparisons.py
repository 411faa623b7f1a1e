"""Comparisons with made-up figures, in the form that real ones have: for tests and benchmarks of reports."""

from __future__ import annotations

import math
import random
from datetime import timedelta
from typing import Any

from benchmarks.example_records import BEGIN, example_record
from vitbench.records.comparison import Candidate, Comparison, Pair, Ratio, StudyRow, Timings
from vitbench.records.profile import OperatorTime, Profile
from vitbench.records.schema import Parity, Record
from vitbench.records.store import new_id
from vitbench.stats.pairs import signed_rank_interval

STUDY = "20261121T081500Z-0123abcd"
PARITY = Parity(passed=True, max_diff=1e-6, tolerance=1e-4, inputs=17, finite=True, normaliser_min=0.0)


def example_comparison(
    number: int = 0,
    *,
    tokens: tuple[int, int] | None = (14, 14),
    part: str = "block",
    labels: tuple[str, str] = ("softmax", "relu"),
    latencies_ms: tuple[float, float] = (2.0, 1.0),
    pairs: int = 10,
    macs: tuple[int, int] = (30_000_000, 24_000_000),
    **changes: Any,
) -> Comparison:
    """Make one row of a study; `number` sets its time and the seed of its samples.

    `changes` replace fields of the comparison.
    """
    source = random.Random(f"comparison/{number}")
    grid = tokens or (14, 14)
    sides = tuple(
        _side(number, side, f"attention-8x16+{labels[side]}", grid, latencies_ms[side], pairs, macs[side])
        for side in (0, 1)
    )
    logs = [
        math.log(after.median_ms / before.median_ms)
        for before, after in zip(sides[0].blocks, sides[1].blocks, strict=True)
    ]
    interval = signed_rank_interval(logs)
    ratio = Ratio(
        ratio=math.exp(interval.estimate),
        low=math.exp(interval.low),
        high=math.exp(interval.high) if interval.high < 700 else math.inf,
        confidence=interval.confidence,
        pairs=pairs,
    )
    created = BEGIN + timedelta(minutes=number)
    comparison = Comparison(
        id=new_id(created, f"{labels[0]}-{labels[1]}", grid, "cpu"),
        created_utc=created.isoformat().replace("+00:00", "Z"),
        vitbench_version="0.1.0",
        simulated=False,
        status="valid",
        seed=number,
        value_is="latency",
        row=StudyRow.model_validate(
            {
                "study": STUDY,
                "title": f"{labels[0]} against {labels[1]}",
                "part": part,
                "labels": labels,
                "tokens": tokens,
                "macs_ratio": macs[1] / macs[0],
            }
        ),
        sides=(sides[0], sides[1]),
        candidates=tuple(_candidates(label, ms) for label, ms in zip(labels, latencies_ms, strict=True)),
        pairs=tuple(
            Pair(first=source.choice((0, 1)), blocks=(index, index), log_ratio=log)
            for index, log in enumerate(logs)
        ),
        ratio=ratio,
        timings=Timings(
            wall_s=60.0, building_s=8.0, loading_s=9.0, warmup_s=12.0, timed_s=28.0, waiting_s=0.0
        ),
    )
    return Comparison.model_validate({**comparison.model_dump(), **changes})


def example_profile(**changes: Any) -> Profile:
    """Where the time of a side went: a quarter of 4 ms is attention. `changes` replace fields."""
    operators = (("Conv", 3.0, 12), ("MatMul", 0.5, 4), ("Softmax", 0.2, 2), ("ReorderOutput", 0.1, 3))
    profile = Profile(
        runtime="onnxruntime 1.31.1",
        iterations=20,
        total_ms=4.0,
        attention_ms=1.0,
        core_ms=0.5,
        unattributed_ms=0.1,
        operators=tuple(OperatorTime(op_type=name, ms=ms, layers=count) for name, ms, count in operators),
    )
    return Profile.model_validate({**profile.model_dump(), **changes})


def _side(
    number: int, side: int, model: str, grid: tuple[int, int], latency_ms: float, blocks: int, macs: int
) -> Record:
    return example_record(
        2 * number + side,
        model=model,
        resolution=grid,
        blocks=blocks,
        iterations=40,
        latency_ms=latency_ms,
        counts={"macs": macs, "macs_attention": macs // 2, "macs_artifact": macs},
        workload={"task": "block", "variant": "8x16"},
    )


def _candidates(label: str, latency_ms: float) -> tuple[Candidate, ...]:
    return tuple(
        Candidate(
            formulation={label: name},
            digest=f"{index:064x}",
            parity=PARITY,
            block_medians_ms=(latency_ms * (1 + 0.1 * index), latency_ms * (1.01 + 0.1 * index)),
            chosen=index == 0,
        )
        for index, name in enumerate(("products", "fused"))
    )


def example_study(grids: int = 5) -> list[Comparison]:
    """Both parts of an attention study over so many grids: softmax grows with the square, ReLU linearly."""
    rows = []
    for index in range(grids):
        side = 7 * 2**index
        tokens = side * side
        softmax, relu = 0.02 + 2e-4 * tokens + 1.2e-6 * tokens**2, 0.05 + 4e-4 * tokens
        macs = tokens * 128 * (4 * 128 + 2 * tokens), tokens * 128 * (4 * 128 + 40)
        for part, second, count in (("block", relu, macs[1]), ("matched", 1.4 * relu, macs[0])):
            rows.append(
                example_comparison(
                    len(rows),
                    tokens=(side, side),
                    part=part,
                    latencies_ms=(softmax, second),
                    macs=(macs[0], count),
                )
            )
    return rows
