"""Workload to the files of an artifact: weights, reference outputs, graph, counts and manifest."""

from __future__ import annotations

import time
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, cast

import numpy as np
import onnx
import psutil
import torch
from numpy.typing import NDArray
from torch import nn

from vitbench import counting, zoo
from vitbench.catalog.specs import Workload
from vitbench.errors import UsageError, VitbenchError
from vitbench.export.inputs import SEED, made_inputs, run_count, seeded_images
from vitbench.export.key import EXPORTER, OPSET
from vitbench.export.manifest import (
    InputEntry,
    Manifest,
    ParityEntry,
    TensorEntry,
    digest_of,
    hash_file,
    list_files,
)
from vitbench.export.memory import refuse_what_does_not_fit
from vitbench.export.normaliser import ZeroImage, build_zero_image
from vitbench.export.onnx import export_onnx, shape_of
from vitbench.records.schema import Counts
from vitbench.zoo.deploy import in_form
from vitbench.zoo.init import seed_weights
from vitbench.zoo.weights import load_reference_state_dict, read_checkpoint

# What runs stands in a directory of its own, which is what travels to a device.
MODEL_FILE = "model/model.onnx"
REFERENCE_FILE = "reference.npz"
SPECIAL_FILE = "zero-normaliser.npy"
# PyTorch and the exporter each make a copy of some view that the other does without.
TRAFFIC_TOLERANCE = 0.05
_DTYPES = {"fp32": torch.float32, "fp16": torch.float16}

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
    weights_file: Path | None,
    formulation: Mapping[str, str] | None,
    on_stage: OnStage,
) -> Manifest:
    """Write an artifact's files into an empty directory.

    Args:
        key, parts: its address and what that is made of.
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
    reference = zoo.create(workload.model)
    _fill(reference, workload, weights_file)
    running = in_form(reference, workload.model.form)
    if formulation:
        zoo.set_formulation(running, formulation)
    formulations = zoo.formulations(running)

    images = seeded_images(counts.macs // workload.batch)
    parity_entry = _write_reference(reference, workload, images, directory, on_stage)

    on_stage(f"exporting {workload.label} to ONNX")
    path = directory / MODEL_FILE
    path.parent.mkdir()
    dtype = _DTYPES[workload.precision]
    begun = time.monotonic()
    graph = export_onnx(running.to(dtype), workload.inputs, path, dtype=dtype)
    export_s = time.monotonic() - begun

    on_stage(f"counting {workload.label}")
    counted = _count(workload, counts, running, path)

    files = list_files(directory)
    model_files = [entry for entry in files if entry.name.startswith("model/")]
    return Manifest(
        key=key,
        parts=dict(parts),
        label=f"{workload.label} {workload.precision}",
        created_utc=datetime.now(UTC).isoformat(timespec="seconds"),
        digest=digest_of(model_files),
        bytes=sum(entry.bytes for entry in model_files),
        format="onnx",
        exporter=f"torch {torch.__version__} {EXPORTER}, onnxscript {version('onnxscript')}",
        opset=OPSET,
        model_file=MODEL_FILE,
        files=files,
        inputs=tuple(
            InputEntry(**dict(_describe(tensor)), values=made.values)
            for tensor, made in zip(graph.graph.input, workload.inputs, strict=True)
        ),
        outputs=tuple(_describe(tensor) for tensor in graph.graph.output),
        precision=workload.precision,
        formulation=formulations,
        counts=counted,
        parity=parity_entry,
        nodes=len(graph.graph.node),
        export_s=round(export_s, 3),
    )


def _fill(network: nn.Module, workload: Workload, weights_file: Path | None) -> None:
    """Give a network its weights: its own, seeded, or those of a checkpoint that is still what was hashed."""
    origin, _, value = workload.weights.partition(":")
    if origin == "own":
        return
    if origin == "seeded" and value.isdecimal():
        seed_weights(network, int(value))
        return
    if weights_file is None:
        raise UsageError(f"weights '{workload.weights}' need their file", "name it with --weights FILE")
    mapping = read_checkpoint(weights_file)
    if hash_file(weights_file) != value:
        raise UsageError(f"weights file {weights_file} changed while it was read", "run the command again")
    load_reference_state_dict(network, mapping)


def _write_reference(
    reference: nn.Module, workload: Workload, images: int, directory: Path, on_stage: OnStage
) -> ParityEntry:
    """Write what fp32 PyTorch in train form makes of the inputs of the comparison, one after the other."""
    zero = _zero_image(reference, workload, on_stage)
    if zero is not None:
        np.save(directory / SPECIAL_FILE, zero.image, allow_pickle=False)
    special, place = (zero.image, images) if zero is not None else (None, None)
    runs = run_count(images + (zero is not None), workload.batch)
    on_stage(f"computing {runs} reference outputs of {workload.label}")
    names = cast("tuple[str, ...]", reference.output_names)
    with zipfile.ZipFile(directory / REFERENCE_FILE, "w") as archive, torch.inference_mode():
        for number, made in enumerate(made_inputs(workload.inputs, runs, SEED, special, place)):
            outputs = reference(*(torch.from_numpy(values) for values in made.values()))
            for name, output in zip(names, _tuple(outputs), strict=True):
                _add_array(archive, f"{name}.{number}", output.numpy())
    return ParityEntry(
        seed=SEED,
        runs=runs,
        images=runs * workload.batch,
        reference_file=REFERENCE_FILE,
        special_file=SPECIAL_FILE if zero is not None else None,
        special_index=place,
        normaliser_module=zero.module if zero is not None else None,
        normaliser_min=zero.normaliser_min if zero is not None else None,
    )


def _zero_image(reference: nn.Module, workload: Workload, on_stage: OnStage) -> ZeroImage | None:
    """The image that drives a normaliser to zero; None for a network whose one input is no image."""
    if len(workload.inputs) != 1 or not workload.inputs[0].is_image:
        return None
    height, width = workload.inputs[0].shape[2:]
    on_stage(f"looking for an image that drives a normaliser of {workload.model.name} to zero")
    return build_zero_image(reference, (height, width), workload.model.stride, SEED)


def _tuple(outputs: Any) -> tuple[torch.Tensor, ...]:
    return (outputs,) if isinstance(outputs, torch.Tensor) else tuple(outputs)


def _add_array(archive: zipfile.ZipFile, name: str, values: NDArray[Any]) -> None:
    """Add one array to an .npz that is being written; the same arrays give the same bytes."""
    if not np.isfinite(values).all():
        raise VitbenchError(f"reference output '{name}' of fp32 PyTorch is not finite")
    with archive.open(zipfile.ZipInfo(f"{name}.npy"), "w", force_zip64=True) as file:
        np.lib.format.write_array(file, values, allow_pickle=False)


def _count(workload: Workload, model: counting.ModelCounts, running: nn.Module, path: Path) -> Counts:
    """Counts of the model and of what runs; the module and its graph are counted apart and must agree.

    Raises:
        VitbenchError: they do not.
    """
    module = counting.count_module(running, workload.inputs, folded=True)
    graph = counting.count_onnx(path)
    for what in ("macs", "macs_attention"):
        first, second = getattr(module, what), getattr(graph, what)
        if first != second:
            raise VitbenchError(
                f"the counters disagree on {what} of {workload.label}: "
                f"{first:,} in the module, {second:,} in the exported graph"
            )
    for what in ("bytes_read", "bytes_written"):
        first, second = getattr(module, what), getattr(graph, what)
        if abs(second - first) > TRAFFIC_TOLERANCE * first:
            raise VitbenchError(
                f"the counters disagree on {what} of {workload.label} by more than {TRAFFIC_TOLERANCE:.0%}: "
                f"{first:,} in the module, {second:,} in the exported graph"
            )
    return Counts(
        params=model.params,
        params_deploy=model.params_deploy,
        macs=model.macs,
        macs_attention=model.macs_attention,
        macs_artifact=graph.macs,
        bytes_read=module.bytes_read,
        bytes_written=module.bytes_written,
    )


def _describe(tensor: onnx.ValueInfoProto) -> TensorEntry:
    dtype = onnx.helper.tensor_dtype_to_np_dtype(tensor.type.tensor_type.elem_type)
    return TensorEntry(name=tensor.name, dtype=dtype.name, shape=shape_of(tensor))
