"""The table of arithmetic and traffic: a line per row and side."""

from __future__ import annotations

from collections.abc import Sequence

from vitbench.report.comparisons.columns import where
from vitbench.report.comparisons.groups import Group
from vitbench.report.comparisons.limits import NEITHER, best_rates, limited_by
from vitbench.report.comparisons.rows import Side, Versus
from vitbench.report.numbers import MISSING, significant
from vitbench.report.sheet import SIMULATED, Sheet
from vitbench.text import clean

HEADERS = ("GMAC/s", "ns/kMAC", "MAC/B", "GB/s")
GRAPH = (
    "GMAC/s and ns/kMAC count the MACs of the architecture; MAC/B (MACs per byte) those of the graph that "
    "ran, over the bytes that its layers read and write; GB/s those bytes over the time"
)


def rate_sheet(group: Group, study: Sequence[Versus]) -> Sheet:
    """Lay out MACs, time per MAC, arithmetic intensity and what limits each side.

    Args:
        group: the rows to show.
        study: all rows of the study on that target, for the best rates.
    """
    best = best_rates(study)
    most = max(side.row.macs for row in group.rows for side in row.sides)
    unit, scale = ("GMACs", 1e9) if most >= 1e9 else ("MMACs", 1e6)
    return Sheet(
        watermark=SIMULATED if all(row.simulated for row in group.rows) else None,
        lead=[],
        headers=["tokens" if group.rows[0].tokens else "HxW", "side", unit, *HEADERS, "limit"],
        right=[False, False, True, True, True, True, True, False],
        cells=[
            [where(row), clean(side.label), *_figures(side, scale), _limit(side, best)]
            for row in group.rows
            for side in row.sides
        ],
        statuses=["" for row in group.rows for _ in row.sides],
        notes=[GRAPH],
    )


def _figures(side: Side, scale: float) -> list[str]:
    rates = (side.gmacs_per_s, side.ns_per_kmac, side.macs_per_byte, side.gbytes_per_s)
    return [significant(side.row.macs / scale), *(significant(value) for value in rates)]


def _limit(side: Side, best: tuple[float, float] | None) -> str:
    limit = limited_by(side, best) if best else None
    return MISSING if limit is None else limit if limit != NEITHER else "neither"
