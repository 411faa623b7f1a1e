"""Each exact gate fires alone, and stays silent where nothing grew."""

from __future__ import annotations

from typing import Any

import pytest

from tests.measure.fakes import block
from vitbench.gate.exact import Facts, compare_facts, compare_memory, failed
from vitbench.records.schema import ArtifactPart, Counts, GraphFacts, Parity

COUNTS = {
    "params": 1000,
    "params_deploy": 900,
    "macs": 5000,
    "macs_attention": 100,
    "macs_artifact": 5200,
    "bytes_read": 1,
    "bytes_written": 1,
}
GRAPH: dict[str, Any] = {
    "operators": {"CONV_2D": 10, "PAD": 1},
    "transposes": 0,
    "partitions": 1,
    "outside": {},
    "layout": "NHWC",
}
ARTIFACT: dict[str, Any] = {
    "digest": "0" * 64,
    "format": "tflite",
    "exporter": "litert-torch 0.10",
    "opset": None,
    "bytes": 4000,
    "formulation": {},
    "cache": "built",
}
PARITY = {
    "passed": True,
    "max_diff": 1e-6,
    "tolerance": 1e-4,
    "inputs": 17,
    "finite": True,
    "normaliser_min": None,
}


def facts(
    counts: dict[str, Any] | None = None,
    artifact: dict[str, Any] | None = None,
    graph: dict[str, Any] | None = None,
    parity: dict[str, Any] | None = None,
) -> Facts:
    return Facts(
        Counts(**COUNTS | (counts or {})),
        ArtifactPart(**ARTIFACT | (artifact or {}), graph=GraphFacts(**GRAPH | (graph or {}))),
        Parity(**PARITY | (parity or {})),
    )


BASE = facts()
EVERY = ["params", "macs", "bytes", "fallback", "partitions", "parity"]


def test_nothing_changed_is_silent() -> None:
    checks = compare_facts(BASE, facts())
    assert [check.name for check in checks] == EVERY
    assert failed(checks) == []
    assert all(check.note is None for check in checks)


@pytest.mark.parametrize(
    ("candidate", "fires", "note"),
    [
        (facts(counts={"params_deploy": 901}), "params", "+1 (+0.11%)"),
        (facts(counts={"macs_artifact": 5300}), "macs", "+100 (+1.92%)"),
        (facts(artifact={"bytes": 4001}), "bytes", "+1 (+0.03%)"),
        (facts(graph={"outside": {"PAD": 2, "GELU": 1}}), "fallback", "fell back: 2 PAD, 1 GELU"),
        (facts(graph={"partitions": 8}), "partitions", "+7 (+700.00%)"),
        (facts(parity={"passed": False, "reason": "max |diff| 0.1"}), "parity", "max |diff| 0.1"),
    ],
)
def test_each_fires_alone(candidate: Facts, fires: str, note: str) -> None:
    (check,) = failed(compare_facts(BASE, candidate))
    assert (check.name, check.note) == (fires, note)


def test_an_operator_of_another_kind_fell_back_though_they_are_as_many() -> None:
    before, after = facts(graph={"outside": {"PAD": 2}}), facts(graph={"outside": {"PAD": 1, "GELU": 1}})
    (check,) = failed(compare_facts(before, after))
    assert (check.name, check.note) == ("fallback", "fell back: 1 GELU")
    fewer = facts(graph={"outside": {"GELU": 1}})
    told = {check.name: check for check in compare_facts(before, fewer)}
    assert (told["fallback"].passed, told["fallback"].note) == (True, "fell back: 1 GELU")


def test_shrinking_is_told_and_no_failure() -> None:
    checks = compare_facts(BASE, facts(counts={"params_deploy": 450}))
    assert failed(checks) == []
    assert checks[0].note == "-450 (-50.00%)"


def test_bytes_need_the_same_exporter_and_a_format_that_is_a_function_of_the_network() -> None:
    for change in ({"exporter": "litert-torch 0.11", "bytes": 9000}, {"format": "engine", "bytes": 9000}):
        checks = {check.name: check for check in compare_facts(BASE, facts(artifact=change))}
        assert checks["bytes"].passed is None
        assert (checks["bytes"].note or "").startswith("not compared")


def test_sides_without_an_artifact_have_counts_alone() -> None:
    bare = Facts(BASE.counts, None, None)
    assert [check.name for check in compare_facts(bare, bare)] == ["params", "macs"]


@pytest.mark.parametrize(("after", "passed"), [(100.0, True), (110.0, True), (110.1, False)])
def test_memory_has_a_tolerance(after: float, passed: bool) -> None:
    before = [block(peak_memory_mb=each) for each in (90.0, 100.0, 500.0)]
    now = [block(peak_memory_mb=each) for each in (1.0, after, 900.0)]
    check = compare_memory(before, now, 0.10)
    assert check is not None
    assert check.passed is passed


def test_small_and_unknown_memory() -> None:
    small = [block(peak_memory_mb=1.0)], [block(peak_memory_mb=2.9)]
    check = compare_memory(*small, 0.10)
    assert check is not None
    assert check.passed
    from_nothing = compare_memory([block(peak_memory_mb=0.0)], [block(peak_memory_mb=5.0)], 0.10)
    assert from_nothing is not None
    assert (from_nothing.passed, from_nothing.note) == (False, "10% is tolerated")
    unknown = [block(peak_memory_mb=None)]
    assert compare_memory(unknown, unknown, 0.10) is None


def test_what_one_side_alone_knows_is_said() -> None:
    unknown = Facts(BASE.counts, ArtifactPart(**ARTIFACT, graph=None), BASE.parity)
    for sides, side in (((unknown, BASE), "baseline"), ((BASE, unknown), "candidate")):
        checks = {check.name: check for check in compare_facts(*sides)}
        for name in ("fallback", "partitions"):
            assert checks[name].passed is None
            assert checks[name].note == f"not compared: not known of the {side}"
    memory = compare_memory([block(peak_memory_mb=5.0)], [block(peak_memory_mb=None)], 0.10)
    assert memory is not None
    assert (memory.passed, memory.note) == (None, "not compared: not known of the candidate")
