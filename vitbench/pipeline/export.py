"""Build and check an artifact without measuring it."""

from __future__ import annotations

import shutil
import tempfile
from contextlib import ExitStack
from pathlib import Path

from vitbench import runtime, transport
from vitbench.errors import UsageError
from vitbench.export import Artifact, ArtifactCache, parity
from vitbench.pipeline.device import CHECKING, Device, build_artifact
from vitbench.pipeline.progress import Progress
from vitbench.records.schema import Parity
from vitbench.request import Request


def export(request: Request, output: Path | None, progress: Progress) -> tuple[Artifact, Parity, Path]:
    """Build and check the artifact of the one cell of a request, without measuring it.

    Args:
        output: directory to copy the files that run to; they stay in the cache only when None.

    Returns:
        The artifact, how near PyTorch it comes, and where its model file is.

    Raises:
        UsageError: the target runs no network, or the files cannot be written there.
    """
    (cell,) = request.cells
    engine = runtime.for_target(cell.target)
    if engine.artifact_format is None:
        raise UsageError(f"target '{cell.target.name}' runs no network, so there is nothing to export")
    cache = ArtifactCache()
    cache = cache.throwaway() if request.no_cache else cache
    artifact = build_artifact(cell.workload, engine, None, cache, request.weights_file, cell.label, progress)
    progress.stage(cell.label, CHECKING)
    with ExitStack() as stack:
        here = engine.host_checker(artifact.model_file)
        if here is not None:
            checked = parity.check(artifact, stack.enter_context(here))
            told = engine.checked_here_by or engine.checked_by
            checked = checked.model_copy(update={"reason": told}) if told and checked.passed else checked
        else:
            link = stack.enter_context(transport.open(cell.target))
            scratch = stack.enter_context(tempfile.TemporaryDirectory(prefix="vitbench-"))
            device = Device(cell, request, link, engine, artifact, Path(scratch), {})
            checked = parity.check(artifact, stack.enter_context(device.session(0)))
    return artifact, checked, _copy(artifact.model_file, output) if output else artifact.model_file


def _copy(model_file: Path, output: Path) -> Path:
    """Copy a model file and what lies beside it."""
    try:
        shutil.copytree(model_file.parent, output, dirs_exist_ok=True)
    except (OSError, shutil.Error) as error:
        raise UsageError(
            f"cannot write to {output}: {error}", "choose another directory with --output"
        ) from error
    return output / model_file.name
