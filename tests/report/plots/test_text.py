"""The plot in letters."""

from __future__ import annotations

import pytest

from benchmarks.example_comparisons import example_study
from vitbench.report import Screen, render_comparisons
from vitbench.report.plots.series import Point, Series
from vitbench.report.plots.text import text_plot


def curve(label: str, *values: float, valid: bool = True) -> Series:
    points = [Point(49 * 4**number, value, None, None, valid) for number, value in enumerate(values)]
    return Series(label, points)


def test_curves_are_drawn_on_logarithmic_axes() -> None:
    text = text_plot([curve("one", 1, 10, 100), curve("two", 10, 10, 10)], Screen(width=80), "latency ms")
    lines = text.splitlines()
    assert lines[0] == "latency ms:  o one   x two"
    assert max(map(len, lines)) <= 80
    # A straight line over the logs: ends in the corners, middle in the middle.
    rows = [line for line in lines[1:] if "┤" in line or "│" in line]
    assert rows[-1].rstrip().split("┤")[1].startswith("o")
    assert rows[0].rstrip().endswith("o")
    assert "49" in lines[-1]
    assert "784" in lines[-1]


@pytest.mark.parametrize("width", [52, 80, 100, 160])
def test_a_plot_fits_the_screen(width: int) -> None:
    text = text_plot([curve("one", 1, 10, 100)], Screen(width=width), "ms")
    assert max(map(len, text.splitlines())) <= width


def test_a_screen_without_room_has_no_plot() -> None:
    assert text_plot([curve("one", 1, 10, 100)], Screen(width=40), "ms") == ""


def test_values_that_do_not_differ_are_a_line() -> None:
    assert text_plot([curve("one", 5, 5, 5)], Screen(width=80), "ms").count("o") == 5


def test_points_that_are_not_valid_are_marked() -> None:
    text = text_plot([curve("one", 1, 2, 4, valid=False)], Screen(width=80), "ms")
    assert "? not valid" in text
    assert text.count("?") == 4


def test_colour_only_where_the_screen_has_it_and_ascii_where_it_must() -> None:
    study = example_study(3)
    assert "\x1b" not in render_comparisons(study, "table", Screen(width=80))
    assert "\x1b" in render_comparisons(study, "table", Screen(width=80, colour=True))
    plain = render_comparisons(study, "table", Screen(width=80, ascii_only=True))
    assert plain.isascii()
    assert "+---" in plain
