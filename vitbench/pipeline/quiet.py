"""A listener that shows nothing, for programs that call a pipeline themselves."""

from __future__ import annotations

import logging

from vitbench.measure import CellProgress

LOG = logging.getLogger("vitbench")


class Silent:
    """Draws nothing; lines worth keeping go to the logger `vitbench`."""

    def stage(self, cell: str, text: str) -> None:
        """Something else begins for this cell."""

    def measuring(self, cell: str, progress: CellProgress) -> None:
        """The estimate so far."""

    def note(self, text: str) -> None:
        """A line worth keeping."""
        LOG.info(text)
