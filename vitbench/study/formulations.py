"""The ways in which a network's attention can be computed."""

from __future__ import annotations

from vitbench.catalog.specs import ModelSpec


def formulations_of(model: ModelSpec) -> list[dict[str, str]]:
    """Formulations of a network's attention, the default one first; {} alone where there is no choice."""
    if model.attention is None or model.from_elsewhere:
        return [{}]
    import torch

    from vitbench import zoo

    with torch.device("meta"):
        module = zoo.create(model)
    part = next((part for part in zoo.formulated(module) if part.kind == model.attention), None)
    if part is None or len(part.formulations) == 1:
        return [{}]
    others = [name for name in part.formulations if name != part.fast]
    return [{part.kind: name} for name in (part.fast, *others)]
