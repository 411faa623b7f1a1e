"""The sessions of each cell, out of the index of a store: one figure each, in the order of time. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

USED = ("valid", "unsteady")
# Two runs of the same cell agree in these; the machine and the whole protocol go with them.
_CELL = (
    *("workload.model", "workload.resolution", "workload.batch", "workload.weights", "target.name"),
    *("protocol.metric", "environment.machine_key", "simulated"),
)
_PROTOCOL = "protocol."


@dataclass(frozen=True)
class Session:
    """One stored run.

    Attributes:
        value: time of an iteration in ms, of compute alone where copies could not be timed; of an image at
            the best throughput, in ms.
        commit: of vitbench's checkout, None outside of one.
    """

    id: str
    created_utc: str
    value: float
    status: str
    commit: str | None
    version: str
    runtime_version: str


@dataclass(frozen=True)
class CellHistory:
    """The sessions of one cell on one machine, oldest first.

    `left_out` runs were of no use; `newest_utc` is the time of the last one, of use or not. `newest_unused`
    says what the newest run is where it is of no use, looks (`--quick`) aside; None where it is a session.
    """

    model: str
    resolution: tuple[int, int]
    target: str
    transport: str
    device: str
    machine_key: str
    simulated: bool
    metric: str
    precision: str
    label: str
    newest_utc: str
    sessions: tuple[Session, ...]
    left_out: int
    newest_unused: str | None = None


def histories(rows: Iterable[Mapping[str, Any]]) -> list[CellHistory]:
    """Group the runs of a store by cell, machine and protocol.

    Runs that are neither valid nor unsteady, and looks (`--quick`), are left out and counted.

    Args:
        rows: flat runs, from `vitbench.records.index.load`.
    """
    groups: dict[tuple[str, ...], list[Mapping[str, Any]]] = {}
    for row in rows:
        groups.setdefault(_key(row), []).append(row)
    return [_history(group) for group in groups.values()]


def _key(row: Mapping[str, Any]) -> tuple[str, ...]:
    protocol = sorted(name for name in row if name.startswith(_PROTOCOL))
    return tuple(str(row.get(name)) for name in (*_CELL, *protocol))


def _history(group: list[Mapping[str, Any]]) -> CellHistory:
    ordered = sorted(group, key=lambda row: (row["created_utc"], row["id"]))
    found, unused = [], None
    for row in ordered:
        value, full = _value(row), row.get("plan.preset") == "full"
        if value is not None and row["status"] in USED and full:
            found.append(_session(row, value))
            unused = None
        elif full:
            unused = f"{row['id']}, is {row['status']}"
    last = ordered[-1]
    height, width = last["workload.resolution"]
    batch = f" b{last['workload.batch']}" if last["workload.batch"] != 1 else ""
    model, target = str(last["workload.model"]), str(last["target.name"])
    return CellHistory(
        model=model,
        resolution=(int(height), int(width)),
        target=target,
        transport=str(last["target.transport"]),
        device=str(last["target.device"]),
        machine_key=str(last["environment.machine_key"]),
        simulated=bool(last["simulated"]),
        metric=str(last["protocol.metric"]),
        precision=str(last["protocol.precision"]),
        label=f"{model}:{height}x{width}{batch} on {target}",
        newest_utc=str(last["created_utc"]),
        sessions=tuple(found),
        left_out=len(ordered) - len(found),
        newest_unused=unused,
    )


def _session(row: Mapping[str, Any], value: float) -> Session:
    return Session(
        id=str(row["id"]),
        created_utc=str(row["created_utc"]),
        value=value,
        status=str(row["status"]),
        commit=row.get("environment.git_commit"),
        version=str(row["vitbench_version"]),
        runtime_version=str(row["target.runtime_version"]),
    )


def _value(row: Mapping[str, Any]) -> float | None:
    """What a run was taken for, as a time, so that more is always worse."""
    rate = row.get("estimate.throughput_img_s")
    if row.get("protocol.metric") == "throughput":
        return 1e3 / float(rate) if rate else None
    value = row.get("estimate.latency_ms") or row.get("estimate.compute_ms")
    return float(value) if value else None
