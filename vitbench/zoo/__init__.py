"""The networks: modules and nothing else."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import nullcontext
from importlib import import_module
from importlib.metadata import entry_points
from typing import Any

import torch
from torch import nn
from torch.overrides import TorchFunctionMode

from vitbench.catalog.builders import BUILDERS
from vitbench.catalog.specs import ModelSpec
from vitbench.errors import UsageError
from vitbench.zoo.formulation import Formulated

Builder = Callable[[ModelSpec], nn.Module]


def builder_names() -> list[str]:
    """Names of the built-in builders, and of those of the entry-point group `vitbench.families`."""
    return sorted({*BUILDERS, *(point.name for point in entry_points(group="vitbench.families"))})


def find_builder(name: str) -> Builder | None:
    """The builder of a name, a built-in one first; None where there is none."""
    if name in BUILDERS:
        builder: Builder = import_module(f"{__name__}.{BUILDERS[name]}").build
        return builder
    return next(
        (point.load() for point in entry_points(group="vitbench.families") if point.name == name), None
    )


def create(spec: ModelSpec) -> nn.Module:
    """Build a network in train form and eval mode; its parameters are not initialised, unless it brings them.

    Inside `torch.device("meta")` no memory is taken. `output_names` of the module names its outputs.

    Raises:
        UsageError: no builder of that name, or hyper-parameters that do not fit it.
    """
    if spec.family == "onnx":
        raise UsageError(f"{spec.name} is a graph, not a network", "measure or export it as it is")
    builder = find_builder(spec.builder)
    if builder is None:
        raise UsageError(
            f"no builder '{spec.builder}' for model {spec.name}",
            f"builders are {', '.join(builder_names())}; packages add theirs as vitbench.families",
        )
    with nullcontext() if spec.own_weights else _NoInitialisation():
        module = builder(spec)
    return module.eval().requires_grad_(False)


def formulated(module: nn.Module) -> list[Formulated]:
    """Parts that can be computed in several ways, in the order they stand in the network."""
    return [part for part in module.modules() if isinstance(part, Formulated)]


def formulations(module: nn.Module) -> dict[str, str]:
    """How each kind of part in the network is computed: {"relu": "key-sum", "bicubic": "matmul"}."""
    return {part.kind: part.formulation for part in formulated(module)}


def textbook(module: nn.Module) -> dict[str, str]:
    """The textbook formulation of each kind of part in the network."""
    return {part.kind: part.formulations[0] for part in formulated(module)}


def set_formulation(module: nn.Module, chosen: Mapping[str, str]) -> None:
    """Choose the formulation of each kind, in place.

    Raises:
        UsageError: a kind that the network does not have, or a formulation that the kind does not have.
    """
    parts = formulated(module)
    missing = sorted(set(chosen) - {part.kind for part in parts})
    if missing:
        raise UsageError(
            f"the network has nothing of kind {', '.join(missing)} to formulate",
            f"its kinds are {', '.join(formulations(module)) or 'none'}",
        )
    for part in parts:
        if part.kind in chosen:
            part.formulation = chosen[part.kind]


class _NoInitialisation(TorchFunctionMode):
    """Leave parameters as allocated: every one is filled afterwards, and a large network takes seconds."""

    RANDOM_FILLS = (torch.Tensor.uniform_, torch.Tensor.normal_, nn.init.kaiming_uniform_, nn.init.uniform_)

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        if func in self.RANDOM_FILLS:
            return args[0] if args else kwargs["tensor"]
        return func(*args, **(kwargs or {}))
