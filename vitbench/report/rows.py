"""One row per record: every figure that any report shows, named with its unit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from vitbench.report.numbers import reach

if TYPE_CHECKING:
    from vitbench.records.schema import Record


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A record as reports show it. None where a figure does not exist; `resolution` is HEIGHTxWIDTH.

    `value` is what the record was taken for, in `unit`: throughput in img/s, else latency in ms, else (when
    copies could not be timed) compute time in ms, in which case `value_is` says "compute".
    Counts are of one inference, that is of the whole batch; `gmacs_per_s` is `macs` over the value's time.
    """

    model: str
    attention: str | None
    upsample: str | None
    form: str
    resolution: str
    height: int
    width: int
    batch: int
    target: str
    device: str
    runtime: str
    runtime_version: str
    precision: str
    metric: str
    status: str
    reasons: tuple[str, ...]
    simulated: bool
    value: float | None
    value_is: str
    unit: str
    value_low: float | None
    value_high: float | None
    half_width_percent: float | None
    latency_ms: float | None
    ci_low_ms: float | None
    ci_high_ms: float | None
    h2d_ms: float | None
    compute_ms: float | None
    d2h_ms: float | None
    residual_ms: float | None
    latency_paper_ms: float | None
    p90_ms: float | None
    p95_ms: float | None
    p99_ms: float | None
    throughput_img_s: float | None
    throughput_low_img_s: float | None
    throughput_high_img_s: float | None
    load_ms: float | None
    first_inference_ms: float | None
    peak_memory_mb: float | None
    params: int
    params_deploy: int
    macs: int
    macs_attention: int
    macs_artifact: int
    bytes_read: int
    bytes_written: int
    gmacs_per_s: float | None
    artifact_bytes: int | None
    artifact_digest: str | None
    artifact_nodes: int | None
    export_s: float | None
    partitions: int | None
    transposes: int | None
    parity: str
    parity_max_diff: float | None
    preset: str
    turn_s: float | None
    blocks: int | None
    blocks_planned: int
    blocks_steady: int | None
    blocks_replaced: int | None
    within_process_only: bool | None
    iterations: int | None
    outliers_mild: int | None
    outliers_severe: int | None
    transfers: str
    zero_copy: bool
    threads: int
    spin_wait: bool
    cuda_graph: bool
    streams: int
    overlap: bool | None
    mode: str | None
    affinity: str | None
    builds: int
    weights: str
    machine_key: str | None
    cpu_model: str | None
    os: str | None
    kernel: str | None
    governor: str | None
    git_commit: str | None
    git_dirty: bool | None
    vitbench_version: str
    created_utc: str
    id: str


def from_records(records: Sequence[Record]) -> list[Row]:
    """Rows of records at hand, in their order."""
    from vitbench.records.index import flatten

    return [from_flat(flatten(record)) for record in records]


def from_flat(flat: Mapping[str, Any]) -> Row:
    """Row of a record's flat mapping (`vitbench.records.index.flatten`)."""
    found: dict[str, Any] = {name: flat.get(source) for name, source in _SOURCES.items()}
    found["height"], found["width"] = flat["workload.resolution"]
    found["resolution"] = f"{found['height']}x{found['width']}"
    found["reasons"] = _reasons(flat)
    affinity = flat.get("protocol.affinity")
    found["affinity"] = None if affinity is None else ",".join(str(cpu) for cpu in affinity)
    passed = flat.get("parity.passed")
    found["parity"] = "none" if passed is None else "passed" if passed else "failed"
    found |= _value(flat)
    return Row(**found)


def _reasons(flat: Mapping[str, Any]) -> tuple[str, ...]:
    """Why the status is what it is: failed parity first."""
    parity, reasons = flat.get("parity.reason"), tuple(flat["reasons"])
    return (f"parity: {parity}", *reasons) if parity and flat["status"] == "parity-failed" else reasons


def _value(flat: Mapping[str, Any]) -> dict[str, Any]:
    """The figure that a record was taken for, its interval and what follows from it."""
    name, unit, value_is = "estimate.latency_ms", "ms", "latency"
    low, high = flat.get("estimate.ci_low_ms"), flat.get("estimate.ci_high_ms")
    if flat["protocol.metric"] == "throughput":
        name, unit, value_is = "estimate.throughput_img_s", "img/s", "throughput"
        low, high = flat.get("estimate.throughput_low_img_s"), flat.get("estimate.throughput_high_img_s")
    elif flat.get(name) is None:
        name, value_is = "estimate.compute_ms", "compute"
    value = flat.get(name)
    half = None if value is None else reach(value, low, high)
    return {
        "value": value,
        "value_is": value_is,
        "unit": unit,
        "value_low": low,
        "value_high": high,
        "half_width_percent": None if half is None or not value else 100 * half / value,
        "gmacs_per_s": _rate(flat, value, unit),
    }


def _rate(flat: Mapping[str, Any], value: float | None, unit: str) -> float | None:
    if not value:
        return None
    inferences_per_s = value / flat["workload.batch"] if unit == "img/s" else 1e3 / value
    return float(inferences_per_s * flat["counts.macs"] / 1e9)


_PARTS = {
    "workload": ("model", "attention", "upsample", "form", "batch", "weights"),
    "target": ("device", "runtime", "runtime_version"),
    "protocol": (
        *("precision", "metric", "transfers", "zero_copy", "threads"),
        *("spin_wait", "cuda_graph", "streams", "overlap", "mode", "builds"),
    ),
    "plan": ("preset", "turn_s"),
    "counts": (
        *("params", "params_deploy", "macs", "macs_attention"),
        *("macs_artifact", "bytes_read", "bytes_written"),
    ),
    "estimate": (
        *("latency_ms", "ci_low_ms", "ci_high_ms", "h2d_ms", "compute_ms", "d2h_ms", "residual_ms"),
        *("latency_paper_ms", "p90_ms", "p95_ms", "p99_ms", "throughput_img_s", "throughput_low_img_s"),
        *("throughput_high_img_s", "load_ms", "first_inference_ms", "peak_memory_mb", "blocks"),
        *("blocks_steady", "blocks_replaced", "within_process_only", "iterations", "outliers_mild"),
        "outliers_severe",
    ),
    "environment": ("machine_key", "cpu_model", "os", "kernel", "governor", "git_commit", "git_dirty"),
}
_SOURCES = {name: f"{part}.{name}" for part, names in _PARTS.items() for name in names} | {
    "target": "target.name",
    "blocks_planned": "plan.blocks",
    "artifact_bytes": "artifact.bytes",
    "artifact_digest": "artifact.digest",
    "artifact_nodes": "artifact.nodes",
    "export_s": "artifact.export_s",
    "partitions": "graph.partitions",
    "transposes": "graph.transposes",
    "parity_max_diff": "parity.max_diff",
    **{name: name for name in ("id", "created_utc", "vitbench_version", "status", "simulated")},
}
