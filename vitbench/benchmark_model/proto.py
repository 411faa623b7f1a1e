"""The result that newer tools write to a file (`--result_file_path`), a protocol buffer of four fields.

Read without the protobuf library: floats, integers and nested messages are all it is made of.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator
from dataclasses import dataclass

from vitbench.benchmark_model.refusals import NoResult, Reason

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
MAX_VARINT_BYTES = 10
Value = int | float | bytes

# Numbers of the fields of tflite.tools.benchmark.BenchmarkResult, and of those of its messages.
_LATENCY, _MEMORY, _MISC = 2, 3, 4
_LATENCY_FIELDS = {
    1: "avg_ms",
    2: "min_ms",
    3: "max_ms",
    4: "std_ms",
    5: "median_ms",
    6: "p5_ms",
    7: "p95_ms",
    8: "init_ms",
    9: "first_inference_ms",
    10: "warmup_avg_ms",
}
_PEAK_MEMORY_MB = 3
_NUM_RUNS, _NUM_WARMUP_RUNS = 2, 3


@dataclass(frozen=True)
class ProtoResult:
    """The result file of one run. Times in ms, rounded to float32; None where it does not tell."""

    num_runs: int
    num_warmup_runs: int | None
    avg_ms: float | None = None
    min_ms: float | None = None
    max_ms: float | None = None
    std_ms: float | None = None
    median_ms: float | None = None
    p5_ms: float | None = None
    p95_ms: float | None = None
    init_ms: float | None = None
    first_inference_ms: float | None = None
    warmup_avg_ms: float | None = None
    peak_memory_mb: float | None = None


def read_proto(content: bytes) -> ProtoResult:
    """Read a result file.

    Raises:
        NoResult: it is empty, cut or damaged, or holds no run.
    """
    messages: dict[int, bytes] = {}
    for number, value in _fields(content):
        if number in (_LATENCY, _MEMORY, _MISC):
            messages[number] = messages.get(number, b"") + _message(value)
    misc = dict(_fields(messages.get(_MISC, b"")))
    num_runs = _integer(misc.get(_NUM_RUNS))
    if not num_runs:
        raise _malformed("it tells of no inference" if content else "it is empty")
    times = dict(_fields(messages.get(_LATENCY, b"")))
    told = {name: _number(times.get(number)) for number, name in _LATENCY_FIELDS.items()}
    if told["avg_ms"] is None and told["median_ms"] is None:
        raise _malformed("it holds no times")
    peak = _number(dict(_fields(messages.get(_MEMORY, b""))).get(_PEAK_MEMORY_MB))
    return ProtoResult(num_runs, _integer(misc.get(_NUM_WARMUP_RUNS)), **told, peak_memory_mb=peak or None)


def _fields(content: bytes) -> Iterator[tuple[int, Value]]:
    """Number and value of every field of a message."""
    position = 0
    while position < len(content):
        key, position = _varint(content, position)
        number, kind = key >> 3, key & 7
        if number == 0:
            raise _malformed("it has a field without a number")
        if kind == VARINT:
            value, position = _varint(content, position)
            yield number, value
            continue
        if kind == BYTES:
            size, position = _varint(content, position)
        elif kind in (FIXED32, FIXED64):
            size = 4 if kind == FIXED32 else 8
        else:
            raise _malformed(f"it has a field of the unknown kind {kind}")
        end = position + size
        if end > len(content):
            raise _malformed("it is cut")
        raw, position = content[position:end], end
        yield number, raw if kind == BYTES else float(struct.unpack("<f" if size == 4 else "<d", raw)[0])


def _varint(content: bytes, position: int) -> tuple[int, int]:
    value = 0
    for index, byte in enumerate(content[position : position + MAX_VARINT_BYTES]):
        value |= (byte & 0x7F) << 7 * index
        if byte < 0x80:
            return value, position + index + 1
    raise _malformed("it is cut, or has a number that does not end")


def _message(value: Value) -> bytes:
    if not isinstance(value, bytes):
        raise _malformed("it has a number where a message belongs")
    return value


def _number(value: Value | None) -> float | None:
    if value is None:
        return None
    if isinstance(value, bytes) or not math.isfinite(value) or value < 0:
        raise _malformed("a figure in it is no figure")
    return float(value)


def _integer(value: Value | None) -> int | None:
    if value is None:
        return None
    # Negative numbers of 32 bits are written with 64.
    if not isinstance(value, int) or value >= 1 << 31:
        raise _malformed("a count in it is no count")
    return value


def _malformed(what: str) -> NoResult:
    hint = "the run was cut, or the file is of something else: run benchmark_model again"
    return NoResult(Reason.MALFORMED, f"the result file of benchmark_model cannot be read: {what}", hint)
