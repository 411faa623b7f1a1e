"""An ONNX file as an artifact, without an exporter: for tests of what happens on a device."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any, Literal

from vitbench.export.manifest import (
    InputEntry,
    Manifest,
    ParityEntry,
    TensorEntry,
    digest_of,
    list_files,
)
from vitbench.records.schema import Counts

FILE = "model.onnx"


def as_artifact(
    onnx: Path, directory: Path, *, precision: Literal["fp32", "fp16"] = "fp32", **fields: Any
) -> Path:
    """Put a file into an artifact's directory, with a manifest that holds; return its path there.

    Args:
        fields: of the manifest, in place of those of a network with one input and one output.
    """
    place = directory / "model"
    place.mkdir(parents=True)
    shutil.copyfile(onnx, place / FILE)
    files = list_files(directory)
    counts = dict.fromkeys(Counts.model_fields, 1)
    made = {
        "key": "0" * 64,
        "parts": {},
        "label": "test",
        "created_utc": "2026-01-01T00:00:00+00:00",
        "digest": digest_of(files),
        "bytes": sum(entry.bytes for entry in files),
        "format": "onnx",
        "exporter": "none",
        "opset": 18,
        "model_file": f"model/{FILE}",
        "files": files,
        "inputs": (InputEntry(name="input", dtype="float32", shape=(1, 3, 64, 64)),),
        "outputs": (TensorEntry(name="logits", dtype="float32", shape=(1, 16, 1, 1)),),
        "precision": precision,
        "formulation": {},
        "counts": Counts(**counts),
        "parity": ParityEntry(seed=0, runs=1, images=1, reference_file="reference.npz"),
    }
    manifest = Manifest(**{**made, **fields}).sealed()
    (directory / "manifest.json").write_text(manifest.model_dump_json())
    return place / FILE
