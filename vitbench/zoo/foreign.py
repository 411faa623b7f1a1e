"""Networks from elsewhere as networks of the zoo: those of timm, and those that a user's function returns.

A network of timm is filled with seeded weights like the others. A user's keeps the weights that the
function gave it (drawn from seed 0 where they are random), because it may depend on them.
"""

from __future__ import annotations

import traceback
import warnings
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.utils._pytree import tree_flatten_with_path

from vitbench.catalog.source_py import call_function, hash_state
from vitbench.catalog.source_timm import import_timm
from vitbench.catalog.specs import ModelSpec
from vitbench.errors import UsageError

_HINT = (
    "choose another --resolution; tensors that a network holds must be parameters or buffers, and its "
    "graph must not depend on values"
)
# What is said of a network from elsewhere in attributes of its own.
_SAID = ("output_names", "own_weights", "from_elsewhere")


class TensorsOnly(nn.Module):
    """A network whose outputs, in whatever they are packed, come as a tuple of tensors, none twice."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        outputs: list[Tensor] = []
        for _, tensor in _named_tensors(self.network(*inputs)):
            # A graph has each of its inputs and outputs once.
            again = any(tensor is other for other in (*inputs, *outputs))
            outputs.append(tensor.clone() if again else tensor)
        return tuple(outputs)


def build(spec: ModelSpec) -> nn.Module:
    """The network of a spec whose source is timm or a user's function, in eval mode.

    Raises:
        UsageError: it cannot be built, or does not run on the spec's inputs.
    """
    module = _timm(spec) if spec.builder == "timm" else _users(spec)
    given, outputs = _run_dry(module.eval(), spec)
    names: tuple[str, ...] = ("logits",)
    if spec.builder != "timm":
        names = _output_names(module, spec, outputs)
        passed_through = any(outputs is each for each in given)
        if not isinstance(outputs, Tensor) or passed_through or any(hasattr(module, each) for each in _SAID):
            module = TensorsOnly(module).eval()
        module.own_weights = True
    module.output_names = names
    module.from_elsewhere = True
    return module


def _output_names(module: nn.Module, spec: ModelSpec, outputs: Any) -> tuple[str, ...]:
    """A name for each tensor that a network gives; those of its inputs and weights are taken already."""
    taken = {each.name for each in spec.inputs or spec.batched_inputs()} | module.state_dict().keys()
    names: list[str] = []
    for wanted, _ in _named_tensors(outputs):
        name = f"output_{wanted}" if wanted in taken else wanted
        number = 1
        while name in taken:
            number += 1
            name = f"output_{wanted}_{number}"
        taken.add(name)
        names.append(name)
    if not names:
        raise UsageError(f"{spec.name} returns no tensor", "let it return one, or a tuple or dict of them")
    return tuple(names)


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
    if hash_state(module) != spec.hyper["state"]:
        raise UsageError(
            f"{spec.name} returns other weights than a moment ago",
            "seed whatever it draws from beside torch, and leave the files that it reads alone",
        )
    return module.to("meta") if wanted.type == "meta" else module


def _run_dry(module: nn.Module, spec: ModelSpec) -> tuple[tuple[Tensor, ...], Any]:
    """Inputs of a network and what it makes of them, without memory, or the refusal that it ends in."""
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
            return given, functional_call(module, state, given)
    except Exception as error:
        shapes = ", ".join(str(tuple(each.shape)) for each in given)
        what = f"{spec.name} does not run on an input of shape {shapes}"
        floats = {tensor.dtype for tensor in state.values() if tensor.is_floating_point()}
        if others := floats - {torch.float32}:
            hint = "its input is float32: return it in that, for example with `.float()`"
            raise _refusal(f"{what}, with weights in {_names(others)}", error, hint) from error
        raise _refusal(what, error) from error


def _names(types: Iterable[torch.dtype]) -> str:
    return ", ".join(sorted(str(each).removeprefix("torch.") for each in types))


def _refusal(what: str, error: Exception, hint: str = _HINT) -> UsageError:
    last = traceback.format_exception_only(error)[-1].strip()
    return UsageError(f"{what}: {last}", hint)


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
