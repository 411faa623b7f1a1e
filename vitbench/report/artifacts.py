"""Cached artifacts as text or JSON."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from vitbench.export.cache import Artifact, CacheEntry, Pruned
from vitbench.records.schema import GraphFacts, Parity
from vitbench.report.columns import columns
from vitbench.text import clean, count_words


def _entry(entry: CacheEntry) -> dict[str, Any]:
    return {
        "key": entry.key,
        "workload": entry.label,
        "bytes": entry.bytes,
        "used_utc": datetime.fromtimestamp(entry.used_s, UTC).isoformat(timespec="seconds"),
        "path": str(entry.path),
        "problem": entry.problem,
    }


def listing(root: Path, entries: Sequence[CacheEntry], *, as_json: bool) -> str:
    """Every cached artifact: short key, workload, size, when it was last used, and what is wrong with it."""
    found = [_entry(entry) for entry in entries]
    if as_json:
        return json.dumps(found, indent=2) + "\n"
    total = sum(entry.bytes for entry in entries)
    head = f"{clean(str(root))}: {len(entries)} artifacts, {total / 1e6:.1f} MB\n"
    rows = [
        (
            item["key"][:12],
            item["workload"] or "?",
            f"{item['bytes'] / 1e6:.1f} MB",
            item["used_utc"],
            item["problem"] or "ok",
        )
        for item in found
    ]
    return head + (columns(("key", "workload", "size", "last used", "state"), rows) if rows else "")


def pruned(result: Pruned, *, as_json: bool) -> str:
    """What pruning removed and what it left."""
    if as_json:
        data = {
            "removed": [_entry(entry) for entry in result.removed],
            "in_use": [_entry(entry) for entry in result.in_use],
            "unfinished": result.unfinished,
            "bytes": result.bytes,
        }
        return json.dumps(data, indent=2) + "\n"
    lines = [
        f"removed {len(result.removed)} artifacts and {result.unfinished} unfinished ones: "
        f"{result.bytes / 1e6:.1f} MB"
    ]
    lines += [f"left {clean(entry.label or entry.key[:12])}: a process uses it" for entry in result.in_use]
    return "\n".join(lines) + "\n"


def exported(artifact: Artifact, parity: Parity, where: Path, *, as_json: bool) -> str:
    """One exported artifact: where it is, what it is, and how near PyTorch it comes."""
    counts = artifact.manifest.counts
    data = artifact.record_part().model_dump(mode="json") | {
        "workload": artifact.manifest.label,
        "model_file": str(where),
        "macs_artifact": counts.macs_artifact,
        "parity": parity.model_dump(mode="json"),
    }
    if as_json:
        return json.dumps(data, indent=2) + "\n"
    rows = [
        ("workload", artifact.manifest.label),
        ("file", str(where)),
        ("digest", artifact.digest),
        ("made by", _made_by(artifact)),
        ("size", f"{artifact.manifest.bytes / 1e6:.1f} MB"),
        ("attention", ", ".join(f"{kind}: {how}" for kind, how in artifact.manifest.formulation.items())),
        ("MACs of the graph", f"{counts.macs_artifact:,}"),
        *_graph(artifact.manifest.graph),
        ("parity", _parity(parity)),
    ]
    return columns(("artifact", artifact.cache), rows)


def _made_by(artifact: Artifact) -> str:
    manifest = artifact.manifest
    return manifest.exporter if manifest.opset is None else f"{manifest.exporter}, opset {manifest.opset}"


def _graph(graph: GraphFacts | None) -> list[tuple[str, str]]:
    """How the runtime takes the graph over, where that is known."""
    if graph is None:
        return []
    outside = f"; outside them {count_words(graph.outside)}" if graph.outside else ", nothing outside"
    return [
        ("operators", count_words(graph.operators)),
        ("partitions", f"{graph.partitions}{outside}"),
        *([("layout", graph.layout)] if graph.layout else []),
    ]


def _parity(parity: Parity) -> str:
    """The verdict, how far the outputs differ, and what a pass does not show."""
    told = ["passed" if parity.passed else f"FAILED: {parity.reason}"]
    if parity.max_diff is not None:
        told.append(f"largest difference {parity.max_diff:.2g} of {parity.tolerance:g} allowed")
    if parity.passed and parity.reason:
        told.append(parity.reason)
    return ", ".join(told)
