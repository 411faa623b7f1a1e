"""Take blocks of samples on a device and say what they are worth."""

from __future__ import annotations

from vitbench.measure.batches import next_batch
from vitbench.measure.block import CellProgress
from vitbench.measure.cell import measure_cell
from vitbench.measure.comparison import conclude_comparison, result_of
from vitbench.measure.estimates import estimate
from vitbench.measure.notes import notes_of
from vitbench.measure.pairs import (
    MIN_PAIRS,
    PairsInterrupted,
    PairsResult,
    conclude_pairs,
    measure_pairs,
    ratio_of,
)
from vitbench.measure.plan import make_plan
from vitbench.measure.result import CellResult, conclude
from vitbench.measure.rounds import measure_rounds
from vitbench.measure.streaming import as_measured, images_a_sample, overlaps
from vitbench.measure.take import no_sleep

__all__ = [
    "MIN_PAIRS",
    "CellProgress",
    "CellResult",
    "PairsInterrupted",
    "PairsResult",
    "as_measured",
    "conclude",
    "conclude_comparison",
    "conclude_pairs",
    "estimate",
    "images_a_sample",
    "make_plan",
    "measure_cell",
    "measure_pairs",
    "measure_rounds",
    "next_batch",
    "no_sleep",
    "notes_of",
    "overlaps",
    "ratio_of",
    "result_of",
]
