"""The columnar index: what reports need of thousands of documents, without reading them again.

A derived file, `.index.json`, beside the records. A document is read again when its name, size or stamp
differ; anything odd about the file itself and it is built anew. A place that cannot be written has none.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from vitbench.records.environment import summary
from vitbench.records.store import Problem, Store

if TYPE_CHECKING:
    from vitbench.records.comparison import Comparison
    from vitbench.records.document import Document
    from vitbench.records.files import Entry
    from vitbench.records.gate import GateRecord
    from vitbench.records.schema import Record

NAME = ".index.json"
# Raised whenever `flatten` changes what it says of the same record.
VERSION = 7
_PARTS = ("workload", "target", "protocol", "plan", "counts", "artifact", "parity", "estimate")

Flat = dict[str, Any]


@dataclass(frozen=True)
class Contents:
    """What is in a store: one flat mapping per record of a run (see `flatten`), one per comparison (see
    `flatten_comparison`), and the files that are no records.
    """

    rows: list[Flat]
    comparisons: list[Flat]
    problems: list[Problem]
    read_again: int


def flatten(record: Record) -> Flat:
    """A record as one flat mapping without its samples: `status`, `workload.model`, `estimate.latency_ms`."""
    flat: Flat = {
        "id": record.id,
        "kind": record.kind,
        "created_utc": record.created_utc,
        "vitbench_version": record.vitbench_version,
        "status": record.status,
        "reasons": list(record.reasons),
        "simulated": record.simulated,
        "block_medians_ms": [block.median_ms for block in record.blocks],
        "blocks_invalid": sum(block.invalid is not None for block in record.blocks),
    }
    for name in _PARTS:
        part = getattr(record, name)
        if part is not None:
            flat |= {f"{name}.{key}": value for key, value in part.model_dump(mode="json").items()}
    graph = flat.pop("artifact.graph", None) or {}
    flat |= {f"graph.{key}": graph.get(key) for key in ("partitions", "transposes")}
    return flat | {f"environment.{key}": value for key, value in summary(record.environment).items()}


def flatten_comparison(comparison: Comparison) -> Flat:
    """A comparison as one mapping without its samples: `row.part`, `ratio.low`, and `sides`, each flat."""
    flat: Flat = {
        "id": comparison.id,
        "kind": comparison.kind,
        "created_utc": comparison.created_utc,
        "vitbench_version": comparison.vitbench_version,
        "status": comparison.status,
        "reasons": list(comparison.reasons),
        "simulated": comparison.simulated,
        "seed": comparison.seed,
        "value_is": comparison.value_is,
        "mismatch": list(comparison.mismatch),
        "pairs_invalid": sum(pair.invalid is not None for pair in comparison.pairs),
        "log_ratios": [pair.log_ratio for pair in comparison.pairs if pair.invalid is None],
        "sides": [flatten(side) for side in comparison.sides],
        "candidates": [
            [candidate.model_dump(mode="json") for candidate in side] for side in comparison.candidates
        ],
        "profiles": [
            None if profile is None else profile.model_dump(mode="json") for profile in comparison.profiles
        ],
    }
    for name in ("row", "ratio", "timings"):
        part = getattr(comparison, name)
        if part is not None:
            flat |= {f"{name}.{key}": value for key, value in part.model_dump(mode="json").items()}
    return flat


def _flatten(document: Document) -> Flat:
    if document.kind == "compare":
        return flatten_comparison(document)
    return _flatten_gate(document) if document.kind == "gate" else flatten(document)


def _flatten_gate(gate: GateRecord) -> Flat:
    """What a gate is, so that its document is not read again; no report has rows of it."""
    return {"id": gate.id, "kind": gate.kind, "created_utc": gate.created_utc}


def load(store: Store) -> Contents:
    """Read what is in a store, from the index where it is up to date.

    Raises:
        UsageError: the place cannot be read.
    """
    known = _read(store)
    entries = store.entries()
    current = {stamp: known[stamp] for stamp in map(_stamp, entries) if stamp in known}
    changed = [entry for entry in entries if _stamp(entry) not in known]
    passing: list[Problem] = []
    for entry, result in store.load(changed):
        if not isinstance(result, Problem):
            current[_stamp(entry)] = _flatten(result)
        elif result.lasting:
            current[_stamp(entry)] = result.reason
        else:
            passing.append(result)
    if current.keys() != known.keys():
        with contextlib.suppress(OSError):
            store.files.write(NAME, _encode(current))
    flats = [item for _, item in sorted(current.items()) if not isinstance(item, str)]
    rows = [flat for flat in flats if flat["kind"] == "run"]
    comparisons = [flat for flat in flats if flat["kind"] == "compare"]
    lasting = [
        Problem(stamp.partition("|")[0], item) for stamp, item in current.items() if isinstance(item, str)
    ]
    problems = sorted(lasting + passing, key=lambda problem: problem.name)
    return Contents(rows, comparisons, problems, read_again=len(changed))


def _stamp(entry: Entry) -> str:
    return f"{entry.name}|{entry.size}|{entry.stamp}"


def _read(store: Store) -> dict[str, Flat | str]:
    """The index as it stands; empty when it is missing, damaged, edited, or of another version."""
    try:
        digest, _, payload = store.files.read(NAME).partition(b"\n")
        if digest.decode() != _digest(payload):
            return {}
        return _decode(json.loads(payload))
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def _digest(payload: bytes) -> str:
    return f"{VERSION} {hashlib.sha256(payload).hexdigest()}"


def _encode(items: Mapping[str, Flat | str]) -> bytes:
    rows = {stamp: item for stamp, item in items.items() if not isinstance(item, str)}
    columns = list(dict.fromkeys(key for row in rows.values() for key in row))
    payload = json.dumps(
        {
            "rows": list(rows),
            "columns": {name: [row.get(name) for row in rows.values()] for name in columns},
            "problems": {stamp: item for stamp, item in items.items() if isinstance(item, str)},
        },
        separators=(",", ":"),
    ).encode()
    return _digest(payload).encode() + b"\n" + payload


def _decode(data: dict[str, Any]) -> dict[str, Flat | str]:
    names = list(data["columns"])
    rows = zip(*data["columns"].values(), strict=True)
    decoded: dict[str, Flat | str] = {
        stamp: dict(zip(names, row, strict=True)) for stamp, row in zip(data["rows"], rows, strict=True)
    }
    decoded.update(data["problems"])
    return decoded
