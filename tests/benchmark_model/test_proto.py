"""The result file: what the tool writes, and everything that is none."""

from __future__ import annotations

import math
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.benchmark_model import message, result_file, varint
from vitbench.benchmark_model.proto import ProtoResult, read_proto
from vitbench.benchmark_model.refusals import NoResult, Reason

RUN = [5100, 5000, 5300, 5200]
WHOLE = result_file(31_250, [7000, 6000], RUN, 64.5)
LATENCY = varint(1 << 3 | 5) + struct.pack("<f", 2.5)
ONE_RUN = message(4, varint(2 << 3) + varint(1))


def test_reads_what_the_tool_writes() -> None:
    assert read_proto(WHOLE) == ProtoResult(
        num_runs=4,
        num_warmup_runs=2,
        avg_ms=pytest.approx(5.15),
        min_ms=5.0,
        max_ms=pytest.approx(5.3),
        std_ms=pytest.approx(0.111),
        median_ms=pytest.approx(5.2),
        p5_ms=5.0,
        p95_ms=pytest.approx(5.3),
        init_ms=31.25,
        first_inference_ms=7.0,
        warmup_avg_ms=6.5,
        peak_memory_mb=64.5,
    )


def test_agrees_with_the_protobuf_library() -> None:
    """The very message, written by protobuf from a description of its fields."""
    descriptor_pb2 = pytest.importorskip("google.protobuf.descriptor_pb2")
    from google.protobuf import descriptor_pool, message_factory

    kinds = descriptor_pb2.FieldDescriptorProto
    file = descriptor_pb2.FileDescriptorProto(name="own.proto", package="own", syntax="proto2")
    layouts = {
        "Latency": [(f"f{number}", number, kinds.TYPE_FLOAT) for number in range(1, 11)],
        "Memory": [
            ("init", 1, kinds.TYPE_INT64),
            ("overall", 2, kinds.TYPE_INT64),
            ("peak", 3, kinds.TYPE_FLOAT),
        ],
        "Misc": [
            ("size", 1, kinds.TYPE_FLOAT),
            ("runs", 2, kinds.TYPE_INT32),
            ("warmups", 3, kinds.TYPE_INT32),
        ],
    }
    for name, layout in layouts.items():
        part = file.message_type.add(name=name)
        for field, number, kind in layout:
            part.field.add(name=field, number=number, type=kind, label=kinds.LABEL_OPTIONAL)
    result = file.message_type.add(name="Result")
    result.field.add(name="name", number=1, type=kinds.TYPE_STRING, label=kinds.LABEL_OPTIONAL)
    for number, name in enumerate(layouts, 2):
        result.field.add(
            name=name.lower(),
            number=number,
            type=kinds.TYPE_MESSAGE,
            type_name=f".own.{name}",
            label=kinds.LABEL_OPTIONAL,
        )
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    written = message_factory.GetMessageClass(pool.FindMessageTypeByName("own.Result"))(name="a run")
    for number in range(1, 11):
        setattr(written.latency, f"f{number}", number / 4)
    written.memory.init, written.memory.overall, written.memory.peak = -5, 1 << 40, 80.25
    written.misc.size, written.misc.runs, written.misc.warmups = 35.5, 300, 0
    told = read_proto(written.SerializeToString())
    assert told.num_runs == 300
    assert told.num_warmup_runs == 0
    assert (told.avg_ms, told.median_ms, told.warmup_avg_ms, told.peak_memory_mb) == (0.25, 1.25, 2.5, 80.25)


def test_what_it_does_not_tell_is_none() -> None:
    told = read_proto(message(2, LATENCY) + ONE_RUN)
    assert told == ProtoResult(num_runs=1, num_warmup_runs=None, avg_ms=2.5)


def test_fields_of_later_versions_are_passed_over() -> None:
    later = (
        varint(9 << 3)
        + varint(1 << 60)
        + message(11, b"later")
        + varint(12 << 3 | 1)
        + struct.pack("<d", math.pi)
    )
    assert read_proto(later + WHOLE + later) == read_proto(WHOLE)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "it is empty"),
        (message(1, b"name"), "no inference"),
        (message(4, varint(2 << 3) + varint(0)), "no inference"),
        (ONE_RUN, "no times"),
        (WHOLE[:-1], "cut"),
        (varint(2 << 3) + varint(7), "a number where a message belongs"),
        (b"\xff" * 20, "a number that does not end"),
        (b"\x0f", "unknown kind 7"),
        (b"\x05\0\0\0\0", "without a number"),
        (message(2, varint(1 << 3 | 5) + struct.pack("<f", math.nan)) + ONE_RUN, "is no figure"),
        (message(2, varint(1 << 3 | 5) + struct.pack("<f", -1.0)) + ONE_RUN, "is no figure"),
        (message(2, message(1, b"five")) + ONE_RUN, "is no figure"),
        (message(2, LATENCY) + message(4, varint(2 << 3) + varint((1 << 64) - 1)), "is no count"),
        (b"<html>not found</html>", "cannot be read"),
    ],
)
def test_a_file_that_is_none_says_so(content: bytes, words: str) -> None:
    with pytest.raises(NoResult, match=words) as caught:
        read_proto(content)
    assert caught.value.reason is Reason.MALFORMED
    assert caught.value.hint


@given(st.binary(max_size=200))
def test_nothing_crashes_the_reader(content: bytes) -> None:
    try:
        read_proto(content)
    except NoResult:
        return


@given(st.integers(0, len(WHOLE) - 1))
def test_a_cut_file_is_no_result(end: int) -> None:
    """What comes last is the number of runs, without which there is none."""
    with pytest.raises(NoResult):
        read_proto(WHOLE[:end])
