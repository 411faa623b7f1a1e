"""Workload to the files of an artifact: weights, reference outputs, graph, counts and manifest."""

from __future__ import annotations

import time
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
from torch import nn

from vitbench import counting, zoo
from vitbench.catalog.specs import Workload
from vitbench.errors import UsageError, VitbenchError
from vitbench.export import foreign
from vitbench.export.built import MODEL_FILE, Built
from vitbench.export.inputs import SEED, Array, seeded_images
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
from vitbench.export.reference import Referee, write_reference
from vitbench.records.schema import Counts
from vitbench.zoo.deploy import in_form
from vitbench.zoo.init import seed_weights
from vitbench.zoo.weights import load_reference_state_dict, read_checkpoint

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
    if workload.model.builder == foreign.BUILDER:
        if formulation:
            raise UsageError(f"{workload.model.name} can be computed in one way only", "name no formulation")
        built = foreign.place_given(workload, counts, directory)
    else:
        built = _build(workload, counts, directory, weights_file, formulation, on_stage)
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
        model_file=MODEL_FILE,
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
    on_stage: OnStage,
) -> Built:
    """Write the reference outputs of a network and its graph; its train form is let go in between."""
    if formulation:
        _check_formulation(workload, formulation)
    network = zoo.create(workload.model)
    _fill(network, workload, weights_file)
    images = seeded_images(counts.macs // workload.batch)
    parity_entry = _write_reference(network, workload, images, directory, on_stage)
    network = in_form(network, workload.model.form)
    if formulation:
        zoo.set_formulation(network, formulation)

    on_stage(f"exporting {workload.label} to ONNX")
    path = directory / MODEL_FILE
    path.parent.mkdir()
    dtype = _DTYPES[workload.precision]
    begun = time.monotonic()
    graph = export_onnx(network.to(dtype), workload.inputs, path, dtype=dtype).graph
    export_s = time.monotonic() - begun

    on_stage(f"counting {workload.label}")
    return Built(
        exporter=f"torch {torch.__version__} {EXPORTER}, onnxscript {version('onnxscript')}",
        opset=OPSET,
        inputs=tuple(
            InputEntry(**dict(_describe(tensor)), values=made.values)
            for tensor, made in zip(graph.input, workload.inputs, strict=True)
        ),
        outputs=tuple(_describe(tensor) for tensor in graph.output),
        formulation=zoo.formulations(network),
        counts=_count(workload, counts, network, path),
        parity=parity_entry,
        nodes=len(graph.node),
        export_s=round(export_s, 3),
    )


def _check_formulation(workload: Workload, formulation: Mapping[str, str]) -> None:
    """Refuse a formulation that the network does not have before minutes go into the reference outputs."""
    with torch.device("meta"):
        zoo.set_formulation(zoo.create(workload.model), formulation)


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
    load_reference_state_dict(network, mapping, keep_branches=workload.model.form == "train")


def _write_reference(
    reference: nn.Module, workload: Workload, images: int, directory: Path, on_stage: OnStage
) -> ParityEntry:
    """Write what fp32 PyTorch in train form makes of the inputs of the comparison."""
    names = cast("tuple[str, ...]", reference.output_names)

    def compute(made: Mapping[str, Array]) -> dict[str, Array]:
        with torch.inference_mode():
            outputs = reference(*(torch.from_numpy(values) for values in made.values()))
        return {name: each.numpy() for name, each in zip(names, _tuple(outputs), strict=True)}

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


def _count(workload: Workload, model: counting.ModelCounts, running: nn.Module, path: Path) -> Counts:
    """Counts of the model and of what runs; the module and its graph are counted apart and must agree.

    Their MACs are equal, and their traffic is within 5 %. A network from elsewhere may use anything, much of
    which the exporter writes as several operators: its traffic is that of the graph.

    Raises:
        UsageError: a network from elsewhere computes what it does not return.
        UnsupportedOperators: the graph has an operator without a known cost.
        VitbenchError: they do not agree for another reason.
    """
    module = counting.count_module(running, workload.inputs, folded=True)
    with counting.told_to_users(workload.model):
        graph = counting.count_onnx(path)
    elsewhere = workload.model.from_elsewhere
    for what in ("macs", "macs_attention", *(() if elsewhere else ("bytes_read", "bytes_written"))):
        tolerance = TRAFFIC_TOLERANCE if what.startswith("bytes") else 0
        first, second = getattr(module, what), getattr(graph, what)
        if abs(second - first) > tolerance * first:
            by = f" by more than {tolerance:.0%}" if tolerance else ""
            disagreement = (
                f"the counters disagree on {what} of {workload.label}{by}: "
                f"{first:,} in the module, {second:,} in the exported graph"
            )
            if elsewhere and second < first:
                raise UsageError(
                    disagreement,
                    "the graph leaves out what no output depends on: return it, or do not compute it",
                )
            raise VitbenchError(disagreement)
    return Counts(
        params=model.params,
        params_deploy=model.params_deploy,
        macs=model.macs,
        macs_attention=model.macs_attention,
        macs_artifact=graph.macs,
        bytes_read=graph.bytes_read if elsewhere else module.bytes_read,
        bytes_written=graph.bytes_written if elsewhere else module.bytes_written,
    )


def _describe(tensor: onnx.ValueInfoProto) -> TensorEntry:
    dtype = onnx.helper.tensor_dtype_to_np_dtype(tensor.type.tensor_type.elem_type)
    return TensorEntry(name=tensor.name, dtype=dtype.name, shape=shape_of(tensor))
