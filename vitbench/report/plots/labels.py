"""Names beside points, put where they hide neither each other nor a point."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from vitbench.report.plots.theme import Theme

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SIZE = 7.5
_LETTER, _LINE, _CLEAR = 0.62 * SIZE, 1.25 * SIZE, 6.0
UP_LEFT = 6
Box = tuple[float, float, float, float]


def name_points(
    axes: Axes,
    theme: Theme,
    points: Sequence[tuple[float, float]],
    names: Sequence[str],
    first: int = 0,
) -> None:
    """Write each name beside its point: right, left, above or below it, or further off with a line to it.

    To be called when the limits of the axes are final. Sizes are estimates from the number of letters.
    `first` is the spot of `_spots` to try before the others.
    """
    figure = axes.get_figure(root=True)
    assert figure is not None
    scale = 72 / figure.dpi
    centres = [tuple(scale * value for value in axes.transData.transform(point)) for point in points]
    frame = [scale * value for value in axes.get_window_extent().extents]
    taken: list[Box] = [(x - 3.5, y - 3.5, x + 3.5, y + 3.5) for x, y in centres]
    for (x, y), name, point in zip(centres, names, points, strict=True):
        width = _LETTER * len(name)
        spots = [spot for reach in (1, 2.2, 3.6, 5) for spot in _spots(width, reach * _CLEAR, first)]
        dx, dy = next((spot for spot in spots if _free(_box(x, y, spot, width), taken, frame)), spots[0])
        taken.append(_box(x, y, (dx, dy), width))
        far = max(abs(dx), abs(dy)) > 1.5 * _CLEAR + width
        axes.annotate(
            name,
            point,
            xytext=(dx, dy),
            textcoords="offset points",
            fontsize=SIZE,
            color=theme.ink,
            va="center",
            arrowprops={"arrowstyle": "-", "color": theme.faint, "linewidth": 0.6} if far else None,
            bbox={"facecolor": theme.paper, "alpha": 0.7, "edgecolor": "none", "pad": 0.6},
            zorder=6,
        )


def _spots(width: float, clear: float, first: int) -> list[tuple[float, float]]:
    """Offsets of the left middle of a text from its point."""
    middle = -width / 2
    spots = [
        (clear, 0),
        (-clear - width, 0),
        (middle, clear + 2),
        (middle, -clear - 2),
        (clear, clear),
        (clear, -clear),
        (-clear - width, clear),
        (-clear - width, -clear),
    ]
    return [*spots[first:], *spots[:first]]


def _box(x: float, y: float, spot: tuple[float, float], width: float) -> Box:
    left, middle = x + spot[0], y + spot[1]
    return left, middle - _LINE / 2, left + width, middle + _LINE / 2


def _free(box: Box, taken: Sequence[Box], frame: Sequence[float]) -> bool:
    inside = box[0] >= frame[0] and box[1] >= frame[1] and box[2] <= frame[2] and box[3] <= frame[3]
    return inside and not any(
        box[0] < other[2] and other[0] < box[2] and box[1] < other[3] and other[1] < box[3] for other in taken
    )
