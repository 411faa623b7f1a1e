"""The page: sections in order, their plots, and the little that makes it readable everywhere."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator, Sequence
from importlib.resources import files

from vitbench.report.html.plots import plot_html
from vitbench.report.html.tables import table_html, text
from vitbench.report.plots import figure
from vitbench.report.sections import Section

NO_PLOTS = f"No plots: matplotlib is not installed here ({figure.ADVICE})."


def page(title: str, sections: Sequence[Section], plots: Sequence[figure.Plot]) -> str:
    """Write a page that refers to nothing outside of itself and runs only its own script.

    Args:
        title: its heading.
        sections: tables and sentences, in order.
        plots: drawn behind them; a line says so where matplotlib is missing.
    """
    style, script = (files(__package__).joinpath(name).read_text() for name in ("style.css", "sort.js"))
    digest = base64.b64encode(hashlib.sha256(f"\n{script}".encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'unsafe-inline'; img-src data:; script-src 'sha256-{digest}'"
    return "\n".join(
        [
            '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">',
            f'<meta http-equiv="Content-Security-Policy" content="{policy}">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>{text(title)}</title>\n<style>\n{style}</style>\n</head>\n<body>",
            f"<h1>{text(title)}</h1>",
            *_contents(sections, plots),
            "<main>",
            *(_section(number, section) for number, section in enumerate(sections)),
            *_plots(plots),
            f"</main>\n<script>\n{script}</script>\n</body>\n</html>\n",
        ]
    )


def _contents(sections: Sequence[Section], plots: Sequence[figure.Plot]) -> Iterator[str]:
    """Links to the sections, where there are several."""
    titled = [(number, section.title) for number, section in enumerate(sections) if section.level == 1]
    links = [f'<li><a href="#part-{number}">{text(title or "")}</a></li>' for number, title in titled]
    if plots:
        links.append('<li><a href="#plots">Plots</a></li>')
    if len(links) > 1:
        yield f'<nav aria-label="Contents"><ul>\n{chr(10).join(links)}\n</ul></nav>'


def _section(number: int, section: Section) -> str:
    level, title = section.level + 1, section.title or ""
    parts = [f'<section>\n<h{level} id="part-{number}">{text(title)}</h{level}>']
    if section.page:
        parts.append(table_html(section.page, title))
    if section.sentences:
        items = "\n".join(f"<li>{text(sentence)}</li>" for sentence in section.sentences)
        parts.append(f"<ul>\n{items}\n</ul>")
    return "\n".join([*parts, "</section>"])


def _plots(plots: Sequence[figure.Plot]) -> Iterator[str]:
    if not plots:
        return
    yield '<section>\n<h2 id="plots">Plots</h2>'
    if figure.plots_available():
        yield '<div class="plots">'
        yield from (plot_html(plot) for plot in plots)
        yield "</div>"
    else:
        yield f'<p class="note">{text(NO_PLOTS)}</p>'
    yield "</section>"
