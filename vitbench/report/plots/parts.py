"""Where a request's time goes: in, compute, out, and what the parts do not explain."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

from vitbench.report.numbers import significant
from vitbench.report.plots.caption import caption_of_runs
from vitbench.report.plots.figure import Plot
from vitbench.report.plots.theme import Theme, look
from vitbench.report.rows import Row
from vitbench.text import clean

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MOST = 40
BAR = 0.28
LETTER = 0.072
PARTS = (
    ("h2d_ms", "in: host to device"),
    ("compute_ms", "compute"),
    ("d2h_ms", "out: device to host"),
    ("residual_ms", "rest of the wall clock"),
)
NEGLIGIBLE = 0.01


def parts_plot(rows: Sequence[Row], names: Sequence[str], name: str) -> Plot | None:
    """A bar for each row, stacked from the shares of its latency.

    None where no parts were timed, and where all is compute: zero-copy and under 1 % for anything else.

    Args:
        rows: of runs, or of the sides of comparisons.
        names: what each is called.
        name: stem of the files.
    """
    told = [(row, label) for row, label in zip(rows, names, strict=True) if row.compute_ms and row.latency_ms]
    if all(row.zero_copy and 1 - _share(row, "compute_ms") < NEGLIGIBLE for row, _ in told):
        return None
    shown = told[:MOST]
    left_out = [f"the first {MOST} of {len(told)}"] if len(told) > MOST else []
    chosen = [row for row, _ in shown]
    shares = [100 * _share(row, "compute_ms") for row in chosen]
    return Plot(
        name=name,
        title=f"Where a request's time goes, on {' and '.join(dict.fromkeys(row.target for row in chosen))}",
        caption=[*caption_of_runs(chosen), *left_out],
        told=(
            "Stacked bars of shares of the latency; compute is "
            f"{significant(min(shares))} to {significant(max(shares))} %"
        ),
        draw=partial(_draw, rows=chosen, names=[clean(label) for _, label in shown]),
        height=0.2 + BAR * len(shown),
        left=min(3.2, 0.25 + LETTER * max(len(label) for _, label in shown)),
        simulated=any(row.simulated for row in chosen),
    )


def _share(row: Row, part: str) -> float:
    value: float = getattr(row, part) or 0.0
    return max(0.0, value / (row.latency_ms or 1.0))


def _draw(axes: Axes, theme: Theme, *, rows: Sequence[Row], names: Sequence[str]) -> None:
    ends = [0.0] * len(rows)
    for number, (part, label) in enumerate(PARTS):
        style = look(theme, number)
        widths = [100 * _share(row, part) for row in rows]
        if not any(widths):
            continue
        axes.barh(
            [place for place, width in enumerate(widths) if width],
            [width for width in widths if width],
            left=[end for end, width in zip(ends, widths, strict=True) if width],
            height=0.68,
            label=label,
            color=style.colour,
            edgecolor=theme.paper,
            hatch=style.hatch,
        )
        ends = [end + width for end, width in zip(ends, widths, strict=True)]
    for place, (end, row) in enumerate(zip(ends, rows, strict=True)):
        axes.annotate(
            f"{significant(row.latency_ms)} ms",
            (end, place),
            xytext=(4, 0),
            textcoords="offset points",
            va="center",
            fontsize=7.5,
            color=theme.ink,
        )
    axes.set_xlim(0, 1.16 * max(ends))
    axes.set_xticks(range(0, 101, 20))
    axes.set_yticks(range(len(rows)), names, fontsize=8)
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.grid(visible=False, axis="y")
    axes.set_xlabel("share of the latency, %")
