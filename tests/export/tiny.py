"""Artifacts of a few bytes, for tests of the cache that need no network."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from vitbench.export.cache import Artifact
from vitbench.export.manifest import (
    InputEntry,
    Manifest,
    ParityEntry,
    TensorEntry,
    digest_of,
    hash_json,
    list_files,
)
from vitbench.records.schema import Counts

KEY = hash_json("tiny")
WEIGHTS = bytes(range(256)) * 16


def manifest(directory: Path, key: str = KEY) -> Manifest:
    """Manifest of whatever lies in a directory."""
    files = list_files(directory)
    return Manifest(
        key=key,
        parts={"what": "tiny"},
        label="tiny:8x8 fp32",
        created_utc="2026-01-01T00:00:00+00:00",
        digest=digest_of(files),
        bytes=sum(entry.bytes for entry in files),
        format="onnx",
        exporter="none",
        opset=20,
        model_file="model/model.onnx",
        files=files,
        inputs=(InputEntry(name="input", dtype="float32", shape=(1, 3, 8, 8)),),
        outputs=(TensorEntry(name="logits", dtype="float32", shape=(1, 5)),),
        precision="fp32",
        formulation={},
        counts=Counts(
            params=1,
            params_deploy=1,
            macs=1,
            macs_attention=0,
            macs_artifact=1,
            bytes_read=4,
            bytes_written=4,
        ),
        parity=ParityEntry(seed=0, runs=16, images=16, reference_file="reference.npz"),
    )


def filler(key: str = KEY, weights: bytes = WEIGHTS) -> Callable[[Path], Manifest]:
    """A builder of tiny artifacts."""

    def fill(directory: Path) -> Manifest:
        (directory / "model").mkdir()
        (directory / "model" / "model.onnx").write_bytes(weights)
        (directory / "reference.npz").write_bytes(b"reference")
        return manifest(directory, key)

    return fill


def files_of(artifact: Artifact) -> list[str]:
    """Every file of an artifact's directory, sorted."""
    return sorted(
        path.relative_to(artifact.path).as_posix() for path in artifact.path.rglob("*") if path.is_file()
    )
