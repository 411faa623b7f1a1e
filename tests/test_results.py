"""What is committed under results/: readable, as checked as it says, and fair."""

from __future__ import annotations

from pathlib import Path
from statistics import median

import pytest

from vitbench.records.comparison import Candidate, Comparison
from vitbench.records.schema import Record
from vitbench.records.store import Store

RESULTS = Path(__file__).parents[1] / "results"
# A side that runs over 2 % slower than it could would not be a fair opponent.
FAIR = 1.02


STUDIES = ("attention", "attention-tflite")


def comparisons(study: str = "attention") -> list[Comparison]:
    found, problems = Store(RESULTS / study).records()
    assert not problems
    return [each for each in found if isinstance(each, Comparison)]


def excess(candidates: tuple[Candidate, ...]) -> float:
    """Time of the chosen candidate over that of the fastest one that passed parity."""
    medians = [median(each.block_medians_ms) for each in candidates if each.block_medians_ms]
    (chosen,) = (each for each in candidates if each.chosen)
    return median(chosen.block_medians_ms) / min(medians)


def test_every_network_of_the_zoo_passed_parity() -> None:
    found, problems = Store(RESULTS / "zoo").records()
    assert not problems
    records = [each for each in found if isinstance(each, Record)]
    assert len(records) == 97
    assert all(each.parity is not None and each.parity.passed for each in records)


def test_every_converted_network_passed_parity_and_effvit_runs_in_one_partition() -> None:
    found, problems = Store(RESULTS / "tflite").records()
    assert not problems
    records = [each for each in found if isinstance(each, Record)]
    assert len(records) == 43
    assert all(each.parity is not None and each.parity.passed for each in records)
    for record in records:
        assert record.artifact is not None
        graph = record.artifact.graph
        assert graph is not None
        if record.workload.family == "effvit":
            assert (graph.partitions, graph.outside) == (1, {}), record.workload.model
            assert record.workload.upsample in (None, "bicubic")


@pytest.mark.parametrize("study", STUDIES)
def test_both_sides_of_the_attention_study_are_computed_in_their_fastest_way(study: str) -> None:
    rows = comparisons(study)
    assert len(rows) == 10
    assert {row.row.part for row in rows} == {"block", "matched"}
    for row in rows:
        for side, candidates in zip(row.sides, row.candidates, strict=True):
            assert len(candidates) > 1
            assert excess(candidates) <= FAIR
            (chosen,) = (each for each in candidates if each.chosen)
            assert side.artifact is not None
            assert side.artifact.formulation.items() >= chosen.formulation.items()


def test_a_slower_choice_is_found() -> None:
    slow, fast = comparisons()[0].candidates[0][:2]
    slow = slow.model_copy(update={"chosen": True, "block_medians_ms": (1.03,)})
    fast = fast.model_copy(update={"chosen": False, "block_medians_ms": (1.0,)})
    assert excess((slow, fast)) == pytest.approx(1.03)
    assert excess((slow, fast)) > FAIR
