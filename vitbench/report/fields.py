"""What a table can say about a row: facts of the set-up, which rows mostly share, and figures."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from vitbench.report.numbers import MISSING, significant, with_interval
from vitbench.report.rows import Row
from vitbench.report.sheet import NEVER_DROPPED

COMPUTE_ONLY = "†"
WITHIN_PROCESS = "‡"
TOO_FEW = "n/a"

Cell = Callable[[Row], str]


@dataclass(frozen=True)
class Column:
    """A column of a table. When a table is too wide the column with the highest `drop` goes; 0 never goes."""

    name: str
    header: str
    cell: Cell
    drop: int
    right: bool = True


@dataclass(frozen=True)
class Fact:
    """A part of the set-up in words: "2 threads". `usual` words need not be said where all rows share them.

    `column` shows it where rows differ and there is room; otherwise a note under the table does.
    """

    name: str
    words: Cell
    usual: str | None = None
    column: Column | None = None


def value(row: Row) -> str:
    """`27.43 ± 0.21`, marked when only compute could be timed or no interval between processes exists."""
    return _marked(row, "")


def value_and_unit(row: Row) -> str:
    """Like `value`, with the unit: for rows that were taken for different things."""
    return _marked(row, f" {row.unit}")


def _marked(row: Row, unit: str) -> str:
    if row.value is None:
        return MISSING
    marks = COMPUTE_ONLY * (row.value_is == "compute") + WITHIN_PROCESS * bool(row.within_process_only)
    return f"{with_interval(row.value, row.value_low, row.value_high)}{unit} {marks}".rstrip()


def _tail(name: str) -> Cell:
    def cell(row: Row) -> str:
        value: float | None = getattr(row, name)
        # Requests that overlap have no latency, and so no tails, however many there are.
        overlapping = row.unit == "img/s" and row.latency_ms is None
        too_few = value is None and row.value is not None and not overlapping
        return TOO_FEW if too_few else significant(value)

    return cell


def _figure(name: str, scale: float = 1) -> Cell:
    def cell(row: Row) -> str:
        value: float | None = getattr(row, name)
        return significant(None if value is None else value / scale)

    return cell


def _parity(row: Row) -> str:
    return row.parity if row.parity_max_diff is None else f"{row.parity} {row.parity_max_diff:.0e}"


def _attention_percent(row: Row) -> str:
    return significant(100 * row.macs_attention / row.macs, 2) if row.macs else MISSING


def _whole(number: int | None) -> str:
    return MISSING if number is None else f"{number:,}"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" + ("s" if number != 1 else "")


def _affinity(row: Row) -> str:
    return "any CPU" if row.affinity is None else f"on CPU {row.affinity}"


def _turns(row: Row) -> str:
    return "one after the other" if row.turn_s is None else f"in turns of {row.turn_s * 1e3:.0f} ms"


TRANSFERS = {
    "timed": "transfers timed",
    "measured-apart": "transfers measured apart",
    "absent": "transfers not timed",
}

# What a row is about; what it was measured on; its value; and what else is known, best first in `drop`.
SUBJECT = (
    Column("model", "model", lambda row: row.model, NEVER_DROPPED, right=False),
    Column("resolution", "HxW", lambda row: row.resolution, NEVER_DROPPED, right=False),
)
LATENCY = Column("latency", "latency ms", value, NEVER_DROPPED)
THROUGHPUT = Column("throughput", "images/s", value, NEVER_DROPPED)
EITHER = Column("value", "value", value_and_unit, NEVER_DROPPED)
FIGURES = (
    Column("p90", "p90 ms", _tail("p90_ms"), 3),
    Column("p95", "p95 ms", _tail("p95_ms"), 13),
    Column("p99", "p99 ms", _tail("p99_ms"), 6),
    Column("h2d", "in ms", _figure("h2d_ms"), 10),
    Column("compute", "compute ms", _figure("compute_ms"), 9),
    Column("d2h", "out ms", _figure("d2h_ms"), 10),
    Column("first", "first ms", _figure("first_inference_ms"), 14),
    Column("memory", "peak MB", _figure("peak_memory_mb"), 12),
    Column("params", "params M", _figure("params", 1e6), 8),
    Column("gmacs", "GMACs", lambda row: significant(row.macs / row.batch / 1e9), 2),
    Column("attention", "attn %", _attention_percent, 11),
    Column("rate", "GMAC/s", _figure("gmacs_per_s"), 5),
    Column("parity", "parity", _parity, 7, right=False),
    Column("date", "date", lambda row: row.created_utc[:10], 11, right=False),
    Column("size", "size MB", _figure("artifact_bytes", 1e6), 16),
    Column("nodes", "nodes", lambda row: _whole(row.artifact_nodes), 17),
    Column("export", "export s", _figure("export_s"), 18),
    Column("partitions", "partitions", lambda row: _whole(row.partitions), 19),
    Column("transposes", "transposes", lambda row: _whole(row.transposes), 20),
)
FACTS = (
    Fact(
        "target",
        lambda row: row.target,
        column=Column("target", "target", lambda r: r.target, 0, right=False),
    ),
    Fact(
        "device",
        lambda row: row.device,
        column=Column("device", "device", lambda r: r.device, 15, right=False),
    ),
    Fact("machine", lambda row: f"machine {row.machine_key or 'unknown'}"),
    Fact("runtime", lambda row: f"{row.runtime} {row.runtime_version}"),
    Fact(
        "batch", lambda row: f"batch {row.batch}", column=Column("batch", "batch", lambda r: str(r.batch), 1)
    ),
    Fact(
        "precision",
        lambda row: row.precision,
        column=Column("precision", "precision", lambda r: r.precision, 4, right=False),
    ),
    Fact(
        "threads",
        lambda row: _count(row.threads, "thread"),
        column=Column("threads", "threads", lambda r: str(r.threads), 4),
    ),
    Fact("transfers", lambda row: TRANSFERS.get(row.transfers, row.transfers)),
    Fact("zero_copy", lambda row: "zero-copy" if row.zero_copy else "no zero-copy", "no zero-copy"),
    Fact("spin_wait", lambda row: "spinning" if row.spin_wait else "no spinning"),
    Fact("cuda_graph", lambda row: "CUDA graph" if row.cuda_graph else "no CUDA graph", "no CUDA graph"),
    Fact("streams", lambda row: _count(row.streams, "stream"), "1 stream"),
    Fact("mode", lambda row: f"mode {row.mode}" if row.mode else "no modes", "no modes"),
    Fact("overlap", lambda row: "copies overlap" if row.overlap else "no overlap", "no overlap"),
    Fact("affinity", _affinity, "any CPU"),
    Fact("builds", lambda row: _count(row.builds, "build"), "1 build"),
    Fact("turn_s", _turns, "one after the other"),
    Fact("preset", lambda row: f"preset {row.preset}", "preset full"),
    Fact("weights", lambda row: f"weights {row.weights}", "weights seeded:0"),
)
# Facts of the place; the others are of the protocol.
PLACE = ("target", "device", "machine", "runtime")
