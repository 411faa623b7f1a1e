"""Compare what was recorded at different times: no pairs, so whatever drifted in between is in the ratio."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from vitbench import __version__
from vitbench.errors import UsageError
from vitbench.measure.estimates import blocks_that_count
from vitbench.records.comparison import Comparison, Ratio, StudyRow, Timings
from vitbench.records.schema import Record
from vitbench.records.store import new_id
from vitbench.study.protocols import differing

UNPAIRED = "recorded at different times, not measured in pairs: what drifted in between is in the ratio"
NO_TIME = Timings(wall_s=0, building_s=0, loading_s=0, warmup_s=0, timed_s=0, waiting_s=0)


def are_records(names: Sequence[str]) -> bool:
    """Whether all names are files of records."""
    return all(name.endswith(".json") for name in names)


def compare_files(names: Sequence[str], *, allow_mismatch: bool = False) -> list[Comparison]:
    """Compare the record in each file with that in the first.

    Raises:
        UsageError: fewer than two, a file that cannot be read, or as `compare_records`.
    """
    if len(names) < 2:
        raise UsageError("a comparison needs two sides", "name two records")
    return compare_records([read_record(Path(name)) for name in names], allow_mismatch=allow_mismatch)


def read_record(path: Path) -> Record:
    """Read the record of a run from its file.

    Raises:
        UsageError: it cannot be read, or is none.
    """
    from vitbench.records.document import UnreadableRecord, parse

    try:
        document = parse(path.read_bytes())
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror or error}") from error
    except UnreadableRecord as error:
        raise UsageError(f"cannot read {path}: {error.message}") from error
    if not isinstance(document, Record):
        raise UsageError(f"{path} is a comparison already", "`vitbench report` shows it")
    return document


def compare_records(records: Sequence[Record], *, allow_mismatch: bool = False) -> list[Comparison]:
    """Compare each record with the first. The result is never `valid`: it was not measured in pairs.

    Raises:
        UsageError: protocols differ and that is not allowed, or a record has no block.
    """
    first, *others = records
    return [_compare(first, other, allow_mismatch) for other in others]


def _compare(first: Record, second: Record, allow_mismatch: bool) -> Comparison:
    mismatch = differing(first, second, allow=allow_mismatch)
    created = datetime.now(UTC)
    labels = (_label(first), _label(second))
    return Comparison(
        id=new_id(created, f"{labels[0]}-{labels[1]}", first.workload.resolution, first.target.name),
        created_utc=created.isoformat(timespec="seconds"),
        vitbench_version=__version__,
        simulated=first.simulated or second.simulated,
        status="inconclusive",
        reasons=(UNPAIRED,),
        seed=first.plan.seed,
        value_is="compute"
        if "absent" in (first.protocol.transfers, second.protocol.transfers)
        else "latency",
        mismatch=mismatch,
        row=StudyRow(
            study=f"records {first.id} {second.id}",
            title=f"{labels[0]} against {labels[1]}",
            part="models",
            labels=labels,
            tokens=None,
            macs_ratio=second.counts.macs / first.counts.macs,
        ),
        sides=(first, second),
        pairs=(),
        ratio=_ratio(_log_medians(first), _log_medians(second)),
        timings=NO_TIME,
    )


def _ratio(first: Sequence[float], second: Sequence[float]) -> Ratio:
    """Ratio of geometric means with Welch's t interval (B. L. Welch, Biometrika 34, 1947) over logarithms."""
    from scipy.stats import ttest_ind

    interval = ttest_ind(second, first, equal_var=False).confidence_interval(0.95)
    return Ratio(
        ratio=math.exp(float(np.mean(second) - np.mean(first))),
        low=math.exp(float(interval.low)),
        high=math.exp(float(interval.high)),
        confidence=0.95,
        pairs=0,
    )


def _log_medians(record: Record) -> list[float]:
    blocks = blocks_that_count(record.blocks)
    if len(blocks) < 2:
        raise UsageError(
            f"record {record.id} has {len(blocks)} blocks, and an interval needs two", "measure it again"
        )
    return [float(np.log(block.median_ms)) for block in blocks]


def _label(record: Record) -> str:
    height, width = record.workload.resolution
    return f"{record.workload.model}:{height}x{width}"
