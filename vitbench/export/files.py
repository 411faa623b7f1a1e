"""Directories of the cache: their size, their removal, and how they get to the disk."""

from __future__ import annotations

import os
import shutil
from pathlib import Path


def size_of(directory: Path) -> int:
    """Bytes of every file under a directory."""
    return sum(file.stat().st_size for file in directory.rglob("*") if file.is_file())


def remove(directory: Path) -> None:
    """Remove a directory with all it holds, if it is there."""
    if directory.exists():
        shutil.rmtree(directory)


def write_through(directory: Path) -> None:
    """Bring a directory and all it holds to the disk, so that a power cut cannot take it back."""
    for path in [*directory.rglob("*"), directory]:
        sync(path)


def sync(path: Path) -> None:
    """Bring one file, or the list of a directory's names, to the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
