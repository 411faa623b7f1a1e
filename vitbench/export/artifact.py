"""Workload to artifact: out of the cache where it is there, built where it is not."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from vitbench.catalog.specs import Workload
from vitbench.export.cache import Artifact, ArtifactCache, OnStage
from vitbench.export.key import key_parts, make_key
from vitbench.export.manifest import Manifest


def get_artifact(
    workload: Workload,
    cache: ArtifactCache,
    *,
    target_runtime: str,
    runtime_version: str,
    format_name: str = "onnx",
    weights_file: Path | None = None,
    formulation: Mapping[str, str] | None = None,
    on_stage: OnStage | None = None,
) -> Artifact:
    """The artifact of a workload for one runtime. Taking one out of the cache imports neither torch nor onnx.

    Args:
        cache: where it is looked for and kept; `ArtifactCache().throwaway()` for one that nobody shall keep.
        target_runtime, runtime_version: what will run it.
        format_name: of its graph.
        weights_file: checkpoint of the original authors, where `workload.weights` is its hash.
        formulation: attention kind to formulation; the default ones when None.
        on_stage: told what is happening whenever it may take long, and when a damaged entry is rebuilt.

    Raises:
        UsageError: weights that do not fit, or a cache that cannot be written.
        ToolError: the exporter failed.
        VitbenchError: the two counters disagree.
    """
    tell = on_stage or (lambda stage: None)
    parts = key_parts(
        workload,
        target_runtime=target_runtime,
        runtime_version=runtime_version,
        format_name=format_name,
        formulation=formulation,
    )
    key = make_key(parts)

    def fill(directory: Path) -> Manifest:
        from vitbench.export.build import build_artifact

        return build_artifact(
            workload,
            directory,
            key=key,
            parts=parts,
            format_name=format_name,
            weights_file=weights_file,
            formulation=formulation,
            on_stage=tell,
        )

    return cache.get_or_build(key, fill, tell)
