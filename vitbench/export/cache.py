"""The content-addressed cache: one directory per artifact, whole or not there.

An entry is made in a hidden directory beside it, written through to the disk, and renamed into its place,
so that a reader never meets half of one. Every file is hashed again whenever an entry is taken out.
The directory of an entry that a process uses is locked for as long as that process lives.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import shutil
import tempfile
import time
import weakref
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from vitbench.errors import UsageError
from vitbench.export.files import remove, size_of, sync, write_through
from vitbench.export.locks import exclusive, is_same_file, try_lock
from vitbench.export.manifest import (
    MANIFEST_FILE,
    DamagedArtifact,
    Manifest,
    check_files,
    read_manifest,
)
from vitbench.records.schema import ArtifactPart

CACHE_VARIABLE = "VITBENCH_CACHE"
_BUILDING = ".building"
_KEY = re.compile(r"[0-9a-f]{64}")

OnStage = Callable[[str], None]
Origin = Literal["built", "reused", "rebuilt"]


@dataclass(frozen=True)
class Artifact:
    """A workload in the form that one runtime reads.

    Attributes:
        path: its directory.
        model_file: what the runtime loads; its directory holds nothing but what runs.
        digest: hash over the files that run.
        cache: whether it was built now, taken from the cache, or built again because the entry was damaged.
    """

    path: Path
    digest: str
    key: str
    format: str
    model_file: Path
    manifest: Manifest
    cache: Origin

    def record_part(self) -> ArtifactPart:
        """What a record says of the artifact."""
        return ArtifactPart(
            digest=self.digest,
            format=self.format,
            exporter=self.manifest.exporter,
            opset=self.manifest.opset,
            bytes=self.manifest.bytes,
            formulation=self.manifest.formulation,
            cache=self.cache,
            nodes=self.manifest.nodes,
            export_s=self.manifest.export_s,
            graph=self.manifest.graph,
        )


@dataclass(frozen=True)
class CacheEntry:
    """One entry as the listing tells it.

    Attributes:
        label: the workload, or None when the manifest cannot be read.
        bytes: space the entry takes.
        used_s: when it was last taken out, in seconds since 1970.
        problem: what is wrong with it; None when nothing was found.
    """

    key: str
    path: Path
    label: str | None
    bytes: int
    used_s: float
    problem: str | None


@dataclass(frozen=True)
class Pruned:
    """What was removed, what was left because a process uses it, and the space gained."""

    removed: tuple[CacheEntry, ...]
    in_use: tuple[CacheEntry, ...]
    unfinished: int
    bytes: int


def default_root() -> Path:
    """$VITBENCH_CACHE, else $XDG_CACHE_HOME/vitbench, else ~/.cache/vitbench."""
    if chosen := os.environ.get(CACHE_VARIABLE):
        return Path(chosen).expanduser()
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "vitbench"


class ArtifactCache:
    """Artifacts by their key. Entries that were taken out stay locked until `release` or the process ends.

    Args:
        root: directory of the cache, made when it is first written; `default_root()` when None.
    """

    def __init__(self, root: Path | None = None) -> None:
        self.root = (root or default_root()).absolute()
        self._held: dict[str, int] = {}
        weakref.finalize(self, _close_all, self._held)

    def get(self, key: str) -> Artifact | None:
        """Take an artifact out of the cache; None when there is none.

        Raises:
            DamagedArtifact: the entry is not what its manifest says.
            UsageError: the cache cannot be read.
        """
        path = self._path(key)
        if not self._hold(key):
            return None
        try:
            manifest = read_manifest(path)
            if manifest.key != key:
                raise DamagedArtifact(f"{MANIFEST_FILE} is of another entry")
            check_files(path, manifest)
        except DamagedArtifact:
            self._let_go(key)
            raise
        with contextlib.suppress(OSError):  # a cache that others own can be read all the same
            os.utime(path / MANIFEST_FILE)
        return _artifact(path, manifest, "reused")

    def get_or_build(
        self, key: str, fill: Callable[[Path], Manifest], on_stage: OnStage = lambda stage: None
    ) -> Artifact:
        """Take an artifact out of the cache, or build it.

        Two processes that want the same artifact build it once: the second one waits for the first.

        Args:
            fill: writes the files into an empty directory and returns their manifest.
            on_stage: told what is happening whenever it may take long.

        Raises:
            UsageError: the cache cannot be written, or its disk is full.
        """
        origin: Origin = "built"
        with self._explained():
            try:
                if found := self.get(key):
                    return found
            except DamagedArtifact as damage:
                on_stage(f"cached artifact {key[:12]} is damaged ({damage}), building it again")
                origin = "rebuilt"
            building = self.root / _BUILDING
            building.mkdir(parents=True, exist_ok=True)
            with exclusive(
                building / f"{key}.lock",
                lambda: on_stage("waiting for the process that builds this artifact"),
            ):
                # Whoever held the lock before may have finished the entry, or may have died over it.
                with contextlib.suppress(DamagedArtifact):
                    if found := self.get(key):
                        return found
                manifest = self._build(key, fill)
            self._hold(key)
            return _artifact(self._path(key), manifest, origin)

    def _build(self, key: str, fill: Callable[[Path], Manifest]) -> Manifest:
        directory, old = (self.root / _BUILDING / f"{key}.{part}" for part in ("new", "old"))
        for leftover in (directory, old):
            remove(leftover)
        try:
            directory.mkdir()
            manifest = fill(directory).sealed()
            (directory / MANIFEST_FILE).write_text(manifest.model_dump_json(indent=1))
            write_through(directory)
            if self._path(key).exists():
                self._path(key).rename(old)
            directory.rename(self._path(key))
            sync(self.root)
        finally:
            for leftover in (directory, old):
                remove(leftover)
        return manifest

    def throwaway(self) -> ArtifactCache:
        """An empty cache that is removed when nothing refers to it any more, or when the process ends."""
        root = Path(tempfile.mkdtemp(prefix="vitbench-"))
        cache = ArtifactCache(root)
        weakref.finalize(cache, shutil.rmtree, root, ignore_errors=True)
        return cache

    def release(self) -> None:
        """Unlock every entry that was taken out."""
        _close_all(self._held)

    def entries(self, *, verify: bool = False) -> list[CacheEntry]:
        """List the entries, least recently used first.

        Args:
            verify: hash every file; otherwise only manifests are read.

        Raises:
            UsageError: the cache cannot be read.
        """
        with self._explained():
            if not self.root.exists():
                return []
            paths = [path for path in self.root.iterdir() if _KEY.fullmatch(path.name)]
            found = [_describe(path, verify) for path in paths]
        return sorted((entry for entry in found if entry), key=lambda entry: (entry.used_s, entry.key))

    def prune(
        self, *, unused_for_s: float | None = None, max_bytes: int | None = None, everything: bool = False
    ) -> Pruned:
        """Remove entries that nobody uses, and what killed builders left.

        Args:
            unused_for_s: remove entries that were last taken out longer ago than this.
            max_bytes: remove the least recently used entries until the rest takes no more space than this.
            everything: remove all.

        Raises:
            UsageError: the cache cannot be read or written.
        """
        entries = self.entries()
        total = sum(entry.bytes for entry in entries)
        removed, in_use = [], []
        with self._explained():
            unfinished, freed = self._remove_unfinished()
            for entry in entries:
                too_old = unused_for_s is not None and time.time() - entry.used_s > unused_for_s
                too_much = max_bytes is not None and total > max_bytes
                if not (everything or too_old or too_much):
                    continue
                if self._remove_entry(entry):
                    removed.append(entry)
                    total -= entry.bytes
                else:
                    in_use.append(entry)
        gained = freed + sum(entry.bytes for entry in removed)
        return Pruned(tuple(removed), tuple(in_use), unfinished, gained)

    def _remove_entry(self, entry: CacheEntry) -> bool:
        """Remove an entry unless a process uses it."""
        handle = os.open(entry.path, os.O_RDONLY)
        try:
            if not _try_lock_or_none(handle):
                return False
            building = self.root / _BUILDING
            building.mkdir(exist_ok=True)
            # Out of its place first: a reader must not meet a directory that loses its files one by one.
            aside = building / f"{entry.key}.pruned"
            remove(aside)
            entry.path.rename(aside)
            remove(aside)
        finally:
            os.close(handle)
        return True

    def _remove_unfinished(self) -> tuple[int, int]:
        """Remove what killed builders left, but not what living ones make: how many, and how many bytes."""
        building = self.root / _BUILDING
        names = [path.name for path in building.iterdir()] if building.exists() else []
        count = size = 0
        for key in sorted({name.partition(".")[0] for name in names}):
            with contextlib.suppress(_BusyError), exclusive(building / f"{key}.lock", _give_up):
                for path in (building / name for name in names if name.startswith(f"{key}.")):
                    if path.is_dir():
                        count, size = count + 1, size + size_of(path)
                        remove(path)
        return count, size

    def _path(self, key: str) -> Path:
        return self.root / key

    def _hold(self, key: str) -> bool:
        """Lock an entry against removal; False when there is none."""
        if key in self._held:
            if is_same_file(self._held[key], self._path(key)):
                return True
            self._let_go(key)
        with self._explained():
            try:
                handle = os.open(self._path(key), os.O_RDONLY | os.O_DIRECTORY)
            except FileNotFoundError:
                return False
        if not _try_lock_or_none(handle, shared=True) or not is_same_file(handle, self._path(key)):
            os.close(handle)  # it is being removed
            return False
        self._held[key] = handle
        return True

    def _let_go(self, key: str) -> None:
        os.close(self._held.pop(key))

    @contextlib.contextmanager
    def _explained(self) -> Iterator[None]:
        """Turn an OSError on files of the cache into a UsageError that names it."""
        try:
            yield
        except OSError as error:
            inside = error.filename is None or Path(os.fsdecode(error.filename)).is_relative_to(self.root)
            parents = [str(parent) for parent in self.root.parents]
            if not inside and str(error.filename) not in parents:
                raise
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise UsageError(
                    f"no space left for the artifact cache {self.root}",
                    f"`vitbench cache prune` frees some, or set {CACHE_VARIABLE} to another directory",
                ) from error
            raise UsageError(
                f"cannot use the artifact cache {self.root}: {error.strerror or error}",
                f"set {CACHE_VARIABLE} to a directory that can be written",
            ) from error


class _BusyError(Exception):
    """A builder is alive."""


def _give_up() -> None:
    raise _BusyError


def _artifact(path: Path, manifest: Manifest, origin: Origin) -> Artifact:
    return Artifact(
        path=path,
        digest=manifest.digest,
        key=manifest.key,
        format=manifest.format,
        model_file=path / manifest.model_file,
        manifest=manifest,
        cache=origin,
    )


def _describe(path: Path, verify: bool) -> CacheEntry | None:
    """Describe an entry; None when it went away meanwhile."""
    label = problem = None
    try:
        manifest = read_manifest(path)
        label = manifest.label
        if manifest.key != path.name:
            raise DamagedArtifact(f"{MANIFEST_FILE} is of another entry")
        if verify:
            check_files(path, manifest)
    except DamagedArtifact as damage:
        problem = str(damage)
    try:
        marker = path / MANIFEST_FILE
        used_s = (marker if marker.exists() else path).stat().st_mtime
        size = size_of(path)
    except FileNotFoundError:
        return None
    return CacheEntry(path.name, path, label, size, used_s, problem)


def _try_lock_or_none(handle: int, *, shared: bool = False) -> bool:
    # A file system without locks cannot tell who uses an entry; that must not make the cache useless.
    try:
        return try_lock(handle, shared=shared)
    except OSError:
        return True


def _close_all(held: dict[str, int]) -> None:
    while held:
        os.close(held.popitem()[1])
