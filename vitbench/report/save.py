"""Files of reports, written whole or not at all."""

from __future__ import annotations

from pathlib import Path

from vitbench.errors import UsageError


def write_file(path: Path, data: bytes) -> Path:
    """Write a file whole or not at all; directories above it are made.

    Raises:
        UsageError: it cannot be written.
    """
    from vitbench.records.files import write_atomically

    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, data)
    except OSError as error:
        raise UsageError(
            f"cannot write `{path}`: {error.strerror or error}", "make room, or choose another place"
        ) from error
    return path
