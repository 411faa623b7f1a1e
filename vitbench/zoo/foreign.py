"""Networks from elsewhere as networks of the zoo: those of timm, and those that a user's function returns.

A network of timm is filled with seeded weights like the others. A user's keeps the weights that the
function gave it (drawn from seed 0 where they are random), because it may depend on them.
"""

from __future__ import annotations

import traceback
import warnings
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.utils._pytree import tree_flatten_with_path

from vitbench.catalog.source_py import call_function
from vitbench.catalog.source_timm import import_timm
from vitbench.catalog.specs import ModelSpec
from vitbench.errors import UsageError


class TensorsOnly(nn.Module):
    """A network whose outputs, in whatever they are packed, come as a tuple of tensors."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        return tuple(tensor for _, tensor in _named_tensors(self.network(*inputs)))


def build(spec: ModelSpec) -> nn.Module:
    """The network of a spec whose source is timm or a user's function, in eval mode.

    Raises:
        UsageError: it cannot be built, or does not run on the spec's inputs.
    """
    module = _timm(spec) if spec.builder == "timm" else _users(spec)
    outputs = _run_dry(module.eval(), spec)
    if spec.builder == "timm":
        module.output_names = ("logits",)
        return module
    named = _named_tensors(outputs)
    if not named:
        raise UsageError(f"{spec.name} returns no tensor", "let it return one, or a tuple or dict of them")
    if not isinstance(outputs, Tensor):
        module = TensorsOnly(module).eval()
    module.output_names = tuple(name for name, _ in named)
    module.own_weights = True
    return module


def _timm(spec: ModelSpec) -> nn.Module:
    """A network of timm; one that is built for a size is built for the spec's."""
    timm = import_timm()
    options: dict[str, Any] = {"pretrained": False}
    if list(spec.resolution) != spec.hyper["resolution"]:
        options["img_size"] = spec.resolution
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                return timm.create_model(spec.hyper["name"], **options)
            except TypeError:
                # Convolutional networks take every size and know no such option.
                options.pop("img_size", None)
                return timm.create_model(spec.hyper["name"], **options)
    except Exception as error:
        raise _refusal(f"timm cannot build {spec.name}", error) from error


def _users(spec: ModelSpec) -> nn.Module:
    """What the user's function returns, built in memory as the user wrote it, on the meta device if asked."""
    wanted = torch.get_default_device()
    # Of its own even inside of `torch.device("meta")`: the file may read weights or compute tables.
    with torch.device("cpu"):
        module = call_function(spec.hyper)
    if not isinstance(module, nn.Module):
        raise UsageError(
            f"{spec.name} returns {type(module).__name__}, not a torch.nn.Module",
            "let the function return the network",
        )
    return module.to("meta") if wanted.type == "meta" else module


def _run_dry(module: nn.Module, spec: ModelSpec) -> Any:
    """What a network makes of its inputs, without memory: its outputs, or the refusal it ends in."""
    state = {
        name: tensor.detach().to("meta")
        for tensors in (module.named_parameters(), module.named_buffers())
        for name, tensor in tensors
    }
    given = tuple(
        torch.empty(each.shape, dtype=getattr(torch, each.dtype), device="meta")
        for each in spec.batched_inputs()
    )
    try:
        with torch.no_grad(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return functional_call(module, state, given)
    except Exception as error:
        shapes = ", ".join(str(tuple(each.shape)) for each in given)
        raise _refusal(f"{spec.name} does not run on an input of shape {shapes}", error) from error


def _refusal(what: str, error: Exception) -> UsageError:
    last = traceback.format_exception_only(error)[-1].strip()
    return UsageError(
        f"{what}: {last}",
        "choose another --resolution; tensors that a network holds must be parameters or buffers, and its "
        "graph must not depend on values",
    )


def _named_tensors(outputs: Any) -> list[tuple[str, Tensor]]:
    """Tensors in a network's output by name: `output`, `output_0` ... in a tuple, their keys in a dict."""
    if isinstance(outputs, Tensor):
        return [("output", outputs)]
    leaves, _ = tree_flatten_with_path(outputs)
    named = []
    for path, leaf in leaves:
        if isinstance(leaf, Tensor):
            keys = [str(getattr(key, "key", getattr(key, "idx", getattr(key, "name", key)))) for key in path]
            name = "_".join(keys)
            named.append((name if name.isidentifier() else f"output_{name}", leaf))
    return named
