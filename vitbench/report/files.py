"""A report as files: every format beside the other, and the plots."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from vitbench.report.comparisons.render import render_comparisons
from vitbench.report.save import write_file
from vitbench.report.screen import Screen

if TYPE_CHECKING:
    from vitbench.records.comparison import Comparison

NAMES = {"markdown": "report.md", "csv": "report.csv", "json": "report.json", "html": "report.html"}


def write_reports(
    directory: Path, comparisons: Sequence[Comparison], *, forms: Sequence[str] = tuple(NAMES)
) -> list[Path]:
    """Write comparisons to `report.md`, `report.csv`, ... in a directory, which is made; each file whole.

    Args:
        directory: where to; files of these names there are replaced.
        comparisons: at least one.
        forms: of `NAMES`.

    Returns:
        The files, in the order of the formats.

    Raises:
        UsageError: the directory cannot be made, or a file not written.
    """
    written = []
    for form in forms:
        text = render_comparisons(comparisons, form, Screen(), timings=True)
        written.append(write_file(directory / NAMES[form], text.encode()))
    return written
