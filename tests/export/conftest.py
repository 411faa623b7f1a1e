from pathlib import Path
from typing import Any

import pytest

from vitbench import catalog
from vitbench.catalog import Workload
from vitbench.export import Artifact, ArtifactCache, get_artifact

RUNTIME = {"target_runtime": "onnxruntime", "runtime_version": "1.0"}


class Silent:
    """Progress that tells nobody."""

    def stage(self, cell: str, text: str) -> None: ...
    def measuring(self, cell: str, progress: Any) -> None: ...
    def note(self, text: str) -> None: ...


@pytest.fixture(scope="session")
def b0_workload() -> Workload:
    return Workload(model=catalog.resolve_model("effvit-b0"))


@pytest.fixture(scope="session")
def b0_cache(tmp_path_factory: pytest.TempPathFactory) -> ArtifactCache:
    return ArtifactCache(tmp_path_factory.mktemp("b0") / "cache")


@pytest.fixture(scope="session")
def b0_stages() -> list[str]:
    """What was said while `b0` was built."""
    return []


@pytest.fixture(scope="session")
def b0(b0_workload: Workload, b0_cache: ArtifactCache, b0_stages: list[str]) -> Artifact:
    """EfficientViT-B0 at 224x224, built in this process."""
    return get_artifact(b0_workload, b0_cache, on_stage=b0_stages.append, **RUNTIME)


@pytest.fixture(scope="session")
def repository() -> Path:
    return Path(__file__).parents[2]
