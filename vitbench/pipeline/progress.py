"""Who is told what a pipeline is doing."""

from __future__ import annotations

from typing import Protocol

from vitbench import measure


class Progress(Protocol):
    """Who is told what is going on. Called only between requests to an agent, never during one."""

    def stage(self, cell: str, text: str) -> None:
        """Something else begins for this cell."""

    def measuring(self, cell: str, progress: measure.CellProgress) -> None:
        """The estimate so far."""

    def note(self, text: str) -> None:
        """A line worth keeping."""
