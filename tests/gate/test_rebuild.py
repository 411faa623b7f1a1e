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
from vitbench.pipeline import reference
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


def test_vitbench_s_own_commit_is_looked_for_in_the_working_directory_where_it_is_installed(
    saved: BaselineCell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a CI job has it: installed from an index, started in a checkout of vitbench."""
    monkeypatch.setattr(module, "PROJECT", tmp_path / "site-packages")
    seen: list[Path] = []
    monkeypatch.setattr(module, "_export", lambda cell, directory, code, cache: seen.append(code))
    with pytest.raises(CannotRebuild, match="has no vitbench in it"):
        rebuild(saved, Sources(project=head(tmp_path), directory=None), tmp_path / "one")
    (tmp_path / "vitbench").mkdir()
    (tmp_path / "vitbench" / "__main__.py").write_text("")
    for arguments in (["add", "vitbench"], ["commit", "--quiet", "--message", "code"]):
        identity = ["-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "commit.gpgsign=false"]
        subprocess.run(["git", *identity, *arguments], cwd=tmp_path, check=True)
    with pytest.raises(CannotRebuild, match="give nothing here"):
        rebuild(saved, Sources(project=head(tmp_path), directory=None), tmp_path / "two")
    assert (seen[0] / "vitbench" / "__main__.py").is_file()
    assert tmp_path / "two" in seen[0].parents


def test_a_cell_is_rebuilt_from_its_own_sources(
    saved: BaselineCell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = Sources(project=None, directory="1" * 40)
    seen: list[Sources] = []

    def refuse(cell: BaselineCell, sources: Sources, scratch: Path) -> None:
        seen.append(sources)
        raise CannotRebuild("not here")

    monkeypatch.setattr(reference, "rebuild", refuse)
    whole = SimpleNamespace(sources=Sources(project=None, directory="2" * 40))
    request = SimpleNamespace(shelf=str(tmp_path / "shelf"), baseline=whole)
    bench = SimpleNamespace(cache=None, scratch=lambda: tmp_path, progress=Heard(), spent=Spent())
    for cell in (saved, saved.model_copy(update={"sources": own})):
        with pytest.raises(MeasurementInvalid, match="not here"):
            find_reference(cell, request, SimpleNamespace(digest="f" * 64), bench)  # type: ignore[arg-type]
    assert seen == [whole.sources, own]
