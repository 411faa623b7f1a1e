"""Workload to a network with its weights, in the form that runs."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import nn

from vitbench import zoo
from vitbench.catalog.specs import Workload
from vitbench.errors import UsageError
from vitbench.export.manifest import hash_file
from vitbench.zoo.deploy import in_form
from vitbench.zoo.init import seed_weights
from vitbench.zoo.weights import load_reference_state_dict, read_checkpoint


def make_reference(workload: Workload, weights_file: Path | None) -> nn.Module:
    """The network of a workload in train form, in eval mode, with its weights.

    Args:
        weights_file: checkpoint of the original authors, for a workload whose weights are `sha256:...`.

    Raises:
        UsageError: weights that are missing, changed or do not fit.
    """
    network = zoo.create(workload.model)
    _fill(network, workload, weights_file)
    return network


def make_running(
    reference: nn.Module, workload: Workload, formulation: Mapping[str, str] | None
) -> nn.Module:
    """The network in the form that runs. The one that is given may be changed, and is not to be used again.

    Args:
        formulation: attention kind to formulation, for those that shall not be the default one.
    """
    network = in_form(reference, workload.model.form)
    if formulation:
        zoo.set_formulation(network, formulation)
    return network


def check_formulation(workload: Workload, formulation: Mapping[str, str]) -> None:
    """Refuse a formulation that the network does not have, before minutes go into anything.

    Raises:
        UsageError: the network does not have it.
    """
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
