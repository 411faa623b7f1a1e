"""What the sources of networks from elsewhere share."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from vitbench.catalog.names import agree, looks_like_resolution, parse_resolution
from vitbench.catalog.specs import InputSpec, ModelSpec, Resolution
from vitbench.errors import UsageError

DEFAULT_RESOLUTION = (224, 224)
# Of a network whose inputs are no images.
NO_RESOLUTION = (1, 1)


def make_spec(
    source: str,
    variant: str,
    hyper: dict[str, Any],
    resolution: Resolution,
    inputs: tuple[InputSpec, ...] = (),
) -> ModelSpec:
    """The spec of a network from elsewhere: one form, and no kinds to choose from."""
    return ModelSpec(
        family=source,
        variant=variant,
        builder=source,
        task="cls" if source == "timm" else "custom",
        hyper=hyper,
        attention=None,
        default_attention=None,
        form="deploy",
        resolution=resolution,
        stride=1,
        inputs=inputs,
    )


def split_resolution(name: str, rest: str, resolution: Resolution | None) -> tuple[str, Resolution | None]:
    """What stands before the resolution, and the resolution that name and option agree on."""
    before, colon, last = rest.rpartition(":")
    if colon and looks_like_resolution(last):
        return before, agree("--resolution", name, parse_resolution(last), resolution)
    return rest, resolution


def own_weights(hyper: Mapping[str, Any]) -> str:
    """What stands for the weights of a network that brings them: `own:` and 12 digits of its content's hash.

    Args:
        hyper: of its spec: the hash of its file, with those of the weights in other files or in memory.
    """
    digests = [hyper["sha256"], *hyper.get("external", {}).values(), *filter(None, [hyper.get("state")])]
    content = digests[0] if len(digests) == 1 else hash_bytes("".join(digests).encode())
    return f"own:{content[:12]}"


def read_file(path: Path, name: str) -> bytes:
    """The content of a file that a name names.

    Raises:
        UsageError: it cannot be read.
    """
    try:
        return path.read_bytes()
    except OSError as error:
        raise _unreadable(path, name, error) from error


def hash_bytes(data: bytes) -> str:
    """SHA-256 in hexadecimal digits."""
    return hashlib.sha256(data).hexdigest()


def hash_file(path: Path, name: str) -> str:
    """SHA-256 of a file that a name names, which may be larger than the memory.

    Raises:
        UsageError: it cannot be read.
    """
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise _unreadable(path, name, error) from error


def _unreadable(path: Path, name: str, error: OSError) -> UsageError:
    return UsageError(f"cannot read {path} of '{name}': {error.strerror or error}", "check the path")
