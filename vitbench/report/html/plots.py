"""Plots inside of a page: SVG in the page's own colours, so that one drawing serves light and dark."""

from __future__ import annotations

import re

from vitbench.report.html.tables import text
from vitbench.report.plots.figure import Plot, drawn
from vitbench.report.plots.theme import LIGHT

_SVG = re.compile(rb"<svg .*</svg>", re.DOTALL)
_METADATA = re.compile(r"\s*<metadata>.*?</metadata>", re.DOTALL)
_NAMESPACES = re.compile(r'\s+xmlns(:\w+)?="[^"]*"')
_COLOURS = {
    LIGHT.paper: "--paper",
    LIGHT.ink: "--ink",
    LIGHT.faint: "--faint",
    LIGHT.grid: "--grid",
    **{colour: f"--s{number}" for number, colour in enumerate(LIGHT.series)},
}


def plot_html(plot: Plot) -> str:
    """A figure with its drawing; the title is in the drawing, what there is to see in the caption."""
    return (
        f'<figure>\n<div class="box" role="region" tabindex="0" aria-label="{text(plot.title)}">\n'
        f"{inline_svg(plot)}\n</div>\n<figcaption>{text(plot.told)}</figcaption>\n</figure>"
    )


def inline_svg(plot: Plot) -> str:
    """A plot as SVG for the inside of HTML: no size, no references out of itself, ids of its own."""
    found = _SVG.search(drawn(plot, LIGHT, ("svg",))["svg"])
    assert found is not None
    svg = _METADATA.sub("", found[0].decode())
    head, _, body = svg.partition(">")
    head = re.sub(r'\s(width|height)="[^"]*"', "", _NAMESPACES.sub("", head))
    svg = f"{head}>{body}".replace("xlink:href", "href")
    prefix = re.sub(r"[^A-Za-z0-9_-]", "_", plot.name)
    svg = re.sub(r'\bid="', f'id="{prefix}-', svg)
    svg = re.sub(r'(url\(#|href="#)', rf"\1{prefix}-", svg)
    for colour, name in _COLOURS.items():
        svg = svg.replace(colour, f"var({name})")
    return svg
