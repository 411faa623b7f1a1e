"""Methods and attributes by which parts of a network say how they are folded, merged, filled and checked."""

from __future__ import annotations

from typing import Any

from torch import nn

OURS = "vitbench.zoo."


def hooked(module: nn.Module, hook: str) -> list[tuple[str, Any]]:
    """Parts of a network that have a method or an attribute, with their names, in their order.

    In a network from elsewhere, whose attribute `from_elsewhere` is true, the same word may mean anything:
    there it counts in parts of the zoo only.

    Args:
        hook: `fold_`, `merge_`, `normaliser`, `residual` and the like.
    """
    elsewhere = is_from_elsewhere(module)
    return [
        (name, part)
        for name, part in module.named_modules()
        if hasattr(part, hook) and (not elsewhere or type(part).__module__.startswith(OURS))
    ]


def is_from_elsewhere(module: nn.Module) -> bool:
    """Whether a network is of timm or of a user's file."""
    return getattr(module, "from_elsewhere", False) is True
