"""Rebuilding a baseline's artifact: what keeps it from being rebuilt is told."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.gate.scripted import Scene, write_target
from tests.gate.test_gate import Heard, save
from vitbench.errors import MeasurementInvalid
from vitbench.gate.baseline import BaselineCell, Sources, place_of, read
from vitbench.pipeline import rebuild as module
from vitbench.pipeline.bench import Spent
from vitbench.pipeline.rebuild import CannotRebuild, rebuild
from vitbench.pipeline.reference import find_reference


@pytest.fixture
def saved(scene: Scene, tmp_path: Path) -> BaselineCell:
    """A cell of a baseline, in a repository with one commit."""
    write_target(tmp_path)
    save()
    for arguments in (["init", "--quiet"], ["add", "--all"], ["commit", "--quiet", "--message", "first"]):
        identity = ["-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "commit.gpgsign=false"]
        subprocess.run(["git", *identity, *arguments], cwd=tmp_path, check=True)
    return read(place_of("main", "results")).cells[0]


def head(directory: Path) -> str:
    done = subprocess.run(
        ["git", "rev-parse", "HEAD"], cwd=directory, capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def test_a_commit_that_is_gone(saved: BaselineCell, tmp_path: Path) -> None:
    with pytest.raises(CannotRebuild, match="commit 000000000000 is not in"):
        rebuild(saved, Sources(project=None, directory="0" * 40), tmp_path / "scratch")


def test_a_baseline_of_no_commit(saved: BaselineCell, tmp_path: Path) -> None:
    with pytest.raises(CannotRebuild, match="not committed"):
        rebuild(saved, Sources(project=None, directory=None), tmp_path / "scratch")


def test_an_export_that_fails_or_gives_something_else(
    saved: BaselineCell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sources = Sources(project=None, directory=head(tmp_path))
    seen: list[Path] = []
    monkeypatch.setattr(module, "_export", lambda cell, directory, code, cache: seen.append(directory))
    (tmp_path / "targets" / "board.toml").write_text("changed since")
    with pytest.raises(CannotRebuild, match="give nothing here"):
        rebuild(saved, sources, tmp_path / "scratch")
    # In the files of the commit, and not in those that lie here.
    assert "changed since" not in (seen[0] / "targets" / "board.toml").read_text()
    monkeypatch.undo()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(CannotRebuild, match=r"its export: error: .*runs no network"):
        rebuild(saved, sources, tmp_path / "again")
    assert json.loads((tmp_path / "results" / "baselines" / "main.json").read_text())["cells"]


def test_it_is_rebuilt_in_the_precision_it_had(
    saved: BaselineCell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commands: list[list[str]] = []

    def run(command: list[str], **options: object) -> SimpleNamespace:
        commands.append(command)
        return SimpleNamespace(returncode=0)

    monkeypatch.setattr(module.subprocess, "run", run)
    asked = saved.asked.model_copy(update={"precision": "fp16"})
    module._export(saved.model_copy(update={"asked": asked}), tmp_path, tmp_path, tmp_path)
    assert "--precision fp16" in " ".join(commands[0])


def test_a_shelf_that_cannot_be_opened_is_a_missing_artifact(saved: BaselineCell, tmp_path: Path) -> None:
    """And so no wrong option, but a cell that is not measured; what was tried is told."""
    lost = saved.model_copy(update={"archive": "0" * 64})
    request = SimpleNamespace(
        shelf="nosuchprotocol://bucket",
        baseline=SimpleNamespace(sources=Sources(project=None, directory=None)),
    )
    bench = SimpleNamespace(cache=None, scratch=lambda: tmp_path, progress=Heard(), spent=Spent())
    with pytest.raises(MeasurementInvalid, match=r"nosuchprotocol.*cannot be rebuilt"):
        find_reference(lost, request, SimpleNamespace(digest="f" * 64), bench)  # type: ignore[arg-type]
