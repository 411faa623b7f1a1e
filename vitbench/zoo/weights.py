"""Weights of the original authors: reading a checkpoint, and loading it by key."""

from __future__ import annotations

import copy
import pickle
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from vitbench.errors import UsageError
from vitbench.zoo.deploy import merge_branches
from vitbench.zoo.hooks import hooked, is_from_elsewhere

WRAPPERS = ("state_dict", "params_ema", "params", "model")
PARALLEL = "module."  # what training on several devices puts before every key
MOST_NAMED = 10


def read_checkpoint(path: Path) -> dict[str, torch.Tensor]:
    """Read the state dict of a PyTorch checkpoint without running any code in it.

    A state dict that stands under the key `state_dict`, `params_ema`, `params` or `model` is unwrapped: the
    averaged weights before the last ones, where a file has both.

    Raises:
        UsageError: the file cannot be read, is truncated, or holds no mapping of names to tensors.
    """
    path = Path(path)
    try:
        if path.stat().st_size == 0:
            raise UsageError(f"weights file {path} is empty", "download or copy it again")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch advises on pickles of others; the errors below say it
            content = torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise UsageError(
            f"cannot read weights file {path}: {error.strerror or error}",
            "check the path and its permissions",
        ) from error
    except pickle.UnpicklingError as error:
        raise UsageError(
            f"weights file {path} is not a PyTorch checkpoint of tensors",
            "give a state dict saved by torch.save; files that hold other objects are refused for safety",
        ) from error
    except (RuntimeError, EOFError, ValueError, KeyError, AttributeError, TypeError, IndexError) as error:
        raise UsageError(
            f"weights file {path} is truncated or not a PyTorch checkpoint", "download or copy it again"
        ) from error
    wrapped = [
        key for key in WRAPPERS if isinstance(content, Mapping) and isinstance(content.get(key), Mapping)
    ]
    if wrapped:
        content = content[wrapped[0]]
    if (
        not isinstance(content, Mapping)
        or not content
        or not all(isinstance(key, str) and torch.is_tensor(value) for key, value in content.items())
    ):
        raise UsageError(
            f"weights file {path} holds no state dict",
            f"it must map names to tensors, at the top or under the key {', '.join(WRAPPERS)}",
        )
    return dict(content)


def load_reference_state_dict(
    module: nn.Module, mapping: Mapping[str, Any], *, keep_branches: bool = False
) -> None:
    """Copy weights under the keys of the official checkpoint into a network in train form, in place.

    Values are tensors or arrays, cast to the parameter's type. `num_batches_tracked` may be absent: inference
    does not use it. A `module.` before every key is passed over, and the weight of a 1x1 convolution may lack
    its last two dimensions. A network that is a part of another one also takes the whole one's checkpoint: it
    reads the keys under its attribute `checkpoint_prefix`, passes over those that begin with one of
    `checkpoint_ignores`, and refuses those that begin with a key of `checkpoint_refuses`, for the reason that
    stands there. What a network derives from its size (see `derived_keys`) is passed over as well, whatever
    size the checkpoint's is for. A checkpoint of merged branches merges those of the network first. Nothing
    is copied when anything does not fit.

    Args:
        keep_branches: refuse a checkpoint of merged branches instead.

    Raises:
        UsageError: keys that are missing, unexpected, or of another shape, up to ten of each named on lines
            of their own; or an entry that is no dense real tensor with values, or has one that is not finite.
    """
    given = _own_part(module, _without_parallel(module, mapping))
    if _is_merged(module, given):
        if keep_branches:
            raise UsageError(
                "the checkpoint is of merged branches, which the train form keeps apart",
                "drop @train (or `deploy=False`), or give the checkpoint from before they were merged",
            )
        merge_branches(module)
    derived = derived_keys(module)
    own = {key: value for key, value in module.state_dict(keep_vars=True).items() if key not in derived}
    arrays = {key: _as_tensor(key, value) for key, value in given.items() if key not in derived}
    arrays = {key: _as_kernel(array, own.get(key)) for key, array in arrays.items()}
    missing = [key for key in own if key not in arrays and not key.endswith("num_batches_tracked")]
    unexpected = [key for key in arrays if key not in own]
    misshapen = [
        f"{key} ({_shape(arrays[key])}, not {_shape(own[key])})"
        for key in own
        if key in arrays and arrays[key].shape != own[key].shape
    ]
    problems = [
        "\n  ".join([f"{len(keys)} {label}:", *_first(keys)])
        for label, keys in (("missing", missing), ("unexpected", unexpected), ("of another shape", misshapen))
        if keys
    ]
    if problems:
        raise UsageError(
            "\n".join(["the weights do not fit the network", *problems]),
            "check that the checkpoint is of this variant, and that the network is in train form",
        )
    # As they will stand in the network: a value may be finite only in the wider type of the file.
    values = {key: array.to(own[key].dtype) for key, array in arrays.items()}
    for key, value in values.items():
        if not value.isfinite().all():
            raise UsageError(
                f"weights entry {key} has values that are not finite in {_name(value.dtype)}",
                "give a checkpoint of a training that converged",
            )
    with torch.no_grad():
        for key, value in values.items():
            own[key].data.copy_(value)


