"""Time by layer of both sides of a comparison, and what of it is attention."""

from __future__ import annotations

from typing import Any

import pytest

from benchmarks.example_comparisons import example_comparison
from vitbench.errors import ToolError
from vitbench.export import ArtifactCache
from vitbench.pipeline import profile as profiling
from vitbench.pipeline.bench import Bench
from vitbench.pipeline.device import Device
from vitbench.pipeline.profile import add_profiles, profile, summarise
from vitbench.records.profile import Profile
from vitbench.runtime import LayerTime
from vitbench.study.layers import GraphModules
from vitbench.study.request import Asked, parse_study

GRAPH = GraphModules({"attn/MatMul": "attn", "attn.proj/Conv": "attn.proj", "head/Conv": "head"}, {})
LAYERS = (
    LayerTime("attn/MatMul", "MatMul", 2_000_000, 2),
    LayerTime("attn.proj/Conv", "Conv", 4_000_000, 2),
    LayerTime("head/Conv", "Conv", 10_000_000, 2),
    LayerTime("ReorderOutput", "ReorderOutput", 1_000_000, 2),
)


class Noted:
    """Progress that keeps its notes."""

    def __init__(self) -> None:
        self.notes: list[str] = []

    def stage(self, cell: str, text: str) -> None: ...
    def measuring(self, cell: str, progress: Any) -> None: ...

    def note(self, text: str) -> None:
        self.notes.append(text)


def test_a_fused_layer_is_where_most_of_its_nodes_are() -> None:
    fused = [
        LayerTime("__kernel_1", "kernel", 1_000_000, 1, ("head/Conv", "attn/MatMul", "attn/MatMul")),
        LayerTime("a + b", "kernel", 2_000_000, 1, ("attn.proj/Conv", "head/Conv")),
        LayerTime("__kernel_2", "kernel", 4_000_000, 1, ("gone/Conv",)),
    ]
    found = summarise(fused, 1, "trt 10", GRAPH, ("attn",))
    assert found.core_ms == pytest.approx(1.0)
    assert found.attention_ms == pytest.approx(3.0)
    assert found.unattributed_ms == pytest.approx(4.0)


def test_layers_are_added_up_by_place_and_operator() -> None:
    found = summarise(LAYERS, 2, "ort 1", GRAPH, ("attn",))
    assert found.total_ms == pytest.approx(8.5)
    assert found.attention_ms == pytest.approx(3.0)
    assert found.core_ms == pytest.approx(1.0)
    assert found.unattributed_ms == pytest.approx(0.5)
    assert [(each.op_type, each.layers) for each in found.operators] == [
        ("Conv", 2),
        ("MatMul", 1),
        ("ReorderOutput", 1),
    ]
    assert found.operators[0].ms == pytest.approx(7.0)
    assert (found.runtime, found.iterations) == ("ort 1", 2)


def test_nothing_is_known_of_the_modules_of_a_network_from_elsewhere() -> None:
    found = summarise(LAYERS, 2, "ort 1", None, ())
    assert (found.attention_ms, found.core_ms, found.unattributed_ms) == (None, None, None)
    assert found.total_ms == pytest.approx(8.5)


def test_only_the_ten_longest_operators_are_kept() -> None:
    layers = [LayerTime(f"n{index}", f"Op{index}", 1000 * (index + 1), 1) for index in range(12)]
    found = summarise(layers, 1, "ort 1", GRAPH, ())
    assert [each.op_type for each in found.operators] == [f"Op{index}" for index in range(11, 1, -1)]


def profiled(asked: Asked) -> list[Profile]:
    """Profiles of both sides of the first row of softmax against relu."""
    request = parse_study(["softmax", "relu"], asked)
    with Bench(request, ArtifactCache(), Noted()) as bench:
        return [profile(bench.device(cell, request.rows[0].plan)) for cell in request.rows[0].cells]


@pytest.mark.parametrize(
    ("asked", "whole"),
    [
        (Asked(targets=("cpu",), tokens=("7x7",), threads=1), True),
        (Asked(targets=("cpu",), models=("effvit-b0",), resolutions=("64x64",), threads=1), False),
    ],
    ids=["the block alone", "a whole network"],
)
def test_attention_is_found_in_both_kinds(asked: Asked, whole: bool) -> None:
    for found in profiled(asked):
        assert found.attention_ms is not None
        assert found.core_ms is not None
        assert found.unattributed_ms is not None
        assert 0 < found.core_ms < found.attention_ms < found.total_ms
        assert 0 <= found.unattributed_ms < 0.5 * found.total_ms
        known = found.attention_ms + found.unattributed_ms
        assert (known == pytest.approx(found.total_ms)) is whole
        assert sum(each.ms for each in found.operators) <= found.total_ms * (1 + 1e-9)
        assert "Conv" in {each.op_type for each in found.operators}


def test_a_side_that_cannot_be_profiled_is_noted() -> None:
    request = parse_study(["effvit-b1", "effvit-b2"], Asked(targets=("sim",)))
    comparison, noted = example_comparison(), Noted()
    with Bench(request, ArtifactCache(), noted) as bench:
        devices = [bench.device(cell, request.rows[0].plan) for cell in request.rows[0].cells]
        told, interrupted = add_profiles(comparison, devices, noted)
    assert (told, interrupted) == (comparison, False)
    assert len(noted.notes) == 2
    assert "no time by layer: the sim runtime cannot tell" in noted.notes[0]


def test_what_was_profiled_is_kept_when_the_rest_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    found = summarise(LAYERS, 2, "ort 1", GRAPH, ("attn",))
    request = parse_study(["effvit-b1", "effvit-b2"], Asked(targets=("sim",)))
    noted = Noted()
    with Bench(request, ArtifactCache(), noted) as bench:
        devices = [bench.device(cell, request.rows[0].plan) for cell in request.rows[0].cells]
        for error, interrupts in ((ToolError("it died"), False), (KeyboardInterrupt(), True)):

            def second_fails(device: Device, error: BaseException = error) -> Profile:
                if device is devices[1]:
                    raise error
                return found

            monkeypatch.setattr(profiling, "profile", second_fails)
            told, interrupted = add_profiles(example_comparison(), devices, noted)
            assert told.profiles == (found, None)
            assert interrupted is interrupts
    assert "it died" in noted.notes[-1]
