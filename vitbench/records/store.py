"""The store: one immutable JSON document per record, in a directory or behind an fsspec URL."""

from __future__ import annotations

import hashlib
import os
import re
import secrets
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from vitbench.errors import UsageError
from vitbench.records.files import Entry, Files, LocalFiles, open_files

if TYPE_CHECKING:
    from vitbench.records.document import Document

DEFAULT_LOCATION = "results"
SUFFIX = ".json"


@dataclass(frozen=True)
class Problem:
    """A file of the store that could not be read as a record, and why.

    `lasting` is False where the file may be readable the next time though it did not change.
    """

    name: str
    reason: str
    lasting: bool = True


@dataclass(frozen=True)
class Saved:
    """Where a record is now. `problem` says why that is not the store, None when it is."""

    location: str
    problem: str | None = None


def new_id(created: datetime, model: str, resolution: tuple[int, int], target: str) -> str:
    """Make the id of a record, which is the stem of its file name.

    Ids sort by time, name the cell, and are unique: `20261121T081500Z-effvit-b2-224x224-cpu-1f0c9a3e`.

    Args:
        created: aware time the run began.
        model: name of the workload's model.
        resolution: (height, width) in pixels.
        target: name of the target.
    """
    stamp = created.astimezone(UTC).strftime("%Y%m%dT%H%M%SZ")
    cell = f"{model}-{resolution[0]}x{resolution[1]}-{target}"
    return f"{stamp}-{re.sub(r'[^A-Za-z0-9+@._-]', '_', cell)}-{secrets.token_hex(4)}"


class Store:
    """Records in one place. Records are only ever added; a record that is there never changes.

    Args:
        location: a directory, or an fsspec URL such as `s3://bucket/results`.

    Raises:
        UsageError: the URL's file system is unknown or its package is missing.
    """

    def __init__(self, location: str | Path = DEFAULT_LOCATION) -> None:
        if not str(location):
            raise UsageError("--results names no place", "give a directory, or an fsspec URL")
        try:
            self.files: Files = open_files(location)
        except OSError as error:
            raise UsageError(
                f"cannot open the results at `{location}`: {_reason(error)}",
                "give a directory, or an fsspec URL whose package is installed, with --results",
            ) from error

    @property
    def location(self) -> str:
        """The directory or URL, as messages show it."""
        return self.files.location

    @property
    def running_dir(self) -> Path:
        """Local directory of the journals of runs in progress: beside the records where they are local."""
        if isinstance(self.files, LocalFiles):
            return self.files.root / ".running"
        state = Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state")
        return state / "vitbench" / "running" / hashlib.sha256(self.location.encode()).hexdigest()[:12]

    def check_writable(self) -> None:
        """Prove, before anything is measured, that a record can be written.

        Raises:
            UsageError: it cannot; the message names the place and the reason.
        """
        try:
            self.files.check_writable()
            if isinstance(self.files, LocalFiles):
                self.files.sweep()
        except OSError as error:
            raise UsageError(
                f"cannot write records to `{self.location}`: {_reason(error)}",
                "make room or give it write permission, or choose another place with --results",
            ) from error

    def entries(self) -> list[Entry]:
        """List the documents, oldest name first.

        Raises:
            UsageError: the place cannot be read.
        """
        try:
            return [entry for entry in self.files.entries() if entry.name.endswith(SUFFIX)]
        except OSError as error:
            raise UsageError(
                f"cannot read the results at `{self.location}`: {_reason(error)}",
                "check the place given with --results",
            ) from error

    def read(self, name: str) -> Document:
        """Read and validate one record by its file name or id.

        Raises:
            UsageError: it cannot be read; the message names it and says why.
        """
        from vitbench.records.document import UnreadableRecord, parse

        name = name if name.endswith(SUFFIX) else name + SUFFIX
        try:
            return parse(self.files.read(name))
        except OSError as error:
            reason = _reason(error)
        except UnreadableRecord as error:
            reason = error.message
        raise UsageError(
            f"cannot read record `{self._path(name)}`: {reason}", "`vitbench report` lists them all"
        )

    def load(self, entries: list[Entry]) -> Iterator[tuple[Entry, Document | Problem]]:
        """Read documents one after the other; one that is no record is answered with its problem."""
        if not entries:
            return  # nothing to read: the schema need not be imported
        from vitbench.records.document import UnreadableRecord, parse

        for entry in entries:
            if not entry.regular:
                yield entry, Problem(entry.name, "not a regular file", lasting=False)
                continue
            try:
                yield entry, parse(self.files.read(entry.name))
            except OSError as error:
                yield entry, Problem(entry.name, _reason(error), lasting=False)
            except UnreadableRecord as error:
                yield entry, Problem(entry.name, error.message)

    def records(self) -> tuple[list[Document], list[Problem]]:
        """Read every record, oldest name first, and list what could not be read."""
        found = [item for _, item in self.load(self.entries())]
        problems = [item for item in found if isinstance(item, Problem)]
        return [item for item in found if not isinstance(item, Problem)], problems

    def has(self, record_id: str) -> bool:
        """Whether a record of this id is in the store."""
        return self.files.exists(record_id + SUFFIX)

    def save(self, record: Document) -> Saved:
        """Write a record. When the store refuses it, it goes to the temporary directory: nothing is lost.

        Raises:
            UsageError: neither could be written.
            ValueError: a record of this id is there already.
        """
        from vitbench.records import document

        name, data = record.id + SUFFIX, document.dump(record)
        try:
            if self.files.exists(name):
                raise ValueError(f"record {record.id} is already stored")
            self.files.write(name, data)
            return Saved(self._path(name))
        except OSError as error:
            return self._save_elsewhere(name, data, _reason(error))

    def _save_elsewhere(self, name: str, data: bytes, reason: str) -> Saved:
        problem = f"cannot write to `{self.location}`: {reason}"
        try:
            # A directory of its own, readable by its owner only: names in a shared one can be taken.
            refuge = LocalFiles(Path(tempfile.mkdtemp(prefix="vitbench-results-")))
            refuge.write(name, data)
        except OSError as error:
            raise UsageError(
                f"{problem}, nor to `{tempfile.gettempdir()}`: {_reason(error)}",
                f"make room; the finished blocks are kept in `{self.running_dir}`, and the same command "
                "saves them next time",
            ) from error
        return Saved(str(refuge.root / name), problem)

    def _path(self, name: str) -> str:
        return f"{self.location.rstrip('/')}/{name}"


def _reason(error: OSError) -> str:
    return error.strerror.lower() if error.strerror else str(error) or type(error).__name__
