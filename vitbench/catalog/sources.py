"""Networks from elsewhere by name: `timm:NAME[:HxW]`, `onnx:FILE.onnx`, `py:FILE.py:function[:HxW]`.

What a network depends on stands in `hyper`, with the hash of its file, so that an artifact made from it is
found again only as long as the file is the same. Files that a Python file imports are not hashed.
"""

from __future__ import annotations

from collections.abc import Mapping

from vitbench.catalog.source_onnx import resolve_onnx
from vitbench.catalog.source_py import resolve_py
from vitbench.catalog.source_timm import resolve_timm
from vitbench.catalog.specs import SOURCES, ModelSpec, Resolution
from vitbench.errors import UsageError

_RESOLVE = {"timm": resolve_timm, "onnx": resolve_onnx, "py": resolve_py}


def is_source(name: str) -> bool:
    """Whether a name is of a network from elsewhere."""
    return name.strip().partition(":")[0] in SOURCES and ":" in name


def resolve_source(
    name: str, *, resolution: Resolution | None = None, choices: Mapping[str, str | None] | None = None
) -> ModelSpec:
    """Resolve the name of a network from elsewhere.

    `timm:` imports timm, `onnx:` reads the file, `py:` runs the file and calls the function.

    Args:
        resolution: (height, width) in pixels; the network's own when neither this nor the name says.
        choices: what was asked for that only networks of the catalog offer, by option.

    Raises:
        UsageError: no such network, function or file, one that does not load, an option that it does not
            have, or a resolution that contradicts it.
    """
    for option, choice in (choices or {}).items():
        if choice is not None:
            raise UsageError(
                f"--{option} {choice} means nothing for '{name}', which is no network of the catalog",
                f"drop --{option}",
            )
    source, _, rest = name.strip().partition(":")
    return _RESOLVE[source](name, rest, resolution)
