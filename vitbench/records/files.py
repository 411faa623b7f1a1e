"""Whole files in one place, local or behind an fsspec URL: written at once or not at all.

A reader never meets half a file: locally by a temporary name, fsync and rename; in a bucket because an
object appears when its upload ends.
"""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import stat
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

PROBE_BYTES = 1 << 20
STALE_S = 3600.0
# `Path("s3://bucket/dir")` has lost a slash, hence `/+`.
_URL = re.compile(r"^([a-z][a-z0-9+]+):/+(.*)$")
_STAMPS = ("mtime", "LastModified", "last_modified", "updated", "ETag", "etag", "created")


@dataclass(frozen=True)
class Entry:
    """A file as the listing tells it: size in bytes, and a stamp that changes when the file does."""

    name: str
    size: int
    stamp: str
    regular: bool = True


class Files(Protocol):
    """The files directly in one place. Names have no slash; every method may raise OSError."""

    location: str

    def entries(self) -> list[Entry]:
        """List what is there, by name; hidden files left out. A place that does not exist is empty."""

    def exists(self, name: str) -> bool:
        """Whether there is such a file."""

    def read(self, name: str) -> bytes:
        """Read a whole file."""

    def write(self, name: str, data: bytes) -> None:
        """Write a whole file, durably; the place is made when it is missing."""

    def remove(self, name: str) -> None:
        """Remove a file; nothing happens where there is none."""

    def check_writable(self) -> None:
        """Write, and remove, as much as a large record takes."""


def open_files(location: str | Path) -> Files:
    """Open a directory, or an fsspec URL such as `memory://results` or `s3://bucket/results`.

    Raises:
        OSError: no such file system, or its package is missing.
    """
    text = str(location)
    found = _URL.match(text)
    if found is None:
        return LocalFiles(Path(text))
    protocol, rest = found.groups()
    return LocalFiles(Path("/", rest)) if protocol == "file" else RemoteFiles(protocol, rest)


class LocalFiles:
    """A directory of this machine."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.location = str(root)

    def entries(self) -> list[Entry]:
        """See `Files`."""
        found = []
        try:
            with os.scandir(self.root) as listing:
                for item in listing:
                    if item.name.startswith("."):
                        continue
                    try:
                        facts = item.stat()
                    except FileNotFoundError:  # a dangling link, or removed since it was listed
                        facts = item.stat(follow_symlinks=False)
                    if not stat.S_ISDIR(facts.st_mode):
                        regular = stat.S_ISREG(facts.st_mode)
                        found.append(Entry(item.name, facts.st_size, str(facts.st_mtime_ns), regular))
        except FileNotFoundError:
            return []
        return sorted(found, key=lambda entry: entry.name)

    def exists(self, name: str) -> bool:
        """See `Files`."""
        return (self.root / name).exists()

    def read(self, name: str) -> bytes:
        """See `Files`."""
        return (self.root / name).read_bytes()

    def write(self, name: str, data: bytes) -> None:
        """See `Files`."""
        self.root.mkdir(parents=True, exist_ok=True)
        write_atomically(self.root / name, data)

    def remove(self, name: str) -> None:
        """See `Files`."""
        (self.root / name).unlink(missing_ok=True)

    def check_writable(self) -> None:
        """See `Files`."""
        self.root.mkdir(parents=True, exist_ok=True)
        temporary = _temporary_name(self.root / "probe")
        try:
            _write_through(temporary, bytes(PROBE_BYTES))
        finally:
            temporary.unlink(missing_ok=True)

    def sweep(self) -> None:
        """Remove temporary files that writers killed over an hour ago left behind."""
        for path in self.root.glob(".*.tmp"):
            try:
                if time.time() - path.stat().st_mtime > STALE_S:
                    path.unlink()
            except OSError:
                continue  # litter that cannot be removed harms nobody


class RemoteFiles:
    """A place that fsspec reaches. Whatever its client raises becomes an OSError."""

    def __init__(self, protocol: str, path: str) -> None:
        self.location = f"{protocol}://{path}"
        with _storage_errors():
            import fsspec

            self._files: Any = fsspec.filesystem(protocol)
            self._root = str(self._files._strip_protocol(self.location)).rstrip("/")

    def entries(self) -> list[Entry]:
        """See `Files`."""
        with _storage_errors():
            try:
                self._files.invalidate_cache(self._root)
                listing = self._files.ls(self._root or "/", detail=True)
            except FileNotFoundError:
                return []
        found = [_remote_entry(item) for item in listing if item["type"] == "file"]
        return sorted((e for e in found if not e.name.startswith(".")), key=lambda entry: entry.name)

    def exists(self, name: str) -> bool:
        """See `Files`."""
        with _storage_errors():
            return bool(self._files.exists(self._path(name)))

    def read(self, name: str) -> bytes:
        """See `Files`."""
        with _storage_errors():
            return bytes(self._files.cat_file(self._path(name)))

    def write(self, name: str, data: bytes) -> None:
        """See `Files`."""
        with _storage_errors():
            self._files.makedirs(self._root, exist_ok=True)
            self._files.pipe_file(self._path(name), data)

    def remove(self, name: str) -> None:
        """See `Files`."""
        with _storage_errors(), contextlib.suppress(FileNotFoundError):
            self._files.rm_file(self._path(name))

    def check_writable(self) -> None:
        """See `Files`."""
        name = f".probe-{secrets.token_hex(4)}.tmp"
        self.write(name, bytes(PROBE_BYTES))
        with _storage_errors():
            self._files.rm_file(self._path(name))

    def _path(self, name: str) -> str:
        return f"{self._root}/{name}"


@contextlib.contextmanager
def _storage_errors() -> Iterator[None]:
    # Clients of buckets raise errors of their own kinds, from packages that need not be installed.
    try:
        yield
    except OSError:
        raise
    except Exception as error:
        raise OSError(str(error) or type(error).__name__) from error


def write_atomically(path: Path, data: bytes) -> None:
    """Write a file so that it is either there whole, also after a power cut, or not there.

    Raises:
        OSError: it could not be written; nothing is left behind.
    """
    temporary = _temporary_name(path)
    try:
        _write_through(temporary, data)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    _sync_directory(path.parent)


def _temporary_name(path: Path) -> Path:
    return path.with_name(f".{path.name}.{os.getpid()}-{secrets.token_hex(4)}.tmp")


def _write_through(path: Path, data: bytes) -> None:
    with path.open("xb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _sync_directory(path: Path) -> None:
    # The rename itself is durable only once the directory is. Not every file system can sync a directory;
    # the file is whole and in its place all the same.
    with contextlib.suppress(OSError):
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _remote_entry(item: dict[str, Any]) -> Entry:
    name = str(item["name"]).rstrip("/").rpartition("/")[2]
    stamp = "|".join(str(item[key]) for key in _STAMPS if item.get(key) is not None)
    return Entry(name, int(item.get("size") or 0), stamp)
