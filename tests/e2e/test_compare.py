"""`vitbench compare` from the command line."""

from __future__ import annotations

import csv
import json
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from benchmarks.example_records import example_record
from tests.e2e.cli import COMMAND, Done, in_process, vitbench
from vitbench import catalog
from vitbench.records.comparison import Comparison
from vitbench.records.store import Store

SIM = ("-t", "sim")


@pytest.mark.parametrize(
    ("arguments", "message", "hint"),
    [
        (["softmax", "rleu"], "unknown attention kind or token mixer 'rleu'", "did you mean `relu`"),
        (["softmax", "relu", "--tokens", "197"], "197 tokens do not form a grid", "14x14"),
        (["softmax", "relu", "--tokens", "1024x1024"], "GB of memory", "smaller"),
        (["softmax", "relu", "--tokens", "7x7", "--threads", "4096"], "4096 threads", "--threads"),
        (["a.json", "b.json"], "cannot read a.json", ""),
    ],
)
def test_what_cannot_be_compared(arguments: list[str], message: str, hint: str, tmp_path: Path) -> None:
    done = in_process("compare", *arguments, cwd=tmp_path)
    assert done.code == 2, done.err
    assert message in done.err
    assert hint in done.err
    assert not done.out


@pytest.fixture(scope="module")
def scripted(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Done]:
    """Two models on a scripted target, which cannot time layers."""
    place = tmp_path_factory.mktemp("scripted")
    asked = ("--report", "page", "--profile")
    return place, in_process("compare", "effvit-b1", "effvit-b2", *SIM, *asked, cwd=place)


def test_models_on_a_scripted_target(scripted: tuple[Path, Done]) -> None:
    place, done = scripted
    assert done.code == 0, done.err
    assert "effvit-b2/effvit-b1" in done.out
    assert "SIMULATED" in done.out
    ((comparison,), _) = Store(place / "results").records()
    assert isinstance(comparison, Comparison)
    assert comparison.ratio is not None
    script = catalog.resolve_target("sim").sim
    assert script is not None
    planted = script.per_model["effvit-b2"] / script.per_model["effvit-b1"]
    assert comparison.ratio.ratio == pytest.approx(planted, rel=0.01)
    assert comparison.ratio.low < comparison.ratio.ratio < comparison.ratio.high
    assert [record.workload.model for record in comparison.sides] == ["effvit-b1", "effvit-b2"]
    assert {path.name for path in (place / "page").iterdir()} >= {"report.md", "report.csv", "report.json"}


def test_a_target_that_cannot_time_layers_says_so(scripted: tuple[Path, Done]) -> None:
    _, done = scripted
    assert done.code == 0, done.err
    assert "no time by layer: the sim runtime cannot tell the time of each layer" in done.err
    assert "Time by layer" not in done.out


def test_more_than_two_are_compared_with_the_first(tmp_path: Path) -> None:
    done = in_process("compare", "effvit-b0", "effvit-b1", "effvit-b2", *SIM, "--json", cwd=tmp_path)
    assert done.code == 0, done.err
    found, _ = Store(tmp_path / "results").records()
    rows = [record.row.labels for record in found if isinstance(record, Comparison)]
    assert sorted(rows) == [("effvit-b0", "effvit-b1"), ("effvit-b0", "effvit-b2")]
    assert json.loads(done.out)


