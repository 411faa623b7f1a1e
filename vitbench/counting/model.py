"""Count a model of the catalog without building it in memory."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path

import numpy as np
import torch
from torch import nn

from vitbench import zoo
from vitbench.catalog.specs import ModelSpec
from vitbench.counting.errors import told_to_users
from vitbench.counting.graph import count_onnx
from vitbench.counting.module import ModuleCounts, count_module
from vitbench.errors import UsageError
from vitbench.zoo.deploy import in_form, to_deploy
from vitbench.zoo.hooks import hooked

ADDRESSABLE_BYTES = 2**46


@dataclass(frozen=True)
class ModelCounts:
    """Exact counts of one inference.

    `params`, `macs`, `macs_attention` are of the reference architecture (train form, textbook formulation);
    `params_deploy` of the inference form. `macs_artifact`, `bytes_read`, `bytes_written` and
    `peak_activation_bytes` are of the form that runs, in the formulation `formulation`.
    `peak_reference_bytes` is the most that activations of the train form hold, `before_normaliser_bytes` what
    all of them take together up to the first part with a normaliser; 0 where there is none.
    """

    params: int
    params_deploy: int
    macs: int
    macs_attention: int
    macs_artifact: int
    bytes_read: int
    bytes_written: int
    peak_activation_bytes: int
    peak_reference_bytes: int
    before_normaliser_bytes: int
    formulation: dict[str, str]


def count_model(spec: ModelSpec, batch: int = 1) -> ModelCounts:
    """Count a model at its resolution; takes no memory for weights or activations.

    Args:
        batch: images in one inference.

    Raises:
        UsageError: the resolution is so large that its tensors cannot be addressed.
        UnsupportedOperators: the model dispatches an operator without a known cost.
    """
    with told_to_users(spec):
        return _count_graph(spec) if spec.family == "onnx" else _count_network(spec, batch)


def _count_network(spec: ModelSpec, batch: int) -> ModelCounts:
    """Counts of a network, built on the meta device."""
    with torch.device("meta"):
        reference = zoo.create(spec)
    deployed = to_deploy(reference)
    running = deployed if spec.form == "deploy" else in_form(reference, spec.form)
    textbook = _count(reference, spec, batch)
    artifact = _count(running, spec, batch, folded=True)
    return ModelCounts(
        params=textbook.params,
        params_deploy=sum(parameter.numel() for parameter in deployed.parameters()),
        macs=textbook.macs,
        macs_attention=textbook.macs_attention,
        macs_artifact=artifact.macs,
        bytes_read=artifact.bytes_read,
        bytes_written=artifact.bytes_written,
        peak_activation_bytes=artifact.peak_activation_bytes,
        peak_reference_bytes=textbook.peak_activation_bytes,
        before_normaliser_bytes=_before_normaliser(reference, textbook),
        formulation=zoo.formulations(running),
    )


def count_macs(spec: ModelSpec, batch: int = 1) -> int:
    """MACs of the reference architecture alone, as `count_model` has them, in a fraction of its time.

    Raises:
        UsageError, UnsupportedOperators: as `count_model`.
    """
    with told_to_users(spec):
        if spec.family == "onnx":
            return _count_graph(spec).macs
        with torch.device("meta"):
            reference = zoo.create(spec)
        return _count(reference, spec, batch).macs


def _before_normaliser(module: nn.Module, counts: ModuleCounts) -> int:
    """Bytes of all activations up to the first part that has a method `normaliser`."""
    found = hooked(module, "normaliser")
    if not found:
        return 0
    first, _ = found[0]
    before = takewhile(lambda layer: not f"{layer.name}.".startswith(f"{first}."), counts.layers)
    return sum(layer.bytes_written for layer in before)


def _count_graph(spec: ModelSpec) -> ModelCounts:
    """Counts of a graph from a file, which has one form and one batch; its peak is not known: 0."""
    counts = count_onnx(Path(spec.hyper["path"]))
    return ModelCounts(
        params=counts.params,
        params_deploy=counts.params,
        macs=counts.macs,
        macs_attention=counts.macs_attention,
        macs_artifact=counts.macs,
        bytes_read=counts.bytes_read,
        bytes_written=counts.bytes_written,
        peak_activation_bytes=0,
        peak_reference_bytes=0,
        before_normaliser_bytes=0,
        formulation={},
    )


def _count(module: nn.Module, spec: ModelSpec, batch: int, *, folded: bool = False) -> ModuleCounts:
    """Count, with sizes beyond 64 bits as a plain refusal."""
    inputs = spec.batched_inputs(batch)
    height, width = spec.resolution
    input_bytes = sum(math.prod(each.shape) * np.dtype(each.dtype).itemsize for each in inputs)
    too_large = UsageError(
        f"{spec.name} at {height}x{width} with batch {batch} is too large to address: "
        f"its input alone is {input_bytes / 2**30:.3g} GiB",
        "give a smaller --resolution or --batch",
    )
    if input_bytes > ADDRESSABLE_BYTES:
        raise too_large
    try:
        return count_module(module, inputs, folded=folded)
    except RuntimeError as error:
        if "overflow" in str(error):
            raise too_large from error
        raise
