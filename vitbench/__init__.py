"""Benchmark vision transformers across devices: one command from a model's name to a checked latency."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"
__all__ = ["__version__", "build", "load_reference_state_dict", "to_deploy"]

if TYPE_CHECKING:
    from vitbench.api import build, load_reference_state_dict, to_deploy


def __getattr__(name: str) -> Any:
    # torch is imported on first use, so that the command line starts fast.
    if name in __all__:
        from vitbench import api

        return getattr(api, name)
    raise AttributeError(f"module 'vitbench' has no attribute '{name}'")
