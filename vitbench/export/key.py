"""The address of an artifact: a hash over everything that it depends on."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from importlib.metadata import entry_points, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from vitbench.catalog.specs import Workload
from vitbench.export.manifest import MANIFEST_VERSION, hash_json

# The first with Gelu as one operator: written out in eight, EfficientViT-L1 takes a fifth longer.
OPSET = 20
EXPORTER = "dynamo"
PACKAGES = ("torch", "onnx", "onnx-ir", "onnxscript", "numpy")
# What an artifact and its manifest are made by; nothing else in the package can change them.
SOURCES = ("zoo", "export", "counting")


def key_parts(
    workload: Workload,
    *,
    target_runtime: str,
    runtime_version: str,
    formulation: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """Everything that an artifact depends on, as JSON values. Needs no torch.

    Args:
        target_runtime, runtime_version: what the artifact is made for.
        formulation: attention kind to formulation; the default ones when None.
    """
    return {
        "manifest": MANIFEST_VERSION,
        "workload": workload.model_dump(mode="json"),
        "sources": hash_sources(source_files(Path(__file__).parents[1], SOURCES)),
        "family_sources": _hash_third_party(workload.model.builder),
        "exporter": {"name": EXPORTER, "opset": OPSET} | {name: version(name) for name in PACKAGES},
        "runtime": {"name": target_runtime, "version": runtime_version},
        "formulation": dict(formulation) if formulation else None,
    }


def make_key(parts: Mapping[str, Any]) -> str:
    """Address of an artifact with these parts: 64 hexadecimal digits."""
    return hash_json(parts)


def source_files(package: Path, folders: Iterable[str]) -> dict[str, Path]:
    """Python files of some folders of a package, by their path inside it."""
    return {
        path.relative_to(package).as_posix(): path
        for folder in folders
        for path in (package / folder).rglob("*.py")
    }


def hash_sources(files: Mapping[str, Path]) -> str:
    """One hash over the names and contents of source files, whatever their order."""
    return hash_json(
        [[name, hashlib.sha256(path.read_bytes()).hexdigest()] for name, path in sorted(files.items())]
    )


def _hash_third_party(builder: str) -> str | None:
    """Hash of the package that adds a family, or None for a family of our own."""
    for point in entry_points(group="vitbench.families"):
        if point.name != builder:
            continue
        spec = find_spec(point.module.partition(".")[0])  # finding a top-level module imports nothing
        if spec is None or spec.origin is None:
            return point.value
        origin = Path(spec.origin)
        package = origin.parent if spec.submodule_search_locations else None
        return hash_sources(source_files(package, [""]) if package else {origin.name: origin})
    return None
