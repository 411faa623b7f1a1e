import errno
import json
import os
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.export.tiny import KEY, WEIGHTS, files_of, filler, manifest
from vitbench.errors import UsageError
from vitbench.export.cache import Artifact, ArtifactCache, default_root
from vitbench.export.manifest import DamagedArtifact, Manifest, digest_of, hash_json

REPOSITORY = Path(__file__).parents[2]
NAMES = ["manifest.json", "model/model.onnx", "reference.npz"]


@pytest.fixture
def cache(tmp_path: Path) -> ArtifactCache:
    return ArtifactCache(tmp_path / "cache")


def leftovers(cache: ArtifactCache) -> list[str]:
    building = cache.root / ".building"
    return sorted(path.name for path in building.iterdir()) if building.exists() else []


def no_fill(directory: Path) -> Manifest:
    raise AssertionError("built although it is in the cache")


PRELUDE = """
    import os, pathlib, signal, sys, time
    from tests.export.tiny import KEY, filler
    from vitbench.export import cache as module, files
    from vitbench.export.cache import ArtifactCache
    cache = ArtifactCache(pathlib.Path(sys.argv[1]))
    fill = filler()
    def die(*arguments, **options):
        os.kill(os.getpid(), signal.SIGKILL)
    def wait_for(path):
        deadline = time.monotonic() + 60
        while not os.path.exists(path):
            assert time.monotonic() < deadline
            time.sleep(0.01)
"""


def start(script: str, *arguments: str | Path) -> subprocess.Popen[str]:
    """Run a script that has `cache`, `fill` and the tiny artifacts at hand."""
    source = [textwrap.dedent(part) for part in (PRELUDE, script)]
    return subprocess.Popen(
        [sys.executable, "-c", "".join(source), *map(str, arguments)],
        cwd=REPOSITORY,
        stdout=subprocess.PIPE,
        text=True,
    )


def test_an_artifact_is_built_once_and_then_reused(cache: ArtifactCache) -> None:
    assert cache.get(KEY) is None
    built = cache.get_or_build(KEY, filler())
    reused = ArtifactCache(cache.root).get_or_build(KEY, no_fill)
    assert (built.cache, reused.cache) == ("built", "reused")
    assert reused.manifest == built.manifest
    assert reused.model_file.read_bytes() == WEIGHTS
    assert files_of(reused) == NAMES
    assert leftovers(cache) == []


def test_reading_makes_no_directory(cache: ArtifactCache) -> None:
    assert cache.get(KEY) is None
    assert cache.entries() == []
    assert not cache.root.exists()


def test_the_record_part_is_what_the_manifest_says(cache: ArtifactCache) -> None:
    artifact = cache.get_or_build(KEY, filler())
    part = artifact.record_part()
    assert (part.digest, part.bytes, part.cache) == (artifact.digest, artifact.manifest.bytes, "built")
    assert (part.format, part.exporter, part.opset, part.formulation) == ("onnx", "none", 20, {})


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def alter_count(path: Path) -> None:
    content = json.loads(path.read_bytes())
    content["counts"]["macs"] += 1
    path.write_text(json.dumps(content))


@pytest.mark.parametrize(
    ("name", "damage", "told"),
    [
        ("model/model.onnx", flip, "model/model.onnx was altered"),
        ("model/model.onnx", truncate, "model/model.onnx has 4095 bytes instead of 4096"),
        ("reference.npz", flip, "reference.npz was altered"),
        ("reference.npz", Path.unlink, "reference.npz cannot be read: No such file or directory"),
        ("manifest.json", truncate, "manifest.json is malformed"),
        ("manifest.json", alter_count, "manifest.json was altered"),
        ("manifest.json", Path.unlink, "manifest.json cannot be read"),
        ("model", shutil.rmtree, "model/model.onnx cannot be read"),
    ],
)
def test_damage_is_found_told_and_repaired(
    cache: ArtifactCache, name: str, damage: Callable[[Path], None], told: str
) -> None:
    whole = cache.get_or_build(KEY, filler())
    damage(whole.path / name)
    with pytest.raises(DamagedArtifact, match=told):
        cache.get(KEY)
    (entry,) = cache.entries(verify=True)
    assert entry.problem is not None
    assert told in entry.problem

    stages: list[str] = []
    rebuilt = cache.get_or_build(KEY, filler(), stages.append)
    assert rebuilt.cache == "rebuilt"
    assert rebuilt.digest == whole.digest
    assert any(KEY[:12] in stage and told in stage for stage in stages)
    assert [entry.problem for entry in cache.entries(verify=True)] == [None]
    assert leftovers(cache) == []


def test_an_entry_under_another_key_is_damaged(cache: ArtifactCache) -> None:
    artifact = cache.get_or_build(KEY, filler())
    other = hash_json("other")
    shutil.copytree(artifact.path, cache.root / other)
    with pytest.raises(DamagedArtifact, match="of another entry"):
        cache.get(other)


