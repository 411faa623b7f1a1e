"""Counting TFLite files, and what is left outside of partitions."""

from __future__ import annotations

from pathlib import Path

import pytest

from vitbench.counting.tflite import Node, TfliteGraph, count_tflite
from vitbench.errors import UsageError


def graph(*nodes: tuple[str, tuple[int, ...], tuple[int, ...]], outputs: tuple[int, ...]) -> TfliteGraph:
    return TfliteGraph(0, 0, tuple(Node(*each) for each in nodes), outputs)


CHAIN = graph(
    ("CONV_2D", (0,), (1,)), ("GATHER_ND", (1,), (2,)), ("GATHER_ND", (2,), (3,)), ("ADD", (3, 1), (4,)),
    outputs=(4,),
)  # fmt: skip


def test_nothing_is_outside_of_one_partition() -> None:
    assert CHAIN.outside([((0,), (4,))]) == {}


def test_a_chain_between_partitions_is_outside() -> None:
    assert CHAIN.outside([((0,), (1,)), ((3, 1), (4,))]) == {"GATHER_ND": 2}


def test_what_gives_the_outputs_is_outside() -> None:
    assert CHAIN.outside([((0,), (3, 1))]) == {"ADD": 1}


def test_without_partitions_everything_is_outside() -> None:
    assert CHAIN.outside([]) == {"ADD": 1, "CONV_2D": 1, "GATHER_ND": 2}
    assert CHAIN.operators == {"ADD": 1, "CONV_2D": 1, "GATHER_ND": 2}


@pytest.mark.tflite
def test_a_file_that_is_no_graph_is_refused(tmp_path: Path) -> None:
    other = tmp_path / "model.tflite"
    other.write_bytes(b"<html>not found</html>")
    with pytest.raises(UsageError, match=r"model.tflite is not a TFLite file"):
        count_tflite(other)
    with pytest.raises(UsageError, match="cannot read"):
        count_tflite(tmp_path / "absent.tflite")
