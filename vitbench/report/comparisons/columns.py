"""What a table of comparisons can say about a row."""

from __future__ import annotations

from collections.abc import Callable

from vitbench.report.comparisons.groups import Group
from vitbench.report.comparisons.rows import Side, Versus
from vitbench.report.fields import COMPUTE_ONLY, WITHIN_PROCESS
from vitbench.report.numbers import MISSING, bracketed, significant, with_interval
from vitbench.report.sheet import Filled
from vitbench.text import clean

NOT_MATCHED = "≠"
MACS_TOLERANCE = 0.02
MATCHED = "matched"

SideCell = Callable[[Versus, Side], str]


def subject(group: Group) -> list[Filled]:
    """What a row is about: the tokens or the resolution, and the sides where headers do not name them."""
    rows = group.rows
    columns = (
        []
        if group.shared_labels
        else [
            Filled(name, name, [clean(row.labels[side]) for row in rows])
            for side, name in enumerate(group.names)
        ]
    )
    if all(row.tokens for row in rows):
        counts = Filled("count", "n", [f"{row.count:,}" for row in rows], True, 1)
        return [Filled("tokens", "tokens", [where(row) for row in rows]), counts, *columns]
    sizes = Filled("resolution", "HxW", [where(row) for row in rows])
    batches = [_either(row, "batch") for row in rows]
    return [sizes, *columns, *([Filled("batch", "batch", batches, True)] if set(batches) != {"1"} else [])]


def figures(group: Group) -> list[Filled]:
    """Every figure, in the order of a wide table."""
    rows = group.rows
    return [
        *_each(group, "ms", time, 0),
        Filled("ratio", "{1}/{0}".format(*group.names), [ratio(row) for row in rows], True),
        Filled("speed_up", "speed-up", [speed_up(row) for row in rows], True, 2),
        Filled("macs_ratio", "MACs ratio", [macs_ratio(row) for row in rows], True, 3),
        Filled("pairs", "pairs", [pairs(row) for row in rows], True, 5),
    ]


def time(row: Versus, side: Side) -> str:
    """`27.43 ± 0.21`, marked when only compute could be timed or no interval between processes exists."""
    if side.time_ms is None:
        return MISSING
    marks = COMPUTE_ONLY * (row.value_is == "compute") + WITHIN_PROCESS * bool(side.row.within_process_only)
    return f"{with_interval(side.time_ms, side.low_ms, side.high_ms)} {marks}".rstrip()


def ratio(row: Versus) -> str:
    """Time of the second side over the first's, with its 95 % interval."""
    return bracketed(row.ratio, row.ratio_low, row.ratio_high)


def speed_up(row: Versus) -> str:
    """How many times as fast the second side is, with its 95 % interval."""
    return bracketed(row.speed_up, row.speed_up_low, row.speed_up_high)


def macs_ratio(row: Versus) -> str:
    """MACs of the second side over the first's, marked where they were to match and do not."""
    digits = 4 if row.part == MATCHED else 3
    return significant(row.macs_ratio, digits) + f" {NOT_MATCHED}" * off_match(row)


def off_match(row: Versus) -> bool:
    """Whether the row was to match MACs and misses by more than 2 %."""
    return row.part == MATCHED and abs(row.macs_ratio - 1) > MACS_TOLERANCE


def pairs(row: Versus) -> str:
    """Pairs in the ratio, of how many were taken."""
    return f"{row.pairs}" if row.pairs == row.pairs_taken else f"{row.pairs} of {row.pairs_taken}"


def _each(group: Group, unit: str, cell: SideCell, drop: int) -> list[Filled]:
    """A column for each side."""
    return [
        Filled(
            f"{unit}{side}",
            f"{name} {unit}",
            [cell(row, row.sides[side]) for row in group.rows],
            True,
            drop,
        )
        for side, name in enumerate(group.names)
    ]


def where(row: Versus) -> str:
    """HEIGHTxWIDTH of the tokens, else of the image."""
    return f"{row.tokens[0]}x{row.tokens[1]}" if row.tokens else _either(row, "resolution")


def side_label(row: Versus, side: Side) -> str:
    """The side, and whether its block was widened or narrowed to match the MACs of the other."""
    return f"{side.label}, matched MACs" if row.part == MATCHED else side.label


def _either(row: Versus, name: str) -> str:
    """A figure of both sides, once where they share it."""
    return " / ".join(dict.fromkeys(str(getattr(side.row, name)) for side in row.sides))
