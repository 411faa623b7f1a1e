"""Baselines: what a gate measures a candidate beside. One JSON document each; it says where artifacts are."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field, ValidationError

from vitbench.catalog.elsewhere import split_resolution
from vitbench.catalog.sources import is_source
from vitbench.catalog.specs import OWN_WEIGHTS
from vitbench.errors import UsageError
from vitbench.records.document import dump
from vitbench.records.files import Files, open_files
from vitbench.records.schema import ArtifactPart, Counts, Parity, Part, Protocol

BASELINE_VERSION = 1
SUFFIX = ".json"
DEFAULT_NAME = "main"
DEFAULT_SHELF = "artifacts"
_NAME = re.compile(r"^[A-Za-z0-9][A-Za-z0-9._+@-]*$")
# SHA-256, a commit, and a time in ms, as only a whole document has them.
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Commit = Annotated[str, Field(pattern=r"^[0-9a-f]{40}([0-9a-f]{24})?$")]
Milliseconds = Annotated[float, Field(ge=0, le=1e9, allow_inf_nan=False)]
_URL = re.compile(r"^[a-z][a-z0-9+]+:/")


class Asked(Part):
    """How a cell was named when its baseline was saved, so that the candidate is found by the same name."""

    model: str
    resolution: tuple[int, int] | None
    batch: int
    precision: Literal["fp32", "fp16"]
    target: str
    seed: int
    weights_file: Annotated[str, Field(pattern=r"^[^\x00]+$")] | None
    threads: int | None


class Sources(Part):
    """What the artifacts were made of: commits of vitbench and of the working directory.

    Each is None where there was no checkout, or where its files differed from the commit.
    """

    project: Commit | None
    directory: Commit | None


class BaselineCell(Part):
    """One cell of a baseline.

    `digest` is of the artifact, or of the script of a scripted target, whose `script` is then kept here.
    `archive` is the SHA-256 of the archive that holds the artifact, `key` its address in a cache.
    `latency_ms` and `load_ms` are of a short look, to estimate the cost of a gate; they decide nothing.
    `sources` are its own where they are not those of the document: the cell was saved before the others.
    """

    asked: Asked
    label: str
    model: str
    resolution: tuple[int, int]
    target: str
    device: str
    machine_key: str
    runtime: str
    runtime_version: str
    simulated: bool
    protocol: Protocol
    counts: Counts
    digest: Sha256
    key: Sha256 | None
    archive: Sha256 | None
    artifact: ArtifactPart | None
    parity: Parity | None
    script: dict[str, Any] | None = None
    latency_ms: Milliseconds
    load_ms: Milliseconds
    sources: Sources | None = None


class Baseline(Part):
    """Cells and where their artifacts are: a directory, relative to this document's, or an fsspec URL."""

    schema_version: int = BASELINE_VERSION
    kind: Literal["baseline"] = "baseline"
    name: Annotated[str, Field(pattern=_NAME.pattern)]
    created_utc: str
    vitbench_version: str
    sources: Sources
    artifacts: str
    cells: Annotated[tuple[BaselineCell, ...], Field(min_length=1)]

    @property
    def commit(self) -> str | None:
        """The commit that all cells are of, see `commit_of`."""
        return self.commit_of(self.cells)

    def commit_of(self, cells: Iterable[BaselineCell]) -> str | None:
        """The commit a reader thinks of: that of the working directory, else vitbench's own.

        None where cells are of none, or not all of the same.
        """
        pinned = [cell.sources or self.sources for cell in cells]
        commits = {sources.directory or sources.project for sources in pinned}
        return commits.pop() if len(commits) == 1 else None

    @property
    def unpinned(self) -> list[BaselineCell]:
        """Cells of no commit, whose artifacts cannot be rebuilt once they are lost."""
        return [cell for cell in self.cells if self.commit_of([cell]) is None]


@dataclass(frozen=True)
class Place:
    """Where one baseline is: the files of its directory, and its name among them."""

    files: Files
    name: str

    @property
    def location(self) -> str:
        """Directory or URL of the document."""
        return f"{self.files.location.rstrip('/')}/{self.name}{SUFFIX}"

    def shelf(self, artifacts: str) -> str:
        """Where artifacts are: as it stands where it is absolute or a URL, else below the baselines."""
        if _URL.match(artifacts) or artifacts.startswith("/"):
            return artifacts
        return f"{self.files.location.rstrip('/')}/{artifacts}"


def place_of(baseline: str, results: str) -> Place:
    """Find where a baseline is meant to be.

    Args:
        baseline: a name, or the path or URL of a document.
        results: the place of the records; a name is of `baselines/` below it.

    Raises:
        UsageError: it can be neither, or its file system is unknown.
    """
    directory, slash, name = baseline.rpartition("/")
    if not slash and not baseline.endswith(SUFFIX):
        directory, name = f"{results.rstrip('/')}/baselines", baseline
    else:
        directory, name = directory + slash or ".", name.removesuffix(SUFFIX)
    if not _NAME.fullmatch(name):
        raise UsageError(
            f"'{baseline}' names no baseline", "a name has letters, digits and . _ + @ -, for example `main`"
        )
    try:
        return Place(open_files(directory), name)
    except OSError as error:
        raise UsageError(f"cannot open `{directory}`: {_reason(error)}", "check --baseline") from error


