"""One renderer per format, all over the same rows."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import TYPE_CHECKING

from vitbench.errors import UsageError
from vitbench.report.rows import Row, from_records
from vitbench.report.screen import Screen

if TYPE_CHECKING:
    from vitbench.records.schema import Record

ENTRY_POINTS = "vitbench.renderers"
Renderer = Callable[[Sequence[Row], Screen], str]

# Format to the module and function that draws it, imported when it is asked for.
BUILT_IN = {
    "table": ("vitbench.report.table", "render"),
    "markdown": ("vitbench.report.markdown", "render"),
    "csv": ("vitbench.report.data", "render_csv"),
    "json": ("vitbench.report.data", "render_json"),
    "html": ("vitbench.report.comparisons.render", "render_page"),
}


def render(rows: Sequence[Row], form: str = "table", screen: Screen | None = None) -> str:
    """Draw rows in a format; nothing for no rows, except where an empty document has a form of its own.

    Args:
        rows: what to show, in this order.
        form: one of `BUILT_IN`, or a name of the entry points `vitbench.renderers`.
        screen: what a table is drawn on; standard output when None.

    Raises:
        UsageError: there is no such format.
    """
    renderer = find_renderer(form)
    if not rows and form in ("table", "markdown"):
        return ""
    return renderer(rows, screen or Screen.of(sys.stdout))


def render_records(records: Sequence[Record], form: str = "table", screen: Screen | None = None) -> str:
    """Draw records in their order; see `render`."""
    return render(from_records(records), form, screen)


def find_renderer(form: str) -> Renderer:
    """Find the renderer of a format.

    Raises:
        UsageError: there is none, or the package that brings it does not load.
    """
    if form in BUILT_IN:
        module, function = BUILT_IN[form]
        found: Renderer = getattr(import_module(module), function)
        return found
    from importlib.metadata import entry_points

    points = {point.name: point for point in entry_points(group=ENTRY_POINTS)}
    if form not in points:
        raise UsageError(f"unknown format `{form}`", f"one of {', '.join([*BUILT_IN, *sorted(points)])}")
    try:
        loaded: Renderer = points[form].load()
    except Exception as error:
        raise UsageError(
            f"format `{form}` does not load: {error}", f"it comes from `{points[form].value}`"
        ) from error
    return loaded