def test_the_attention_block_at_one_grid(tmp_path: Path) -> None:
    """Both parts of the study, candidates chosen by timing, time by layer, and every file of the report."""
    done = vitbench(
        *("compare", "softmax", "relu", "--tokens", "7x7", "--quick", "--timings", "--report", "page"),
        *("--profile", "--allow-inconclusive"),
        cwd=tmp_path,
    )
    assert done.code == 0, done.err
    found, problems = Store(tmp_path / "results").records()
    assert not problems
    comparisons = [record for record in found if isinstance(record, Comparison)]
    assert sorted(comparison.row.part for comparison in comparisons) == ["block", "matched"]
    for comparison in comparisons:
        assert len(comparison.pairs) >= 6
        assert all(side.parity is not None and side.parity.passed for side in comparison.sides)
        assert comparison.row.tokens == (7, 7)
        for side, candidates in zip(comparison.sides, comparison.candidates, strict=True):
            (chosen,) = (candidate for candidate in candidates if candidate.chosen)
            medians = {candidate.digest: sorted(candidate.block_medians_ms)[1] for candidate in candidates}
            assert medians[chosen.digest] == min(medians.values())
            assert side.artifact is not None
            assert side.artifact.formulation.items() >= chosen.formulation.items()
        for profile in comparison.profiles:
            assert profile is not None
            assert profile.attention_ms is not None
            # Beside the runtime's own changes of layout, which are of no layer of the network.
            own = [each.ms for each in profile.operators if not each.op_type.startswith("Reorder")]
            assert 0.5 * sum(own) < profile.attention_ms
            assert profile.attention_ms + profile.unattributed_ms == pytest.approx(profile.total_ms, rel=1e-3)
    assert "Time by layer" in done.out
    matched = next(each for each in comparisons if each.row.part == "matched")
    assert 0.95 < matched.row.macs_ratio < 1.05
    lines = list(csv.DictReader((tmp_path / "page" / "report.csv").read_text().splitlines()))
    assert len(lines) == 2 * len(comparisons)
    assert all(0 < float(line["attention_share"]) <= 1 for line in lines)


def stored(folder: Path, name: str, **changes: Any) -> str:
    """A stored record, written to a file of its own."""
    saved = Store(folder).save(example_record(model=name, **changes))
    return saved.location


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"precision": "fp16"}, "precision fp32 and fp16"),
        ({"threads": 2}, "threads 1 and 2"),
        ({"batch": 8}, "batch 1 and 8"),
        ({"transfers": "absent"}, "transfers timed and absent"),
        ({"threads": 2, "spin_wait": True}, "threads 1 and 2, spin wait False and True"),
    ],
)
def test_records_of_another_protocol_are_refused(
    changes: dict[str, Any], message: str, tmp_path: Path
) -> None:
    first, second = stored(tmp_path, "effvit-b1"), stored(tmp_path, "effvit-b2", protocol=changes)
    refused = vitbench("compare", first, second, cwd=tmp_path)
    assert refused.code == 2, refused.err
    assert message in refused.err
    assert "--allow-protocol-mismatch" in refused.err
    allowed = vitbench("compare", first, second, "--allow-protocol-mismatch", cwd=tmp_path)
    assert allowed.code == 0, allowed.err
    assert message.split()[0] in allowed.out


def test_records_are_compared_without_pairs_and_told_so(tmp_path: Path) -> None:
    first = stored(tmp_path, "effvit-b1", latency_ms=10.0)
    second = stored(tmp_path, "effvit-b2", latency_ms=20.0)
    done = vitbench("compare", first, second, cwd=tmp_path)
    assert done.code == 0, done.err
    assert "not measured in pairs" in done.out
    assert "2.0" in done.out


def test_killed_between_pairs_the_next_one_saves_what_was_finished(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [*COMMAND, "compare", "effvit-b0", "effvit-b1", *SIM, "--pairs", "200"],
        cwd=tmp_path,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    running = tmp_path / "results" / ".running"
    deadline = time.monotonic() + 120
    while len(list(running.glob("*/pair-*.json"))) < 3:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    process.kill()
    process.wait()
    done = vitbench("compare", "effvit-b0", "effvit-b2", *SIM, "--pairs", "6", cwd=tmp_path)
    assert done.code == 0, done.err
    assert "finished pairs of a comparison" in done.err
    found, _ = Store(tmp_path / "results").records()
    killed = next(each for each in found if each.status == "inconclusive")
    assert isinstance(killed, Comparison)
    assert len(killed.pairs) >= 3
    assert killed.reasons[0].startswith("interrupted after ")
    assert not list(running.iterdir())
