"""Comparisons shown by the command that made them, and as files."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks.example_comparisons import example_comparison, example_study
from vitbench.errors import UsageError
from vitbench.records.comparison import Timings
from vitbench.report import render_comparisons, show_comparisons, write_reports
from vitbench.report.comparisons.rows import from_comparisons
from vitbench.report.plots.choose import plots_of, sample_plots
from vitbench.report.plots.figure import drawn
from vitbench.report.plots.theme import LIGHT


def test_every_format_and_plot_is_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    comparisons = [example_comparison()]
    show_comparisons(comparisons, form="json", report=tmp_path / "report", plots=tmp_path / "plots")
    assert len(json.loads(capsys.readouterr().out)) == 1
    names = {path.name for path in (tmp_path / "report").iterdir()}
    assert names == {"report.md", "report.csv", "report.json", "report.html"}
    assert "Where the time went" in (tmp_path / "report" / "report.md").read_text()
    assert len(list((tmp_path / "plots").iterdir())) == 4


def test_of_nothing_no_files_are_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    show_comparisons([], form="json", report=tmp_path / "report", plots=tmp_path / "plots")
    assert capsys.readouterr().out == "[]\n"
    assert list(tmp_path.iterdir()) == []


def test_a_directory_that_cannot_be_made_is_a_usage_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match="cannot write"):
        write_reports(tmp_path / "file" / "report", example_study(1))


def test_records_that_were_not_measured_in_pairs_can_be_shown() -> None:
    nothing = Timings(wall_s=0, building_s=0, loading_s=0, warmup_s=0, timed_s=0, waiting_s=0)
    apart = example_comparison().model_copy(
        update={"pairs": (), "timings": nothing, "status": "inconclusive", "reasons": ("not in pairs",)}
    )
    assert apart.ratio is not None
    apart = apart.model_copy(update={"ratio": apart.ratio.model_copy(update={"pairs": 0})})
    text = render_comparisons([apart], "table", timings=True)
    assert "not measured in pairs" in text
    assert "Where the time went" not in text
    assert plots_of([], from_comparisons([apart])) == []
    (plot,) = sample_plots([apart])
    assert b"20" in drawn(plot, LIGHT, ("svg",))["svg"]
