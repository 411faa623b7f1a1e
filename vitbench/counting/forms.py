"""Counts of the forms of a network that no inference needs, but that references state."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from vitbench import zoo
from vitbench.catalog.specs import ModelSpec
from vitbench.counting.module import count_module
from vitbench.zoo.deploy import in_form, to_deploy


@dataclass(frozen=True)
class FormCounts:
    """Exact counts of one inference.

    `params_reparam` is of the form with parallel branches merged and nothing folded, None in a family without
    it; `macs_deploy` is of the inference form in the textbook formulation.
    """

    params_reparam: int | None
    macs_deploy: int


def count_forms(spec: ModelSpec, *, reparam: bool) -> FormCounts:
    """Count the other forms of a model; takes no memory for weights or activations.

    Args:
        reparam: whether the family has the form of that name.
    """
    with torch.device("meta"):
        reference = zoo.create(spec)
    deployed = to_deploy(reference)
    zoo.set_formulation(deployed, zoo.textbook(deployed))
    merged = in_form(reference, "reparam").parameters() if reparam else None
    return FormCounts(
        params_reparam=sum(parameter.numel() for parameter in merged) if merged else None,
        macs_deploy=count_module(deployed, spec.batched_inputs()).macs,
    )
