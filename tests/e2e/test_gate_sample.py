"""A repository of a user, from `baseline save` on one commit to a gate on the next, with real artifacts.

What real times are worth is left to `benchmarks/gate_real.py`, for a machine that does nothing else: here red
is what the exact gates find, which need no quiet, and green may end without a verdict on the time.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from tests.e2e.cli import Done, vitbench
from tests.e2e.test_gate_ci import clone, commit, git

NETWORK = """\
from torch import nn


def build():
    return nn.Sequential(nn.Conv2d(3, {width}, 3, padding=1), nn.ReLU(), nn.Conv2d({width}, 4, 1))
"""
MODEL = "py:net.py:build"


@pytest.fixture(scope="module")
def origin(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository with a network, and a baseline of its commit."""
    made = tmp_path_factory.mktemp("origin")
    git(made, "init", "--quiet")
    (made / "net.py").write_text(NETWORK.format(width=8))
    (made / ".gitignore").write_text("results/*.json\nresults/gates/\n.index.json\n__pycache__/\n")
    commit(made, "a network")
    done = vitbench(
        "baseline", "save", "-m", MODEL, "-t", "cpu", "-r", "32", cwd=made, VITBENCH_CACHE=cache(made)
    )
    assert done.code == 0, done.err
    commit(made, "its baseline")
    return made


def cache(directory: Path) -> str:
    """A cache of its own: nothing is at hand but what the repository brings."""
    return str(directory.parent / f"cache-{directory.name}")


def gate(place: Path, *more: str) -> Done:
    return vitbench("gate", "-t", "cpu", *more, cwd=place, VITBENCH_CACHE=cache(place))


@pytest.fixture
def wider(origin: Path, tmp_path: Path) -> Path:
    """A fresh clone with a commit that makes the network wider."""
    made = clone(origin, tmp_path / "clone")
    (made / "net.py").write_text(NETWORK.format(width=12))
    commit(made, "a wider network")
    return made


def test_a_red_run_in_a_fresh_clone(wider: Path) -> None:
    """The baseline's artifact comes from the repository; the exact gates decide, and nothing is timed."""
    done = gate(wider, "--json", "--junit", "gate.xml")
    assert done.code == 1, done.err
    (cell,) = done.json()["cells"]
    assert cell["verdict"] == "REGRESSION"
    broken = {check["name"]: check["passed"] for check in cell["checks"]}
    assert broken == {"params": False, "macs": False, "bytes": False, "parity": True}
    assert cell["stages"] == []
    assert cell["baseline_digest"] != cell["candidate_digest"]
    saved = json.loads((wider / "results" / "baselines" / "main.json").read_text())
    assert cell["baseline_digest"] == saved["cells"][0]["digest"]
    assert "failure" in (wider / "gate.xml").read_text()


def test_a_lost_artifact_is_rebuilt_from_its_commit(wider: Path) -> None:
    """Its digest is the same, byte for byte, so the gate decides as if it had been there."""
    shutil.rmtree(wider / "results" / "baselines" / "artifacts")
    done = gate(wider, "--json")
    assert done.code == 1, done.err
    (cell,) = done.json()["cells"]
    assert any("was rebuilt: no archive of it" in note for note in cell["notes"])


def test_a_green_run_in_a_fresh_clone(origin: Path, tmp_path: Path) -> None:
    """A commit that changes no artifact: measured beside itself, it may at worst be too noisy to pass."""
    place = clone(origin, tmp_path / "clone")
    (place / "README").write_text("What this is.\n")
    commit(place, "a word on it")
    done = gate(place, "--json", "--max-regression", "50%", "--pairs", "7")
    (cell,) = done.json()["cells"]
    assert (cell["verdict"], done.code) in {("PASS", 0), ("INCONCLUSIVE", 3)}, done.err
    assert cell["baseline_digest"] == cell["candidate_digest"]
    assert {check["name"] for check in cell["checks"]} >= {"params", "macs", "bytes", "parity"}
    assert all(check["passed"] is not False for check in cell["checks"])
    first = cell["stages"][0]
    assert first["pairs_wanted"] == 7


def test_a_baseline_that_does_not_fit_its_artifact(origin: Path, tmp_path: Path) -> None:
    """An altered count is no regression of an artifact that is the baseline's own."""
    place = clone(origin, tmp_path / "clone")
    path = place / "results" / "baselines" / "main.json"
    saved = json.loads(path.read_text())
    saved["cells"][0]["counts"]["params_deploy"] -= 1
    path.write_text(json.dumps(saved))
    done = gate(place, "--json")
    assert done.code == 3, done.err
    (cell,) = done.json()["cells"]
    assert cell["verdict"] == "NOT MEASURED"
    assert "does not fit its own artifact" in cell["reasons"][0]


def test_a_damaged_archive_is_not_what_the_gate_measures(wider: Path) -> None:
    """Nor can it be rebuilt here, as no commit that it was made from is at hand."""
    (archive,) = (wider / "results" / "baselines" / "artifacts").rglob("*.tar")
    data = bytearray(archive.read_bytes())
    data[len(data) // 2] ^= 1
    archive.write_bytes(data)
    shutil.rmtree(wider / ".git")
    done = gate(wider, "--json")
    assert done.code == 3, done.err
    (cell,) = done.json()["cells"]
    assert cell["verdict"] == "NOT MEASURED"
    assert "damaged or altered" in cell["reasons"][0]
