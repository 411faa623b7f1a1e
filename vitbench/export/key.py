"""The address of an artifact: a hash over everything that it depends on."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from importlib.metadata import entry_points
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from vitbench.catalog.builders import BUILDERS
from vitbench.catalog.specs import Workload
from vitbench.export import formats
from vitbench.export.manifest import MANIFEST_VERSION, hash_json
from vitbench.export.sources import python_files, zoo_files

# What an artifact and its manifest are made by, beside the network's own part of the zoo.
SOURCES = ("export", "counting")


def key_parts(
    workload: Workload,
    *,
    target_runtime: str,
    runtime_version: str,
    format_name: str = "onnx",
    formulation: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """Everything that an artifact depends on, as JSON values. Needs no torch.

    Args:
        target_runtime, runtime_version: what the artifact is made for.
        format_name: of the graph.
        formulation: attention kind to formulation; the default ones when None.

    Raises:
        UsageError: a package that writes the format is not installed.
    """
    package = Path(__file__).parents[1]
    builder = workload.model.builder
    third_party = _third_party(builder)
    zoo = zoo_files(package, BUILDERS.get(builder), third_party.values())
    return {
        "manifest": MANIFEST_VERSION,
        "workload": _describe(workload),
        "sources": hash_sources(python_files(package, SOURCES) | zoo),
        "family_sources": hash_sources(third_party) if third_party else None,
        "exporter": formats.describe_exporter(format_name),
        "runtime": {"name": target_runtime, "version": runtime_version},
        "formulation": dict(formulation) if formulation else None,
    }


def _describe(workload: Workload) -> dict[str, Any]:
    """A workload without the place of a graph's file, which may be moved: all it holds is hashed.

    A Python file stays where it is: what it imports may lie beside it.
    """
    described = workload.model_dump(mode="json")
    if workload.model.family == "onnx":
        del described["model"]["hyper"]["path"]
    return described


def make_key(parts: Mapping[str, Any]) -> str:
    """Address of an artifact with these parts: 64 hexadecimal digits."""
    return hash_json(parts)


def hash_sources(files: Mapping[str, Path]) -> str:
    """One hash over the names and contents of source files, whatever their order."""
    return hash_json(
        [[name, hashlib.sha256(path.read_bytes()).hexdigest()] for name, path in sorted(files.items())]
    )


def _third_party(builder: str) -> dict[str, Path]:
    """Files of the package that adds a family; none for a family of our own."""
    if builder in BUILDERS:
        return {}
    for point in entry_points(group="vitbench.families"):
        if point.name != builder:
            continue
        spec = find_spec(point.module.partition(".")[0])  # finding a top-level module imports nothing
        if spec is not None and spec.submodule_search_locations:
            return python_files(Path(spec.submodule_search_locations[0]), [""])
        if spec is not None and spec.origin:
            return {Path(spec.origin).name: Path(spec.origin)}
    return {}
