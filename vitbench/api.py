"""The public Python interface: networks by name, and the regression gate."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from vitbench import catalog, zoo
from vitbench.errors import UsageError
from vitbench.zoo.deploy import in_form, to_deploy
from vitbench.zoo.init import seed_weights
from vitbench.zoo.weights import load_reference_state_dict as _load
from vitbench.zoo.weights import read_checkpoint

if TYPE_CHECKING:
    from vitbench.records.gate import GateRecord

__all__ = ["build", "gate", "load_reference_state_dict", "to_deploy"]


def build(
    name: str,
    *,
    resolution: int | tuple[int, int] | str | None = None,
    attention: str | None = None,
    upsample: str | None = None,
    part: str | None = None,
    weights: str | Path | None = None,
    deploy: bool = True,
) -> torch.nn.Module:
    """Build a network by name, in eval mode.

    Args:
        name: `family[-variant[-task]][+kind][@form][:HxW]`, for example `effvit-b2+softmax`; or
            `timm:NAME`, `py:FILE.py:function`. An ONNX file is a graph, which cannot be built.
        resolution: side of a square, (height, width), or `HxW`, in pixels; the published one when None.
        attention: attention kind; the published one when None.
        upsample: way of upsampling; the published one when None.
        part: `decoder`, `backbone` or `encoder`; the network as it is named when None.
        weights: checkpoint of the original authors; seeded, non-degenerate weights when None (a network of
            a Python file keeps its own).
        deploy: the form that the name says, by default the inference form (BN folded, branches merged);
            always the train form when False.

    Returns:
        Module from a float32 (N, 3, H, W) tensor to the network's output; its `output_names` name it:
        (N, classes) `logits` of a classifier, (N, classes, h, w) of a segmentation network,
        `image_embedding` (N, 256, h, w) of an encoder of SAM, `output` of a restoration network and of a
        backbone (its last stage). A decoder takes its two inputs in the order of `ModelSpec.inputs`.

    Raises:
        UsageError: an unknown name, an unusable resolution, or a checkpoint that does not fit.
    """
    if isinstance(resolution, str):
        resolution = catalog.parse_resolution(resolution)
    elif isinstance(resolution, int):
        resolution = (resolution, resolution)
    spec = catalog.resolve_model(
        name, resolution=resolution, attention=attention, upsample=upsample, part=part
    )
    if spec.own_weights and weights is not None:
        raise UsageError(f"{spec.name} brings its own weights", "drop `weights`")
    module = zoo.create(spec)
    if weights is None:
        seed_weights(module, 0)
    else:
        keep = not deploy or spec.form == "train"
        _load(module, read_checkpoint(Path(weights)), keep_branches=keep)
    return in_form(module, spec.form) if deploy else module


def gate(
    baseline: str = "main",
    *,
    models: Sequence[str] = (),
    targets: Sequence[str] = (),
    results: str | Path = "results",
    config: str | Path | None = None,
    pairs: int | None = None,
    max_regression: float | None = None,
    seed: int | None = None,
    simulated: bool = False,
) -> GateRecord:
    """Measure the artifacts of a baseline beside today's, in pairs, and say what is slower for certain.

    Args:
        baseline: name, path or URL of a saved baseline.
        models: patterns of the cells to gate; all when empty.
        targets: names or TOML files of targets; those of the baseline when empty.
        results: where baselines and records are.
        config: limits and waivers; `gate.toml` of the working directory, if there is one, when None.
        pairs: of the first stage of every cell, from 7 on.
        max_regression: slowdown that is allowed, of every cell, as a fraction.
        seed: of the order inside of pairs; drawn when None.
        simulated: whether scripted targets are gated too.

    Returns:
        The record, which is stored as well: `record.cells[0].verdict` is PASS, IMPROVEMENT, REGRESSION,
        INCONCLUSIVE or NOT MEASURED.

    Raises:
        UsageError: the baseline or the configuration cannot be read, or nothing is selected.
    """
    from vitbench.gate.request import AskedGate
    from vitbench.pipeline.gate import gate_baseline
    from vitbench.pipeline.quiet import Silent

    asked = AskedGate(models=models, targets=targets, pairs=pairs, limit=max_regression, simulated=simulated)
    return gate_baseline(
        baseline, asked, str(results), Silent(), config=Path(config) if config else None, seed=seed
    )


def load_reference_state_dict(module: torch.nn.Module, mapping: Mapping[str, Any]) -> torch.nn.Module:
    """Load a state dict with the keys of the original authors' checkpoint, in place.

    Args:
        module: a network in train form (`build(..., deploy=False)`).
        mapping: key to tensor or array.

    Returns:
        The module.

    Raises:
        UsageError: keys that are missing, unexpected or of another shape; each is named.
    """
    _load(module, mapping)
    return module
