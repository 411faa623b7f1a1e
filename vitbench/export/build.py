"""Workload to the files of an artifact: weights, reference outputs, graph, counts and manifest."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import numpy as np
import psutil
import torch
from torch import nn

from vitbench import counting, zoo
from vitbench.catalog.specs import Workload
from vitbench.errors import UsageError, VitbenchError
from vitbench.export import foreign, formats, networks
from vitbench.export.built import Built, Job, Writer
from vitbench.export.inputs import SEED, Array, seeded_images
from vitbench.export.manifest import Manifest, ParityEntry, digest_of, list_files
from vitbench.export.memory import refuse_what_does_not_fit
from vitbench.export.normaliser import ZeroImage, build_zero_image
from vitbench.export.reference import Referee, write_reference

SPECIAL_FILE = "zero-normaliser.npy"
# So many images of a batch go through the reference together: its memory does not grow with the batch.
IMAGES_AT_ONCE = 32

OnStage = Callable[[str], None]


@contextmanager
def _one_thread() -> Iterator[None]:
    """Sums come out the same on every machine then, and a busy one does not wait for threads that spin."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


@_one_thread()
def build_artifact(
    workload: Workload,
    directory: Path,
    *,
    key: str,
    parts: Mapping[str, Any],
    format_name: str,
    weights_file: Path | None,
    formulation: Mapping[str, str] | None,
    on_stage: OnStage,
) -> Manifest:
    """Write an artifact's files into an empty directory.

    Args:
        key, parts: its address and what that is made of.
        format_name: of the graph, one of `formats.FORMATS`.
        weights_file: checkpoint of the original authors, for a workload whose weights are `sha256:...`.
        formulation: attention kind to formulation, for those that shall not be the default one.

    Returns:
        The manifest, not written yet.

    Raises:
        UsageError: weights that do not fit, or a formulation that the network does not have.
        ToolError: the exporter failed.
        VitbenchError: the reference is not finite, or the two counters disagree.
    """
    on_stage(f"building {workload.model.name}")
    counts = counting.count_model(workload.model, workload.batch)
    refuse_what_does_not_fit(workload, counts, psutil.virtual_memory().available)
    if workload.model.builder == foreign.BUILDER:
        foreign.check_asked(workload, format_name, formulation)
        built = foreign.place_given(workload, counts, directory, format_name)
    else:
        write = formats.writer(format_name)
        built = _build(workload, counts, directory, weights_file, formulation, write, on_stage)
    files = list_files(directory)
    model_files = [entry for entry in files if entry.name.startswith("model/")]
    return Manifest(
        key=key,
        parts=dict(parts),
        label=f"{workload.label} {workload.precision}",
        created_utc=datetime.now(UTC).isoformat(timespec="seconds"),
        digest=digest_of(model_files),
        bytes=sum(entry.bytes for entry in model_files),
        format=format_name,
        model_file=formats.model_file(format_name),
        files=files,
        precision=workload.precision,
        **vars(built),
    )


def _build(
    workload: Workload,
    counts: counting.ModelCounts,
    directory: Path,
    weights_file: Path | None,
    formulation: Mapping[str, str] | None,
    write: Writer,
    on_stage: OnStage,
) -> Built:
    """Write the reference outputs of a network and its graph; its train form is let go in between."""
    if formulation:
        networks.check_formulation(workload, formulation)
    network = networks.make_reference(workload, weights_file)
    images = seeded_images(counts.macs // workload.batch)
    parity_entry = _write_reference(network, workload, images, directory, on_stage)
    network = networks.make_running(network, workload, formulation)
    job = Job(workload, counts, network, weights_file, formulation, directory, on_stage)
    return Built(**vars(write(job)), formulation=zoo.formulations(network), parity=parity_entry)


def _write_reference(
    reference: nn.Module, workload: Workload, images: int, directory: Path, on_stage: OnStage
) -> ParityEntry:
    """Write what fp32 PyTorch in train form makes of the inputs of the comparison."""
    names = cast("tuple[str, ...]", reference.output_names)

    # What comes from elsewhere may do anything with its batch; the zoo's networks see each image alone.
    at_once = workload.batch if workload.model.from_elsewhere else IMAGES_AT_ONCE

    def compute(made: Mapping[str, Array]) -> dict[str, Array]:
        inputs = [torch.from_numpy(values) for values in made.values()]
        with torch.inference_mode():
            parts = [
                _tuple(reference(*(each[first : first + at_once] for each in inputs)))
                for first in range(0, workload.batch, at_once)
            ]
        return {name: torch.cat([part[place] for part in parts]).numpy() for place, name in enumerate(names)}

    zero = _zero_image(reference, workload, on_stage)
    on_stage(f"computing the reference outputs of {workload.label}")
    error = UsageError if workload.model.own_weights else VitbenchError
    referee = Referee("pytorch", "fp32 PyTorch", compute, error)
    special = zero.image if zero is not None else None
    entry = write_reference(referee, workload.inputs, workload.batch, images, directory, special)
    if zero is None:
        return entry
    np.save(directory / SPECIAL_FILE, zero.image, allow_pickle=False)
    return entry.model_copy(
        update={
            "special_file": SPECIAL_FILE,
            "normaliser_module": zero.module,
            "normaliser_min": zero.normaliser_min,
        }
    )


def _zero_image(reference: nn.Module, workload: Workload, on_stage: OnStage) -> ZeroImage | None:
    """The image that drives a normaliser to zero; None for a network whose one input is no map."""
    if len(workload.inputs) != 1 or not workload.inputs[0].is_map:
        return None
    channels, height, width = workload.inputs[0].shape[1:]
    on_stage(f"looking for an image that drives a normaliser of {workload.model.name} to zero")
    return build_zero_image(reference, (channels, height, width), workload.model.stride, SEED)


def _tuple(outputs: Any) -> tuple[torch.Tensor, ...]:
    return (outputs,) if isinstance(outputs, torch.Tensor) else tuple(outputs)
