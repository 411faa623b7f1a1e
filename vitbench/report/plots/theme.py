"""How plots look: two palettes, and shapes that tell series apart without any colour."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Theme:
    """A palette. `series` colours differ in lightness too, and are told apart by the colour-blind.

    Source of the hues: Okabe and Ito, Color Universal Design, 2008.
    """

    name: str
    paper: str
    ink: str
    faint: str
    grid: str
    series: tuple[str, ...]


LIGHT = Theme(
    "light",
    paper="#ffffff",
    ink="#1b1b1f",
    faint="#5c5f66",
    grid="#d9dbe0",
    series=("#0060a8", "#c44e00", "#007a5a", "#9b3a7d", "#6b5300", "#3d3d8f"),
)
DARK = Theme(
    "dark",
    paper="#16181d",
    ink="#eceef2",
    faint="#a9adb6",
    grid="#383c45",
    series=("#62b5f0", "#f59a4a", "#35c79a", "#e59acb", "#d9c04a", "#a9a9f5"),
)
THEMES = (LIGHT, DARK)
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
LINES = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)), (0, (8, 2)))
HATCHES = ("////", "", "....", "xxxx", "\\\\\\\\", "++")


@dataclass(frozen=True)
class Look:
    """Colour, marker, line and hatch of the n-th series."""

    colour: str
    marker: str
    line: Any
    hatch: str


def look(theme: Theme, number: int) -> Look:
    """How the n-th series looks; shapes repeat after different counts, so that pairs of them do not."""
    return Look(
        theme.series[number % len(theme.series)],
        MARKERS[number % len(MARKERS)],
        LINES[number % len(LINES)],
        HATCHES[number % len(HATCHES)],
    )


@contextmanager
def themed(theme: Theme) -> Iterator[None]:
    """Within it figures are drawn in a theme, and the same figure gives the same bytes."""
    import matplotlib as mpl
    from cycler import cycler

    with mpl.rc_context(mpl.rcParamsDefault):
        mpl.rcParams.update(_settings(theme))
        mpl.rcParams["axes.prop_cycle"] = cycler(color=theme.series)
        yield


def _settings(theme: Theme) -> Any:
    return {
        **dict.fromkeys(("figure.facecolor", "axes.facecolor", "savefig.facecolor"), theme.paper),
        **dict.fromkeys(("text.color", "axes.labelcolor", "xtick.color", "ytick.color"), theme.ink),
        "axes.edgecolor": theme.faint,
        "hatch.color": theme.paper,
        "hatch.linewidth": 1.4,
        "grid.color": theme.grid,
        "grid.linewidth": 0.7,
        "axes.grid": True,
        "axes.axisbelow": True,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "font.family": "sans-serif",
        "font.sans-serif": ["DejaVu Sans"],
        "font.size": 10,
        "legend.handlelength": 3.2,
        "lines.linewidth": 1.8,
        "lines.markersize": 6,
        "text.parse_math": False,  # a dollar in a name is a dollar
        "svg.fonttype": "none",  # labels stay text: found by a search, read aloud
        "svg.hashsalt": "vitbench",
    }


def legend_order(labels: Sequence[str]) -> dict[str, int]:
    """A number for each label, in the order in which they first occur."""
    return {label: number for number, label in enumerate(dict.fromkeys(labels))}