def _first(keys: list[str]) -> list[str]:
    """The first of a list, and how many more there are."""
    rest = len(keys) - MOST_NAMED
    return [*keys[:MOST_NAMED], f"and {rest} more"] if rest > 0 else keys


def _as_kernel(array: torch.Tensor, own: torch.Tensor | None) -> torch.Tensor:
    """The weight of a linear layer in the shape of a 1x1 convolution, where the network has one instead."""
    is_kernel = own is not None and own.dim() == 4 and own.shape == (*array.shape, 1, 1)
    return array[:, :, None, None] if is_kernel else array


def derived_keys(module: nn.Module) -> set[str]:
    """Keys of the state dict whose values a network computes from its size, and has when it is built.

    They are the entries named in the attribute `derived` of the part that holds them.
    """
    named = {
        f"{name}.{entry}" if name else entry
        for name, part in hooked(module, "derived")
        for entry in part.derived
    }
    return named & module.state_dict().keys()


def _without_parallel(module: nn.Module, mapping: Mapping[str, Any]) -> Mapping[str, Any]:
    """A mapping without what stands before all of its keys and none of the network's."""
    keys = [*mapping]
    if not keys or not all(key.startswith(PARALLEL) for key in keys):
        return mapping
    if any(key.startswith(PARALLEL) for key in module.state_dict()):
        return mapping
    return {key.removeprefix(PARALLEL): value for key, value in mapping.items()}


def _own_part(module: nn.Module, mapping: Mapping[str, Any]) -> Mapping[str, Any]:
    """What a checkpoint holds for a network that may be a part of the checkpoint's."""
    if is_from_elsewhere(module):
        return mapping
    for start, (reason, hint) in getattr(module, "checkpoint_refuses", {}).items():
        if any(key.startswith(start) for key in mapping):
            raise UsageError(reason, hint)
    prefix = getattr(module, "checkpoint_prefix", "")
    if prefix and any(key.startswith(prefix) for key in mapping):
        return {key.removeprefix(prefix): value for key, value in mapping.items() if key.startswith(prefix)}
    others = tuple(getattr(module, "checkpoint_ignores", ()))
    return {key: value for key, value in mapping.items() if not key.startswith(others)}


def _is_merged(module: nn.Module, given: Mapping[str, Any]) -> bool:
    """True where the checkpoint is of the form with merged branches, and the network is not."""
    if given.keys() == module.state_dict().keys() or not hooked(module, "merge_"):
        return False
    merged = copy.deepcopy(module).to("meta")
    merge_branches(merged)
    return _countless(given) == _countless(merged.state_dict())


def _countless(mapping: Mapping[str, Any]) -> set[str]:
    """Keys but for the counts of batches."""
    return {key for key in mapping if not key.endswith("num_batches_tracked")}


def _as_tensor(key: str, value: Any) -> torch.Tensor:
    """A dense real tensor of a mapping's value."""
    if not torch.is_tensor(value):
        try:
            value = torch.from_numpy(np.array(value))
        except (TypeError, ValueError) as error:
            raise UsageError(
                f"weights entry {key} is neither a tensor nor an array of numbers",
                "give tensors or numpy arrays",
            ) from error
    if problem := _unusable(value):
        raise UsageError(f"weights entry {key} is {problem}", "give dense tensors of real numbers")
    return value.detach()


def _unusable(tensor: torch.Tensor) -> str | None:
    """What keeps a tensor from being copied value by value, if anything does."""
    if tensor.is_meta:
        return "a meta tensor, which has no values"
    if tensor.is_nested:
        return "a nested tensor"
    if tensor.layout != torch.strided:
        return f"sparse ({_name(tensor.layout)})"
    if tensor.is_quantized or tensor.is_complex():
        return f"of type {_name(tensor.dtype)}"
    return None


def _name(of_torch: torch.dtype | torch.layout) -> str:
    """Name of a type or layout, without the package."""
    return str(of_torch).removeprefix("torch.")


def _shape(tensor: torch.Tensor) -> str:
    return "x".join(map(str, tensor.shape)) or "scalar"