def test_the_digest_is_of_names_and_contents_in_any_order(tmp_path: Path) -> None:
    filler()(tmp_path)
    files = manifest(tmp_path).files
    renamed = [files[0].model_copy(update={"name": "other"}), *files[1:]]
    altered = [files[0].model_copy(update={"sha256": "0" * 64}), *files[1:]]
    assert digest_of(files) == digest_of(reversed(files))
    assert len({digest_of(files), digest_of(renamed), digest_of(altered)}) == 3


def test_two_processes_build_an_artifact_once(cache: ArtifactCache, tmp_path: Path) -> None:
    slow = """
        def build(directory):
            print("building", flush=True)
            wait_for(sys.argv[2])
            return fill(directory)
        print(cache.get_or_build(KEY, build).cache)
    """
    second = """
        def told(stage):
            print(stage)
            pathlib.Path(sys.argv[2]).touch()
        print(cache.get_or_build(KEY, None, told).cache)
    """
    flag = tmp_path / "the second one waits"
    builder = start(slow, cache.root, flag)
    assert builder.stdout is not None
    assert builder.stdout.readline() == "building\n"
    waiter = start(second, cache.root, flag)
    assert waiter.communicate(timeout=90)[0] == "waiting for the process that builds this artifact\nreused\n"
    assert builder.communicate(timeout=90)[0] == "built\n"
    assert leftovers(cache) == []


@pytest.mark.parametrize(
    "death",
    [
        pytest.param("cache.get_or_build(KEY, die)", id="before the first file"),
        pytest.param("cache.get_or_build(KEY, lambda d: (fill(d), die()))", id="before the manifest"),
        pytest.param("module.write_through = die; cache.get_or_build(KEY, fill)", id="before the rename"),
        pytest.param("files.sync = die; cache.get_or_build(KEY, fill)", id="while it is written through"),
    ],
)
def test_a_killed_builder_leaves_nothing_that_is_read(cache: ArtifactCache, death: str) -> None:
    process = start(death, cache.root)
    assert process.wait(timeout=60) == -signal.SIGKILL
    process.communicate()
    assert leftovers(cache) != []
    assert cache.entries() == []
    assert cache.get_or_build(KEY, filler()).cache == "built"
    assert leftovers(cache) == []


def test_killed_between_removing_the_damaged_entry_and_placing_the_new_one(cache: ArtifactCache) -> None:
    truncate(cache.get_or_build(KEY, filler()).path / "reference.npz")
    script = """
        rename = pathlib.Path.rename
        def once(self, target):
            rename(self, target)
            die()
        pathlib.Path.rename = once
        cache.get_or_build(KEY, fill)
    """
    process = start(script, cache.root)
    assert process.wait(timeout=60) == -signal.SIGKILL
    process.communicate()
    assert not (cache.root / KEY).exists()
    assert cache.get_or_build(KEY, filler()).cache == "built"
    assert [entry.problem for entry in cache.entries(verify=True)] == [None]
    assert leftovers(cache) == []


def test_prune_removes_what_a_killed_builder_left_and_spares_a_living_one(
    cache: ArtifactCache, tmp_path: Path
) -> None:
    killed = start("cache.get_or_build(KEY, lambda d: (fill(d), die()))", cache.root)
    assert killed.wait(timeout=60) == -signal.SIGKILL
    killed.communicate()
    script = """
        def build(directory):
            manifest = filler("f" * 64)(directory)
            print("filled", flush=True)
            wait_for(sys.argv[2])
            return manifest
        print(cache.get_or_build("f" * 64, build).cache)
    """
    living = start(script, cache.root, tmp_path / "pruned")
    assert living.stdout is not None
    assert living.stdout.readline() == "filled\n"
    pruned = cache.prune()
    assert (pruned.unfinished, pruned.bytes) == (1, len(WEIGHTS) + len(b"reference"))
    (tmp_path / "pruned").touch()
    assert living.communicate(timeout=60)[0] == "built\n"
    assert [entry.key for entry in cache.entries(verify=True)] == ["f" * 64]


def keys_after(cache: ArtifactCache) -> list[str]:
    return [entry.key for entry in cache.entries()]


@pytest.fixture
def three(cache: ArtifactCache) -> list[Artifact]:
    """Three entries, last used 30, 20 and 10 days ago; nobody uses them now."""
    artifacts = []
    for number, days in enumerate([30, 20, 10]):
        key = hash_json(number)
        artifacts.append(cache.get_or_build(key, filler(key)))
        used_s = time.time() - days * 86400
        os.utime(artifacts[-1].path / "manifest.json", (used_s, used_s))
    cache.release()
    return artifacts


def test_entries_are_listed_least_recently_used_first(cache: ArtifactCache, three: list[Artifact]) -> None:
    entries = cache.entries()
    assert [entry.key for entry in entries] == [artifact.key for artifact in three]
    assert {entry.label for entry in entries} == {"tiny:8x8 fp32"}
    on_disk = sum(path.stat().st_size for path in three[0].path.rglob("*") if path.is_file())
    assert entries[0].bytes == on_disk
    assert time.time() - entries[2].used_s == pytest.approx(10 * 86400, abs=60)


