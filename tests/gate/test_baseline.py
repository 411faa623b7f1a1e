"""Baseline documents: where they are, what is wrong with one, what nobody names any more."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.gate.scripted import Scene, write_target
from tests.gate.test_gate import MODEL, Heard, run, save
from vitbench.errors import UsageError
from vitbench.gate import listing
from vitbench.gate.baseline import Baseline, Place, merged, place_of, read, told_apart
from vitbench.gate.listing import summaries
from vitbench.gate.request import AskedGate
from vitbench.gate.save import requests_of
from vitbench.pipeline.baseline import save_baseline
from vitbench.report.gate import baselines as told
from vitbench.report.screen import Screen


@pytest.mark.parametrize(
    ("name", "location", "shelf"),
    [
        ("main", "results/baselines/main.json", "results/baselines/artifacts"),
        ("elsewhere/x.json", "elsewhere/x.json", "elsewhere/artifacts"),
        ("./x.json", "./x.json", "./artifacts"),
        ("x.json", "./x.json", "./artifacts"),
        ("/tmp/x.json", "/tmp/x.json", "/tmp/artifacts"),
        ("memory://bucket/x.json", "memory://bucket/x.json", "memory://bucket/artifacts"),
    ],
)
def test_places(name: str, location: str, shelf: str) -> None:
    place = place_of(name, "results")
    assert Path(place.location) == Path(location)
    assert Path(place.shelf("artifacts")) == Path(shelf)
    assert place.shelf("s3://bucket/a") == "s3://bucket/a"
    assert place.shelf("/var/a") == "/var/a"


@pytest.mark.parametrize("name", ["", "../", ".hidden", "a b", "-x", "main\n"])
def test_names_that_are_none(name: str) -> None:
    with pytest.raises(UsageError, match="names no baseline"):
        place_of(name, "results")


def test_a_baseline_says_what_it_is_of(scene: Scene, tmp_path: Path) -> None:
    write_target(tmp_path)
    save((MODEL, "attention-8x16:8x8"))
    place = place_of("main", "results")
    saved = read(place)
    assert [cell.label for cell in saved.cells] == [
        "attention-8x16:4x4 on board",
        "attention-8x16:8x8 on board",
    ]
    cell = saved.cells[0]
    assert cell.asked.resolution == (4, 4)
    assert cell.script is not None
    assert cell.latency_ms == pytest.approx(5.0, rel=0.05)
    assert cell.protocol.threads == 1
    text = told.shown(saved, place, as_json=False)
    assert "script" in text
    assert json.loads(told.shown(saved, place, as_json=True))["present"] == {cell.digest: True}
    assert "attention-8x16:8x8 on board" in told.listed(summaries(place), as_json=False, screen=Screen())


def test_saving_again_replaces_and_adding_keeps(scene: Scene, tmp_path: Path) -> None:

    write_target(tmp_path)
    save((MODEL,))
    place = place_of("main", "results")
    requests = requests_of(["attention-8x16:8x8"], ["board"], [])
    added = save_baseline(requests, place, Heard(), keep_others=True)
    assert len(added.cells) == len(read(place).cells) == 2
    save_baseline(requests, place, Heard(), keep_others=True)
    assert len(read(place).cells) == 2
    save((MODEL,))
    assert len(read(place).cells) == 1


def test_adding_keeps_whatever_is_another_cell(scene: Scene, tmp_path: Path) -> None:
    """Precision, threads and seed make another cell; another name of the same one does not."""

    board = write_target(tmp_path)
    place = place_of("main", "results")

    def add(model: str = MODEL, target: str = "board", **asked: Any) -> int:
        requests = requests_of([model], [target], [], **asked)
        seed = asked.get("seed", 0)
        return len(save_baseline(requests, place, Heard(), seed=seed, keep_others=True).cells)

    assert [add(), add(precision="fp16"), add(threads=2), add(seed=1)] == [1, 2, 3, 4]
    assert [add(target=str(board)), add(threads=1), add(precision="fp32"), add(threads=2)] == [4, 4, 4, 4]
    names = [
        "attention-8x16:4x4 on board, fp16, 1 thread, seed 0",
        "attention-8x16:4x4 on board, fp32, 1 thread, seed 1",
        "attention-8x16:4x4 on board, fp32, 1 thread, seed 0",
        "attention-8x16:4x4 on board, fp32, 2 threads, seed 0",
    ]
    assert [cell.label for cell in run().cells] == names
    text = told.shown(read(place), place, as_json=False)
    every = json.loads(told.listed(summaries(place), as_json=True))[0]["cells"]
    assert every == names
    assert all(name in text for name in names)


def test_files_of_one_name_are_cells_of_their_own(scene: Scene, tmp_path: Path) -> None:
    write_target(tmp_path)
    save()
    saved = read(place_of("main", "results"))

    def of(model: str, seed: int = 0) -> Baseline:
        (cell,) = saved.cells
        asked = cell.asked.model_copy(update={"model": model, "seed": seed})
        names = {"model": "py:net.py:build", "label": "py:net.py:build:4x4 on board"}
        return saved.model_copy(update={"cells": (cell.model_copy(update={"asked": asked, **names}),)})

    both = merged(of("py:a/net.py:build"), of("py:b/net.py:build"))
    assert [cell.label for cell in told_apart(both).cells] == [
        "py:net.py:build:4x4 on board, py:a/net.py:build",
        "py:net.py:build:4x4 on board, py:b/net.py:build",
    ]
    # It brings its weights, so a seed makes no other one of it; neither does a resolution that is said again.
    assert len(merged(both, of("py:a/net.py:build:4", seed=1)).cells) == 2


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda text: text[: len(text) // 2], "invalid json"),
        (lambda text: "", "invalid json"),
        (lambda text: text.replace('"machine_key"', '"machine_keys"'), "machine_key"),
        (lambda text: text.replace('"cells": [', '"cells": [], "more": [', 1), "cells"),
        (lambda text: "[]", "damaged"),
        (lambda text: text.replace('"digest": "', '"digest": "../', 1), "digest"),
        (lambda text: text.replace('"precision": "fp32"', '"precision": "fp23"', 1), "precision"),
        (lambda text: text.replace('"weights_file": null', '"weights_file": "\\u0000"', 1), "weights_file"),
        (lambda text: '"load_ms": -'.join(text.rsplit('"load_ms": ', 1)), "load_ms"),
        (lambda text: text.replace('"directory": null', '"directory": "--upload-pack=x"', 1), "directory"),
    ],
)
def test_a_damaged_baseline_is_refused_by_name(
    scene: Scene, tmp_path: Path, damage: object, reason: str
) -> None:
    write_target(tmp_path)
    save()
    path = tmp_path / "results" / "baselines" / "main.json"
    path.write_text(damage(path.read_text()))  # type: ignore[operator]
    with pytest.raises(UsageError) as caught:
        read(place_of("main", "results"))
    assert "main.json` is damaged" in caught.value.message
    assert reason in caught.value.message
    (summary,) = summaries(place_of("main", "results"))
    assert summary.baseline is None
    assert "cannot be read" in told.listed([summary], as_json=False)


def test_a_missing_baseline_names_the_others(scene: Scene, tmp_path: Path) -> None:
    write_target(tmp_path)
    save(name="nightly")
    with pytest.raises(UsageError, match="no baseline") as caught:
        read(place_of("main", "results"))
    assert "nightly" in (caught.value.hint or "")


def test_a_newer_baseline_is_not_guessed_at(scene: Scene, tmp_path: Path) -> None:
    write_target(tmp_path)
    save()
    path = tmp_path / "results" / "baselines" / "main.json"
    path.write_text(path.read_text().replace('"schema_version": 1', '"schema_version": 2', 1))
    with pytest.raises(UsageError, match="baseline of version 2"):
        read(place_of("main", "results"))
    path.write_text(path.read_text().replace('"artifacts": ', '"new": 1, "artifacts": ', 1))
    with pytest.raises(UsageError, match="baseline of version 2"):
        read(place_of("main", "results"))


def test_prune_keeps_what_a_baseline_names(scene: Scene, tmp_path: Path) -> None:
    write_target(tmp_path)
    save()
    save(name="old")
    shelf = tmp_path / "results" / "baselines" / "artifacts"
    shelf.mkdir()
    named, unnamed = "a" * 64, "b" * 64
    for digest in (named, unnamed):
        (shelf / f"{digest}.tar").write_bytes(bytes(1000))
    (shelf / "README.md").write_text("no artifact")
    path = tmp_path / "results" / "baselines" / "main.json"
    document = json.loads(path.read_text())
    document["cells"][0]["digest"] = named
    path.write_text(json.dumps(document))
    place = place_of("main", "results")
    done = listing.prune(place, [], None, dry_run=True)
    assert (done.artifacts, done.bytes) == ((unnamed,), 1000)
    assert len(list(shelf.iterdir())) == 3
    listing.prune(place, ["old"], None, dry_run=False)
    assert sorted(each.name for each in shelf.iterdir()) == ["README.md", f"{named}.tar"]
    assert [each.name for each in summaries(place)] == ["main"]
    with pytest.raises(UsageError, match="no baseline 'old'"):
        listing.prune(place, ["old"], None, dry_run=False)
    assert "0.0 MB" in told.pruned(done, as_json=False)


def test_prune_leaves_a_shelf_that_others_may_share(scene: Scene, tmp_path: Path) -> None:
    write_target(tmp_path)
    save()
    path = tmp_path / "results" / "baselines" / "main.json"
    document = json.loads(path.read_text())
    path.write_text(json.dumps({**document, "artifacts": "../../shared"}))
    shared = tmp_path / "shared"
    shared.mkdir()
    (shared / f"{'b' * 64}.tar").write_bytes(bytes(1000))
    place = place_of("main", "results")
    assert listing.prune(place, [], None, dry_run=False).artifacts == ()
    assert listing.prune(place, [], "../../shared", dry_run=True).artifacts == ("b" * 64,)


def test_prune_refuses_where_a_baseline_cannot_be_read(scene: Scene, tmp_path: Path) -> None:
    write_target(tmp_path)
    save()
    (tmp_path / "results" / "baselines" / "broken.json").write_text("{")
    place = Place(place_of("main", "results").files, "main")
    with pytest.raises(UsageError, match="cannot tell what is still needed"):
        listing.prune(place, [], None, dry_run=False)
    listing.prune(place, ["broken"], None, dry_run=False)
    assert [each.name for each in summaries(place)] == ["main"]


def test_adding_keeps_the_place_of_the_artifacts(scene: Scene, tmp_path: Path) -> None:
    """The cells that stay have theirs there."""
    from vitbench.gate.config import Config
    from vitbench.gate.request import AskedGate, plan_gate

    write_target(tmp_path)
    place = place_of("main", "results")
    save_baseline(requests_of([MODEL], ["board"], []), place, Heard(), artifacts="elsewhere")
    more = requests_of(["attention-8x16:8x8"], ["board"], [])
    added = save_baseline(more, place, Heard(), keep_others=True)
    assert (added.artifacts, len(added.cells)) == ("elsewhere", 2)
    with pytest.raises(UsageError, match="in `elsewhere`, not in `other`"):
        save_baseline(more, place, Heard(), artifacts="other", keep_others=True)
    # The same words mean the same place for every command.
    planned = plan_gate(added, place, Config(), AskedGate(simulated=True, artifacts="elsewhere"))
    assert planned.shelf == place.shelf("elsewhere")


def test_lists_fit_the_screen(scene: Scene, tmp_path: Path) -> None:
    write_target(tmp_path)
    save()
    place = place_of("main", "results")
    saved = read(place)
    many = listing.Summary("main", place.location, saved.model_copy(update={"cells": saved.cells * 6}))
    texts = [
        told.listed([many], as_json=False, screen=Screen(width=80)),
        told.shown(saved, place, as_json=False, screen=Screen(width=80)),
    ]
    for line in "".join(texts).splitlines():
        assert len(line) <= 80
    assert texts[0].count("attention-8x16:4x4") == 6


def test_cells_stay_pinned_to_what_they_were_made_of(
    scene: Scene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another target is added on a later commit, or on the one whose only change is the baseline itself."""
    # As where vitbench is installed: its own checkout may have a commit, and may have changes.
    monkeypatch.setattr("vitbench.pipeline.baseline.__file__", str(tmp_path / "site-packages/a/b/c.py"))
    write_target(tmp_path)
    write_target(tmp_path, name="other")

    def git(*arguments: str) -> str:
        identity = ("-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "commit.gpgsign=false")
        done = subprocess.run(
            ["git", *identity, *arguments], cwd=tmp_path, check=True, capture_output=True, text=True
        )
        return done.stdout.strip()

    def commit() -> str:
        git("add", "--all")
        git("commit", "--quiet", "--allow-empty", "--message", "more")
        return git("rev-parse", "HEAD")

    def add(target: str) -> Baseline:
        return save_baseline(requests_of([MODEL], [target], []), place, Heard(), keep_others=True)

    git("init", "--quiet")
    place = place_of("main", "results")
    add("board")
    first = commit()
    saved = add("board")
    assert [cell.sources for cell in saved.cells] == [None]
    # The document differs from the commit now, and pins nothing the less for that.
    saved = add("other")
    assert saved.sources.directory == first
    assert [cell.sources for cell in saved.cells] == [None, None]
    place = place_of("nightly", "results")
    assert add("other").sources.directory == first
    second = commit()
    place = place_of("main", "results")
    saved = add("other")
    assert saved.sources.directory == second
    place = place_of("nightly", "results")
    assert add("other").sources.directory == second
    place = place_of("main", "results")
    pinned = {cell.target: saved.commit_of([cell]) for cell in saved.cells}
    assert pinned == {"board": first, "other": second}
    assert saved.commit is None
    assert "of several commits" in " ".join(told.shown(saved, place, as_json=False).split())
    # A gate of some of the cells is against the commit of these.
    assert run(AskedGate(targets=("board",), simulated=True, pairs=7)).baseline_commit == first
    assert read(place) == saved
    (tmp_path / "targets" / "other.toml").write_text(
        "# changed\n" + (tmp_path / "targets" / "other.toml").read_text()
    )
    # A baseline that lies beside the files it is made of hides none of them.
    for name in ("main", "./beside.json"):
        place = place_of(name, "results")
        saved = add("other")
        assert saved.sources.directory is None
    place = place_of("main", "results")
    saved = read(place)
    assert "of none: attention-8x16:4x4 on other, which cannot be rebuilt" in " ".join(
        told.shown(saved, place, as_json=False).split()
    )
    assert [(cell.sources or saved.sources).directory for cell in saved.cells] == [first, None]
