"""Every family against its original: entries of the checkpoints, and outputs under the fixtures' weights."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.support.fill import fixture_input, fixture_weights
from tests.support.references import CHECKPOINTS, FIXTURES, checkpoint_entries, model_of_checkpoint, sampled
from vitbench import build, catalog, zoo
from vitbench.zoo.deploy import merge_branches, to_deploy
from vitbench.zoo.weights import derived_keys, load_reference_state_dict

Entries = dict[str, tuple[tuple[int, ...], str]]


@pytest.mark.parametrize("checkpoint", CHECKPOINTS)
def test_train_form_has_the_entries_of_the_official_checkpoint(checkpoint: str) -> None:
    with torch.device("meta"):
        module = zoo.create(catalog.resolve_model(model_of_checkpoint(checkpoint)))
    if checkpoint.endswith("_reparam"):
        merge_branches(module)
    prefix, ignored = getattr(module, "checkpoint_prefix", ""), getattr(module, "checkpoint_ignores", ())
    wanted = checkpoint_entries(checkpoint)
    if any(key.startswith(prefix) for key in wanted):
        wanted = {key.removeprefix(prefix): entry for key, entry in wanted.items() if key.startswith(prefix)}
    wanted = {key: entry for key, entry in wanted.items() if not key.startswith(tuple(ignored))}
    entries = {
        key: (tuple(tensor.shape), str(tensor.dtype).removeprefix("torch."))
        for key, tensor in module.state_dict().items()
    }
    derived = derived_keys(module)  # the checkpoint's are of the size it was trained at
    assert _without_shapes(entries, derived) == _without_shapes(wanted, derived)


def _without_shapes(entries: Entries, keys: set[str]) -> Entries:
    """The entries, of which these keys have no shape."""
    return {key: ((), dtype) if key in keys else (shape, dtype) for key, (shape, dtype) in entries.items()}


@pytest.mark.parametrize("path", FIXTURES, ids=lambda path: path.stem)
def test_outputs_are_those_of_the_original(path: Path) -> None:
    fixture: dict[str, Any] = json.loads(path.read_text())
    shape, (expected,) = tuple(fixture["input_shape"]), fixture["outputs"]
    module = build(fixture["model"], resolution=shape[2:], deploy=False)
    weights = fixture_weights(module)
    if "sam" not in path.stem:  # whose checkpoint holds a decoder as well
        arrays = [value for value in weights.values() if isinstance(value, np.ndarray)]
        total = sum(float(np.abs(array).sum(dtype=np.float64)) for array in arrays)
        assert total == pytest.approx(fixture["fill_check"]["abs_sum"], rel=1e-7)
    load_reference_state_dict(module, weights)
    x = fixture_input(shape)
    with torch.inference_mode():
        deployed = to_deploy(module)
        for form in (module,) if _alike(module, deployed) else (module, deployed):
            output = form(x)
            assert list(output.shape) == expected["shape"]
            difference = np.abs(sampled(output) - np.array(expected["values"])).max()
            assert difference <= 1e-5 * expected["absmax"]


def _alike(one: torch.nn.Module, other: torch.nn.Module) -> bool:
    """Whether two forms are one network: SAM's ViT, for one, has nothing to merge or to fold."""
    parts = [
        [(type(part), getattr(part, "formulation", None)) for part in form.modules()] for form in (one, other)
    ]
    return parts[0] == parts[1] and one.state_dict().keys() == other.state_dict().keys()


def test_there_is_a_fixture_on_either_side_of_the_quadratic_branch() -> None:
    names = {path.stem for path in FIXTURES}
    assert {f"mit_cls_{variant}" for variant in ("b0_128", "b0_224", "b2_160", "l1_160", "l1_224")} <= names