def test_prune_by_age(cache: ArtifactCache, three: list[Artifact]) -> None:
    pruned = cache.prune(unused_for_s=15 * 86400)
    assert [entry.key for entry in pruned.removed] == [artifact.key for artifact in three[:2]]
    assert pruned.bytes == sum(entry.bytes for entry in pruned.removed)
    assert keys_after(cache) == [three[2].key]
    assert leftovers(cache) == []


def test_prune_by_size_keeps_the_most_recently_used(cache: ArtifactCache, three: list[Artifact]) -> None:
    sizes = [entry.bytes for entry in cache.entries()]
    pruned = cache.prune(max_bytes=sizes[1] + sizes[2])
    assert [entry.key for entry in pruned.removed] == [three[0].key]
    assert keys_after(cache) == [three[1].key, three[2].key]


def test_using_an_entry_makes_it_recent(cache: ArtifactCache, three: list[Artifact]) -> None:
    assert cache.get(three[0].key) is not None
    cache.release()
    cache.prune(unused_for_s=5 * 86400)
    assert keys_after(cache) == [three[0].key]


def test_prune_spares_what_a_process_uses(cache: ArtifactCache, three: list[Artifact]) -> None:
    user = start(
        "cache.get_or_build(sys.argv[2], None); print('held', flush=True); time.sleep(60)",
        cache.root,
        three[1].key,
    )
    assert user.stdout is not None
    assert user.stdout.readline() == "held\n"
    pruned = cache.prune(everything=True)
    assert [entry.key for entry in pruned.in_use] == [three[1].key]
    assert keys_after(cache) == [three[1].key]
    user.kill()
    user.communicate()
    assert [entry.key for entry in cache.prune(everything=True).removed] == [three[1].key]
    assert keys_after(cache) == []


def test_prune_without_limits_and_foreign_files_removes_nothing(
    cache: ArtifactCache, three: list[Artifact]
) -> None:
    (cache.root / "notes").mkdir()
    (cache.root / "notes" / "mine.txt").write_text("mine")
    assert cache.prune().removed == ()
    assert len(cache.prune(everything=True).removed) == len(three)
    assert (cache.root / "notes" / "mine.txt").read_text() == "mine"


def test_an_entry_pruned_by_another_process_is_built_again(cache: ArtifactCache) -> None:
    artifact = cache.get_or_build(KEY, filler())
    shutil.rmtree(artifact.path)
    assert cache.get_or_build(KEY, filler()).cache == "built"


def test_a_throwaway_cache_ends_with_the_process(cache: ArtifactCache) -> None:
    script = """
        throwaway = cache.throwaway()
        path = throwaway.get_or_build(KEY, fill).path
        print(path, path.exists())
    """
    path_text, existed = start(script, cache.root).communicate(timeout=60)[0].split()
    path = Path(path_text)
    assert (path.name, existed) == (KEY, "True")
    assert not path.parent.exists()
    assert not cache.root.exists()


def test_a_full_disk_is_told_and_leaves_nothing(cache: ArtifactCache) -> None:
    def full(directory: Path) -> Manifest:
        with Path("/dev/full").open("wb", buffering=0) as file:
            file.write(b"x")
        raise AssertionError("/dev/full took a byte")

    with pytest.raises(UsageError, match="no space left for the artifact cache") as caught:
        cache.get_or_build(KEY, full)
    assert str(cache.root) in caught.value.message
    assert caught.value.hint is not None
    assert "vitbench cache prune" in caught.value.hint
    assert "VITBENCH_CACHE" in caught.value.hint
    assert leftovers(cache) == []
    assert cache.entries() == []


def test_a_full_disk_while_writing_through_keeps_the_old_entry_out(
    cache: ArtifactCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(handle: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(UsageError, match="no space left"):
        cache.get_or_build(KEY, filler())
    assert leftovers(cache) == []
    assert cache.entries() == []


@pytest.mark.parametrize("root", ["file/cache", "/proc/vitbench-cache"])
def test_a_cache_that_cannot_be_written_is_named(tmp_path: Path, root: str) -> None:
    (tmp_path / "file").write_text("")
    cache = ArtifactCache(tmp_path / root)
    with pytest.raises(UsageError, match="cannot use the artifact cache") as caught:
        cache.get_or_build(KEY, filler())
    assert str(tmp_path / root) in caught.value.message
    assert caught.value.hint is not None
    assert "VITBENCH_CACHE" in caught.value.hint


def test_an_error_of_the_builder_is_its_own(cache: ArtifactCache, tmp_path: Path) -> None:
    missing = tmp_path / "elsewhere"
    with pytest.raises(FileNotFoundError):
        cache.get_or_build(KEY, lambda directory: missing.read_bytes())  # type: ignore[arg-type,return-value]
    assert leftovers(cache) == []


def test_the_root_follows_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    monkeypatch.setenv("VITBENCH_CACHE", str(tmp_path / "chosen"))
    assert default_root() == tmp_path / "chosen"
    monkeypatch.delenv("VITBENCH_CACHE")
    assert default_root() == tmp_path / "xdg" / "vitbench"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert default_root() == tmp_path / ".cache" / "vitbench"
