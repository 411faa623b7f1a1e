"""A report as files: every format beside the other, and the plots."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from vitbench.report.comparisons.render import render_comparisons
from vitbench.report.comparisons.rows import Versus, from_comparisons
from vitbench.report.rows import Row
from vitbench.report.save import write_file
from vitbench.report.screen import Screen

if TYPE_CHECKING:
    from vitbench.records.comparison import Comparison
    from vitbench.records.store import Store

# Each takes seconds to draw.
MOST_SAMPLED = 12
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


def write_comparison_plots(directory: Path, comparisons: Sequence[Comparison]) -> list[Path]:
    """Write every plot of comparisons as PNG and SVG, light and dark, those of their samples included.

    Raises:
        UsageError: matplotlib is not installed, or a file cannot be written.
    """
    from vitbench.report.plots.choose import plots_of, sample_plots
    from vitbench.report.plots.figure import write_plots

    return write_plots(directory, [*plots_of([], from_comparisons(comparisons)), *sample_plots(comparisons)])


def write_stored_plots(
    directory: Path, store: Store, rows: Sequence[Row], comparisons: Sequence[Versus]
) -> list[str]:
    """Write every plot of what a report shows; those of single iterations only of the newest records.

    Args:
        directory: where to.
        store: where the records are.
        rows: runs.
        comparisons: comparisons.

    Returns:
        Lines for standard error: what was written, and what was left out.

    Raises:
        UsageError: matplotlib is not installed, a record cannot be read, or a file not written.
    """
    from vitbench.report.plots.choose import plots_of, sample_plots
    from vitbench.report.plots.figure import write_plots

    ids = sorted([*(row.id for row in rows), *(row.id for row in comparisons)], reverse=True)
    documents = [store.read(record) for record in ids[:MOST_SAMPLED]]
    written = write_plots(directory, [*plots_of(rows, comparisons), *sample_plots(documents)])
    lines = [f"wrote {len(written)} files of plots to `{directory}`"]
    if len(ids) > MOST_SAMPLED:
        lines.append(f"single iterations drawn of the newest {MOST_SAMPLED} of {len(ids)} records only")
    return lines
