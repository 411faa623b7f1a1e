"""What an artifact's directory says of itself: `manifest.json`."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from vitbench.catalog.specs import Values
from vitbench.records.schema import Counts, GraphFacts, Reference

MANIFEST_VERSION = 3
MANIFEST_FILE = "manifest.json"


class DamagedArtifact(Exception):
    """A cached artifact is not what its manifest says; the message tells what is wrong with it."""


class Part(BaseModel):
    """Base of every part of a manifest: immutable, and unknown fields are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class FileEntry(Part):
    """One file of the artifact; `name` is relative to its directory, with forward slashes."""

    name: str
    bytes: int
    sha256: str


class TensorEntry(Part):
    """One input or output. `dtype` is numpy's name; shapes are static."""

    name: str
    dtype: str
    shape: tuple[int, ...]


class InputEntry(TensorEntry):
    """One input, and what stands in it when it is made up: see `inputs.made_inputs`."""

    values: Values = "normal"


class ParityEntry(Part):
    """What an artifact is compared with: images and reference outputs.

    Attributes:
        seed: of the seeded images; see `inputs.image`.
        runs: how many inferences are compared.
        images: images compared, over all inferences; a multiple of the batch.
        reference: who computed the reference outputs.
        reference_file: the reference outputs, one entry `<output>.<run>` for each inference.
        special_file: the image built to drive a normaliser to zero; None for a network without one.
        special_index: which image that is.
        normaliser_module: module whose denominators it drives down.
        normaliser_min: smallest of these denominators in fp32 PyTorch.
    """

    seed: int
    runs: int
    images: int
    reference: Reference = "pytorch"
    reference_file: str
    special_file: str | None = None
    special_index: int | None = None
    normaliser_module: str | None = None
    normaliser_min: float | None = None


class Manifest(Part):
    """An artifact and how it was made.

    Attributes:
        key: address in the cache, a hash over `parts`.
        parts: everything the artifact depends on.
        digest: hash over the files that run on the device; equal for equal artifacts.
        bytes: size of the files that run on the device.
        nodes: of the graph.
        export_s: how long it took to write the graph, without the reference outputs.
        graph: what the runtime makes of it, where its writer tells.
        islands: names of the nodes that run in float32 in a graph otherwise in half precision.
        checksum: hash of this manifest without this field.
    """

    version: int = MANIFEST_VERSION
    key: str
    parts: dict[str, Any]
    label: str
    created_utc: str
    digest: str
    bytes: int
    format: str
    exporter: str
    opset: int | None
    model_file: str
    files: tuple[FileEntry, ...]
    inputs: tuple[InputEntry, ...]
    outputs: tuple[TensorEntry, ...]
    precision: Literal["fp32", "fp16"]
    formulation: dict[str, str]
    counts: Counts
    parity: ParityEntry
    nodes: int | None = None
    export_s: float | None = None
    graph: GraphFacts | None = None
    islands: tuple[str, ...] = ()
    checksum: str = ""

    @property
    def total_bytes(self) -> int:
        """Size of every file the manifest lists, in bytes."""
        return sum(entry.bytes for entry in self.files)

    def sealed(self) -> Manifest:
        """Copy with its checksum filled in."""
        return self.model_copy(update={"checksum": self._checksum()})

    def _checksum(self) -> str:
        return hash_json(self.model_dump(mode="json", exclude={"checksum"}))


def hash_json(value: Any) -> str:
    """SHA-256 of a value's JSON with sorted keys, in hexadecimal."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def hash_file(path: Path) -> str:
    """SHA-256 of a file's bytes, in hexadecimal.

    Raises:
        OSError: the file cannot be read.
    """
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def list_files(directory: Path) -> tuple[FileEntry, ...]:
    """Describe every file under a directory but the manifest, in the order of their names."""
    found = [path for path in directory.rglob("*") if path.is_file() and path.name != MANIFEST_FILE]
    entries = (
        FileEntry(
            name=path.relative_to(directory).as_posix(), bytes=path.stat().st_size, sha256=hash_file(path)
        )
        for path in found
    )
    return tuple(sorted(entries, key=lambda entry: entry.name))


def digest_of(files: Iterable[FileEntry]) -> str:
    """One hash over the names and hashes of files, whatever their order."""
    return hash_json(sorted([entry.name, entry.sha256] for entry in files))


def read_manifest(directory: Path) -> Manifest:
    """Read the manifest of an artifact's directory.

    Raises:
        DamagedArtifact: it is missing, malformed, altered, or of another entry.
    """
    try:
        manifest = Manifest.model_validate_json((directory / MANIFEST_FILE).read_bytes())
    except OSError as error:
        raise DamagedArtifact(f"{MANIFEST_FILE} cannot be read: {error.strerror}") from None
    except ValidationError as error:
        raise DamagedArtifact(f"{MANIFEST_FILE} is malformed ({error.error_count()} errors)") from None
    if manifest.checksum != manifest._checksum():
        raise DamagedArtifact(f"{MANIFEST_FILE} was altered")
    return manifest


def check_files(directory: Path, manifest: Manifest) -> None:
    """Compare every file's size and hash with the manifest.

    Raises:
        DamagedArtifact: a file is missing, of another size, or altered.
    """
    for entry in manifest.files:
        path = directory / entry.name
        try:
            size = path.stat().st_size
            if size != entry.bytes:
                raise DamagedArtifact(f"{entry.name} has {size} bytes instead of {entry.bytes}")
            if hash_file(path) != entry.sha256:
                raise DamagedArtifact(f"{entry.name} was altered")
        except OSError as error:
            raise DamagedArtifact(f"{entry.name} cannot be read: {error.strerror}") from None
