"""The networks: modules and nothing else."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib.metadata import entry_points
from typing import Any

import torch
from torch import nn
from torch.overrides import TorchFunctionMode

from vitbench.catalog.specs import ModelSpec
from vitbench.errors import UsageError
from vitbench.zoo import effvit
from vitbench.zoo.attention import Attention

Builder = Callable[[ModelSpec], nn.Module]

BUILDERS: dict[str, Builder] = {"effvit": effvit.build}


def families() -> dict[str, Builder]:
    """Builders by name: the built-in ones, then those of the entry-point group `vitbench.families`."""
    found = dict(BUILDERS)
    for point in entry_points(group="vitbench.families"):
        if point.name not in found:
            found[point.name] = point.load()
    return found


def create(spec: ModelSpec) -> nn.Module:
    """Build a network in train form and eval mode; its parameters are not initialised.

    Inside `torch.device("meta")` no memory is taken. `output_names` of the module names its outputs.

    Raises:
        UsageError: no builder of that name, or hyper-parameters that do not fit it.
    """
    builder = BUILDERS.get(spec.builder) or families().get(spec.builder)
    if builder is None:
        raise UsageError(
            f"no builder '{spec.builder}' for model {spec.name}",
            f"builders are {', '.join(sorted(families()))}; packages add theirs as vitbench.families",
        )
    with _NoInitialisation():
        module = builder(spec)
    return module.eval().requires_grad_(False)


def attentions(module: nn.Module) -> list[Attention]:
    """Attention modules in the order they stand in the network."""
    return [part for part in module.modules() if isinstance(part, Attention)]


def formulations(module: nn.Module) -> dict[str, str]:
    """How each kind of attention in the network is computed: {"relu": "key-sum"}."""
    return {part.kind: part.formulation for part in attentions(module)}


def set_formulation(module: nn.Module, chosen: Mapping[str, str]) -> None:
    """Choose the formulation of each kind, in place.

    Raises:
        UsageError: a kind that the network does not have, or a formulation that the kind does not have.
    """
    parts = attentions(module)
    missing = sorted(set(chosen) - {part.kind for part in parts})
    if missing:
        raise UsageError(
            f"the network has no attention of kind {', '.join(missing)}",
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
