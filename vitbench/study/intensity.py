"""Arithmetic intensity: how much is computed for what is moved."""

from __future__ import annotations

from typing import Protocol


class Counted(Protocol):
    """The part of a model's counts that the intensity is made of."""

    @property
    def macs_artifact(self) -> int: ...
    @property
    def bytes_read(self) -> int: ...
    @property
    def bytes_written(self) -> int: ...


def intensity(counts: Counted) -> float:
    """MACs of what runs, per byte that its layers read or write as if there were no cache.

    0 for what moves nothing.
    """
    moved = counts.bytes_read + counts.bytes_written
    return counts.macs_artifact / moved if moved else 0.0