def read(place: Place) -> Baseline:
    """Read and validate a baseline.

    Raises:
        UsageError: there is none, or it is damaged; the message says which and why.
    """
    try:
        data = place.files.read(place.name + SUFFIX)
    except FileNotFoundError:
        known = names(place.files)
        there = f"there are {', '.join(known)}" if known else "there is none yet"
        raise UsageError(
            f"no baseline `{place.location}`",
            f"{there}; `vitbench baseline save {place.name} -m MODEL -t TARGET` makes one",
        ) from None
    except OSError as error:
        raise UsageError(
            f"cannot read the baseline `{place.location}`: {_reason(error)}", "check --baseline"
        ) from error
    try:
        found = Baseline.model_validate_json(data)
    except ValidationError as error:
        # Fields of another version are unknown ones: the version is what to tell.
        _check_version(place, data)
        raise _damaged(place, error) from None
    _check_version(place, data)
    return found


def write(place: Place, baseline: Baseline) -> None:
    """Write a baseline, whole or not at all, over one of its name.

    Raises:
        UsageError: it cannot be written.
    """
    try:
        place.files.write(place.name + SUFFIX, dump(baseline))
    except OSError as error:
        raise _unwritable(place.files.location, error) from error


def check_writable(place: Place) -> None:
    """Prove, before anything is built, that a baseline can be written.

    Raises:
        UsageError: it cannot.
    """
    try:
        place.files.check_writable()
    except OSError as error:
        raise _unwritable(place.files.location, error) from error


def names(files: Files) -> list[str]:
    """Names of the baselines in a place.

    Raises:
        UsageError: it cannot be read.
    """
    try:
        entries = files.entries()
    except OSError as error:
        raise UsageError(f"cannot read `{files.location}`: {_reason(error)}", "check --results") from error
    return [entry.name.removesuffix(SUFFIX) for entry in entries if entry.name.endswith(SUFFIX)]


def merged(old: Baseline | None, new: Baseline) -> Baseline:
    """The new cells, and those of the old one that it does not replace; for saving one target at a time.

    A cell replaces the one that a gate would build in the same way, whatever machine that was saved on.
    The others stay pinned to what they were made of.
    """
    if old is None:
        return new
    replaced = {_identity(cell) for cell in new.cells}
    kept = [cell for cell in old.cells if _identity(cell) not in replaced]
    pinned = [(cell, cell.sources or old.sources) for cell in kept]
    cells = [cell.model_copy(update={"sources": None if own == new.sources else own}) for cell, own in pinned]
    return new.model_copy(update={"cells": (*cells, *new.cells)})


def labels(cells: Sequence[BaselineCell]) -> str:
    """Cells by their labels, in one line."""
    return ", ".join(cell.label for cell in cells)


def told_apart(baseline: Baseline) -> Baseline:
    """The baseline for a reader: cells of the same label say in it in what they differ."""
    namesakes: dict[str, list[BaselineCell]] = {}
    for cell in baseline.cells:
        namesakes.setdefault(cell.label, []).append(cell)
    cells = tuple(_told_apart(cell, namesakes[cell.label]) for cell in baseline.cells)
    return baseline.model_copy(update={"cells": cells})


def _told_apart(cell: BaselineCell, namesakes: Sequence[BaselineCell]) -> BaselineCell:
    """The cell, with what not all of its namesakes share in its label."""
    columns = zip(*(_choices(each) for each in namesakes), strict=True)
    told = [
        own
        for own, column in zip(_choices(cell), columns, strict=True)
        if any(own != each for each in column)
    ]
    return cell.model_copy(update={"label": ", ".join([cell.label, *told])})


def _identity(cell: BaselineCell) -> tuple[object, ...]:
    """Equal for cells that are the same, however they were named."""
    return (tuple(cell.resolution), cell.target, cell.asked.batch, *_choices(cell))


def _choices(cell: BaselineCell) -> tuple[str, str, str, str]:
    """What a label may leave out, in words: the whole name of the network, precision, threads, weights."""
    asked, threads = cell.asked, cell.protocol.threads
    name = split_resolution(asked.model, asked.model, None)[0] if is_source(asked.model) else cell.model
    weights = f"weights {asked.weights_file}" if asked.weights_file else f"seed {asked.seed}"
    if name.partition(":")[0] in OWN_WEIGHTS:
        weights = "its own weights"
    return name, asked.precision, f"{threads} thread" + "s" * (threads != 1), weights


class _Stamp(BaseModel):
    """What every version has."""

    schema_version: int


def _check_version(place: Place, data: bytes) -> None:
    try:
        version = _Stamp.model_validate_json(data).schema_version
    except ValidationError:
        return
    if version != BASELINE_VERSION:
        raise UsageError(
            f"`{place.location}` is a baseline of version {version}, this vitbench reads {BASELINE_VERSION}",
            "save it anew with `vitbench baseline save`",
        )


def _damaged(place: Place, error: ValidationError) -> UsageError:
    first = error.errors(include_url=False)[0]
    where = ".".join(str(key) for key in first["loc"])
    what = f"field `{where}`: {first['msg'].lower()}" if where else first["msg"].lower()
    return UsageError(
        f"the baseline `{place.location}` is damaged: {what}",
        f"restore it from version control, or save it anew with `vitbench baseline save {place.name}`",
    )


def _unwritable(location: str, error: OSError) -> UsageError:
    return UsageError(
        f"cannot write the baseline to `{location}`: {_reason(error)}",
        "make room or give it write permission, or choose another place with --results",
    )


def _reason(error: OSError) -> str:
    return error.strerror.lower() if error.strerror else str(error) or type(error).__name__
