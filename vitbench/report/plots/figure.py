"""A plot: what it is, in words and drawn; as bytes of a PNG or an SVG, the same bytes every time."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vitbench.errors import UsageError
from vitbench.report.numbers import wrap
from vitbench.report.plots.theme import THEMES, Theme, themed
from vitbench.report.save import write_file
from vitbench.text import clean

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INCH = 72
WIDTH = 7.6
TITLE, SMALL = 11.5, 8.0
CAPTION_LETTERS, TITLE_LETTERS, LEGEND_LETTERS = 104, 74, 100
FOOT, RIGHT, LEGEND_ROW = 0.62, 0.15, 0.24
DPI = 160
FORMATS = ("png", "svg")
ADVICE = "pip install 'vitbench[plots]'"


@dataclass(frozen=True)
class Plot:
    """A plot to be drawn.

    `name` is the stem of its files. `caption` is what was measured: target, protocol, sample size, date.
    `told` says in a sentence what there is to see, for who does not. `draw` fills axes in a theme; `height`
    is that of the axes and `left` the room for names beside them, in inches.
    """

    name: str
    title: str
    caption: Sequence[str]
    told: str
    draw: Callable[[Axes, Theme], None]
    height: float = 4.0
    left: float = 0.8
    simulated: bool = False


def check_plots() -> None:
    """Make sure that plots can be drawn, before anything is measured for them.

    Raises:
        UsageError: matplotlib is not installed.
    """
    if not plots_available():
        raise UsageError("plots need matplotlib, which is not installed", ADVICE)


def plots_available() -> bool:
    """Whether matplotlib is installed."""
    from importlib.util import find_spec

    return find_spec("matplotlib") is not None


def write_plots(directory: Path, plots: Sequence[Plot]) -> list[Path]:
    """Write every plot as PNG and SVG, light and dark: `latency-tokens-light.svg`.

    Raises:
        UsageError: matplotlib is not installed, or a file cannot be written.
    """
    check_plots()
    return [
        write_file(directory / f"{plot.name}-{theme.name}.{form}", data)
        for plot in plots
        for theme in THEMES
        for form, data in drawn(plot, theme, FORMATS).items()
    ]


def drawn(plot: Plot, theme: Theme, forms: Sequence[str]) -> dict[str, bytes]:
    """Draw a plot once and save it in several formats."""
    import warnings

    with themed(theme), warnings.catch_warnings():
        # A name in letters that the font lacks has boxes in its place.
        warnings.filterwarnings("ignore", message="Glyph")
        figure = _figure(plot, theme)
        return {form: _save(figure, form, plot) for form in forms}


def _figure(plot: Plot, theme: Theme) -> Figure:
    """Title, caption and legend above the axes, in inches: nothing overlaps, however long they are."""
    from matplotlib.figure import Figure

    title = wrap(clean(plot.title), TITLE_LETTERS)
    caption = [line for text in plot.caption for line in wrap(clean(text), CAPTION_LETTERS)]
    step, small = TITLE * 1.35 / INCH, SMALL * 1.45 / INCH
    figure = Figure(figsize=(WIDTH, FOOT + plot.height))
    left, across = plot.left / WIDTH, (WIDTH - plot.left - RIGHT) / WIDTH
    below = FOOT / (FOOT + plot.height)
    axes = figure.add_axes((left, below, across, 1 - below))
    plot.draw(axes, theme)
    head = 0.14 + step * len(title) + small * len(caption) + 0.12 + LEGEND_ROW * _legend(axes)
    height = head + plot.height + FOOT
    figure.set_size_inches(WIDTH, height)
    axes.set_position((left, FOOT / height, across, plot.height / height))
    _lines(figure, title, 0.14, step, height, fontsize=TITLE, fontweight="bold")
    _lines(figure, caption, 0.14 + step * len(title), small, height, fontsize=SMALL, color=theme.faint)
    if plot.simulated:
        _watermark(axes, theme)
    _clean_texts(figure)
    return figure


def _legend(axes: Axes) -> int:
    """A legend above the axes, where it hides nothing, in as many columns as fit; how many rows it has."""
    labels = axes.get_legend_handles_labels()[1]
    if not labels:
        return 0
    columns = max(1, min(len(labels), int(LEGEND_LETTERS // (max(map(len, labels)) + 7))))
    axes.legend(
        loc="lower left",
        bbox_to_anchor=(-0.01, 1.0),
        ncols=columns,
        frameon=False,
        fontsize=9,
        columnspacing=1.4,
        borderpad=0.2,
    )
    return -(-len(labels) // columns)


def _lines(
    figure: Figure, lines: Sequence[str], start: float, step: float, height: float, **how: Any
) -> None:
    for number, line in enumerate(lines):
        y = 1 - (start + step * number) / height
        figure.text(0.012, y, line, va="top", **how)


def _clean_texts(figure: Figure) -> None:
    """Names may come from a file: what steers a line in them is replaced."""
    from matplotlib.text import Text

    for text in figure.findobj(Text):
        assert isinstance(text, Text)
        text.set_text(clean(text.get_text()))


def _watermark(axes: Axes, theme: Theme) -> None:
    axes.text(
        *(0.5, 0.5, "SIMULATED"),
        transform=axes.transAxes,
        ha="center",
        va="center",
        rotation=24,
        fontsize=54,
        fontweight="bold",
        color=theme.faint,
        alpha=0.28,
        zorder=10,
    )


def _save(figure: Figure, form: str, plot: Plot) -> bytes:
    data = io.BytesIO()
    # No date and no name of a program: the same figures give the same bytes.
    metadata: dict[str, Any] = {"Date": None, "Creator": None} if form == "svg" else {"Software": None}
    figure.savefig(data, format=form, dpi=DPI, metadata=metadata)
    return _described(data.getvalue(), plot) if form == "svg" else data.getvalue()


def _described(svg: bytes, plot: Plot) -> bytes:
    """An SVG with a title and a description, which a screen reader says in its place."""
    start = svg.index(b"<svg ")
    end = svg.index(b">", start) + 1
    words = f"\n <title>{escape(clean(plot.title))}</title>\n <desc>{escape(clean(plot.told))}</desc>"
    return svg[: end - 1] + b' role="img">' + words.encode() + svg[end:]
