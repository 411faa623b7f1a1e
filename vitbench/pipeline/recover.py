"""Save what was finished of runs and comparisons whose process was killed."""

from __future__ import annotations

from collections.abc import Sequence

from vitbench import measure
from vitbench.pipeline.progress import Progress
from vitbench.records import journal
from vitbench.records.comparison import Comparison, FinishedPair
from vitbench.records.schema import Block, Estimate, Header
from vitbench.records.store import Store


def recover(store: Store, progress: Progress) -> None:
    """Make records of abandoned journals, and say so."""
    for found in journal.recover(store, estimate, _conclude):
        if found.problem:
            progress.note(f"a run that did not end left a journal that cannot be used: {found.problem}")
        elif found.saved:
            what = "pairs of a comparison" if found.pairs else "blocks of a run"
            progress.note(f"saved {found.blocks} finished {what} that did not end: {found.saved.location}")


def estimate(header: Header, blocks: Sequence[Block]) -> Estimate | None:
    """What the blocks of a run are worth."""
    protocol = header.protocol
    return measure.estimate(
        blocks,
        metric=protocol.metric,
        batch=measure.images_a_sample(protocol),
        overlap=measure.overlaps(protocol),
    )


def _conclude(begun: Comparison, pairs: Sequence[FinishedPair]) -> Comparison:
    reason = f"interrupted after {len(pairs)} of {begun.sides[0].plan.blocks} pairs"
    return measure.conclude_comparison(begun, measure.result_of(pairs), reasons=(reason,))
