"""Train form to the forms that run."""

from __future__ import annotations

import copy

from torch import nn

from vitbench.catalog.specs import Form
from vitbench.zoo.formulation import Formulated
from vitbench.zoo.hooks import hooked


def in_form(module: nn.Module, form: Form) -> nn.Module:
    """A network in train form as the form asked for; the network itself where that is `train`.

    `reparam` has parallel branches merged and nothing else, as the original's own reparameterisation leaves
    it; `deploy` is `to_deploy`.
    """
    if form == "train":
        return module
    if form == "deploy":
        return to_deploy(module)
    merged = copy.deepcopy(module)
    merge_branches(merged)
    return merged


def to_deploy(module: nn.Module) -> nn.Module:
    """Copy a network in inference form: branches merged, norms folded, the fast formulation of everything.

    Modules merge and fold themselves through the methods `merge_` and `fold_`. The value is unchanged: in
    float64 within 1e-9 of the output's largest magnitude. Works on the meta device.
    """
    deployed = copy.deepcopy(module)
    merge_branches(deployed)
    for _, part in hooked(deployed, "fold_"):
        part.fold_()
    for part in deployed.modules():
        if isinstance(part, Formulated):
            part.formulation = part.fast
    return deployed.eval().requires_grad_(False)


def merge_branches(module: nn.Module) -> None:
    """Merge parallel branches, in place: every part that has a method `merge_` does so, outer parts last."""
    for _, part in reversed(hooked(module, "merge_")):
        part.merge_()
    module.eval().requires_grad_(False)
