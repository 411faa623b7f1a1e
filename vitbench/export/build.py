"""Workload to the files of an artifact: weights, reference outputs, graph, counts and manifest."""

from __future__ import annotations

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
from vitbench.export import parity
from vitbench.export.key import EXPORTER, OPSET
from vitbench.export.manifest import (
    Manifest,
    ParityEntry,
    TensorEntry,
    digest_of,
    hash_file,
    list_files,
)
from vitbench.export.memory import refuse_what_does_not_fit
from vitbench.export.normaliser import build_zero_image
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
    with _one_thread():
        return _build(workload, directory, key, parts, weights_file, formulation, on_stage)


@contextmanager
def _one_thread() -> Iterator[None]:
    """Sums come out the same on every machine then, and a busy one does not wait for threads that spin."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _build(
    workload: Workload,
    directory: Path,
    key: str,
    parts: Mapping[str, Any],
    weights_file: Path | None,
    formulation: Mapping[str, str] | None,
    on_stage: OnStage,
) -> Manifest:
    on_stage(f"building {workload.model.name}")
    counts = counting.count_model(workload.model, workload.batch)
    refuse_what_does_not_fit(workload, counts, psutil.virtual_memory().available)
    reference = zoo.create(workload.model)
    _fill(reference, workload, weights_file)
    running = in_form(reference, workload.model.form)
    if formulation:
        zoo.set_formulation(running, formulation)
    formulations = zoo.formulations(running)

    parity_entry = _write_reference(reference, workload, directory, on_stage)

    on_stage(f"exporting {workload.label} to ONNX")
    path = directory / MODEL_FILE
    path.parent.mkdir()
    dtype = _DTYPES[workload.precision]
    graph = export_onnx(running.to(dtype), workload.input_shape, path, dtype=dtype)

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
        inputs=tuple(_describe(tensor) for tensor in graph.graph.input),
        outputs=tuple(_describe(tensor) for tensor in graph.graph.output),
        precision=workload.precision,
        formulation=formulations,
        counts=counted,
        parity=parity_entry,
    )


def _fill(network: nn.Module, workload: Workload, weights_file: Path | None) -> None:
    """Give a network its weights: seeded, or those of a checkpoint that is still what was hashed."""
    origin, _, value = workload.weights.partition(":")
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
    reference: nn.Module, workload: Workload, directory: Path, on_stage: OnStage
) -> ParityEntry:
    """Write what fp32 PyTorch in train form makes of the inputs of the comparison, one after the other."""
    on_stage(f"looking for an image that drives a normaliser of {workload.model.name} to zero")
    zero = build_zero_image(reference, workload.model.resolution, workload.model.stride, parity.SEED)
    if zero is not None:
        np.save(directory / SPECIAL_FILE, zero.image, allow_pickle=False)
    special = zero.image if zero is not None else None
    count = parity.input_count(workload.batch, special is not None)
    on_stage(f"computing {count} reference outputs of {workload.label}")
    names = cast("tuple[str, ...]", reference.output_names)
    with zipfile.ZipFile(directory / REFERENCE_FILE, "w") as archive, torch.inference_mode():
        for number, values in enumerate(parity.parity_inputs(workload.input_shape, parity.SEED, special)):
            outputs = reference(torch.from_numpy(values))
            for name, output in zip(names, _tuple(outputs), strict=True):
                _add_array(archive, f"{name}.{number}", output.numpy())
    return ParityEntry(
        seed=parity.SEED,
        images=count * workload.batch,
        reference_file=REFERENCE_FILE,
        special_file=SPECIAL_FILE if zero is not None else None,
        special_index=parity.SEEDED_IMAGES if zero is not None else None,
        normaliser_module=zero.module if zero is not None else None,
        normaliser_min=zero.normaliser_min if zero is not None else None,
    )


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
    module = counting.count_module(running, workload.input_shape)
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
