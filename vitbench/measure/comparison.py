"""From the finished pairs of a comparison to its record. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from vitbench.measure.estimates import estimate
from vitbench.measure.notes import notes_of
from vitbench.measure.pairs import PairsResult, conclude_pairs, ratio_of
from vitbench.records.comparison import Comparison, FinishedPair, Timings
from vitbench.records.schema import Block, Record, Status


def conclude_comparison(
    begun: Comparison, result: PairsResult, *, reasons: Sequence[str] = (), timings: Timings | None = None
) -> Comparison:
    """The record of a comparison from its beginning and its pairs.

    Args:
        begun: without pairs; its sides without blocks, whose plan counts the blocks of one side.
        reasons: why it ended early; it is then `inconclusive`.
        timings: where the time went; what `begun` says when None.
    """
    plan = begun.sides[0].plan
    status, found = conclude_pairs(result, plan.model_copy(update={"blocks": 2 * plan.blocks}))
    if reasons:
        status, found = "inconclusive", (*reasons, *found)
    if failed := _without_parity(begun):
        status, found = "parity-failed", (*failed, *found)
    else:
        found = (*found, *_notes(begun, result))
    sides = [
        _side(side, blocks, status, found) for side, blocks in zip(begun.sides, result.blocks, strict=True)
    ]
    return begun.model_copy(
        update={
            "status": status,
            "reasons": found,
            "sides": tuple(sides),
            "pairs": result.pairs,
            "ratio": ratio_of(result.pairs),
            "timings": timings or begun.timings,
        }
    )


def result_of(pairs: Sequence[FinishedPair]) -> PairsResult:
    """Pairs that were kept, as a result; where the time between them went is not known."""
    return PairsResult(
        blocks=(tuple(pair.blocks[0] for pair in pairs), tuple(pair.blocks[1] for pair in pairs)),
        pairs=tuple(pair.pair for pair in pairs),
        notes=(),
        loading_s=0.0,
        waiting_s=0.0,
    )


def _side(side: Record, blocks: tuple[Block, ...], status: Status, reasons: tuple[str, ...]) -> Record:
    found = estimate(blocks, metric=side.protocol.metric, batch=side.workload.batch)
    return side.model_copy(update={"status": status, "reasons": reasons, "estimate": found, "blocks": blocks})


def _notes(begun: Comparison, result: PairsResult) -> list[str]:
    """Notes of both sides; what holds for both is said once."""
    first, second = (notes_of(side, blocks) for side, blocks in zip(begun.sides, result.blocks, strict=True))
    labels = begun.row.labels
    shared = [note for note in first if note in second]
    apart = [(labels[0], note) for note in first] + [(labels[1], note) for note in second]
    return [*shared, *(f"{label}: {note}" for label, note in apart if note not in shared)]


def _without_parity(begun: Comparison) -> tuple[str, ...]:
    return tuple(
        f"{label}: {side.parity.reason or 'parity failed'}"
        for side, label in zip(begun.sides, begun.row.labels, strict=True)
        if side.parity is not None and not side.parity.passed
    )
