"""Take blocks of samples on a device and say what they are worth."""

from __future__ import annotations

from vitbench.measure.batches import next_batch
from vitbench.measure.block import CellProgress
from vitbench.measure.cell import measure_cell
from vitbench.measure.estimates import estimate
from vitbench.measure.plan import make_plan
from vitbench.measure.result import CellResult, conclude

__all__ = [
    "CellProgress",
    "CellResult",
    "conclude",
    "estimate",
    "make_plan",
    "measure_cell",
    "next_batch",
]
