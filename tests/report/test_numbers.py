"""Numbers as text: the digits that the interval supports, and nothing that steers a terminal."""

from __future__ import annotations

import math
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vitbench.report.numbers import cells_wide, reach, significant, with_interval, wrap
from vitbench.text import clean


@pytest.mark.parametrize(
    ("value", "low", "high", "text"),
    [
        (27.4312, 27.22, 27.64, "27.43 ± 0.21"),
        (27.4312, 26.0, 29.0, "27.4 ± 1.6"),
        (1234.5, 1225.0, 1244.0, "1234.5 ± 9.5"),
        (2734.5, 2713.0, 2755.0, "2734 ± 22"),
        (0.0412, 0.0411, 0.0413, "0.04120 ± 0.00010"),
        (10.0, 9.9004, 10.0996, "10.00 ± 0.10"),
        (5.0, 4.0, 5.1, "5.0 ± 1.0"),
        (27.4312, None, None, "27.4"),
        (27.4312, 27.4312, 27.4312, "27.4"),
        (27.4312, 0.0, math.inf, "27.4"),
    ],
)
def test_a_value_has_the_digits_its_interval_supports(
    value: float, low: float | None, high: float | None, text: str
) -> None:
    assert with_interval(value, low, high) == text


@given(st.floats(0.001, 1e5), st.floats(1e-4, 0.5))
def test_value_and_half_width_have_the_same_decimals(value: float, share: float) -> None:
    text = with_interval(value, value * (1 - share), value * (1 + share))
    left, right = text.split(" ± ")
    assert len(left.partition(".")[2]) == len(right.partition(".")[2])
    assert abs(float(left) - value) <= value * share


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "-"),
        (0.0, "0.00"),
        (1.599, "1.60"),
        (0.9996, "1.00"),
        (58.31, "58.3"),
        (1234.5, "1234"),
        (0.0031, "0.00310"),
        (2.1e-9, "2.10e-09"),
        (-3.1415, "-3.14"),
        (math.inf, "inf"),
        (math.nan, "nan"),
    ],
)
def test_three_digits(value: float | None, text: str) -> None:
    assert significant(value) == text


@pytest.mark.parametrize(
    "text",
    ["\x1b[31mred", "two\nlines", "bell\x07", "right\u202eleft", "zero\u200bwidth", "c1\x9b31m", "\ud800"],
)
def test_nothing_steers_the_terminal(text: str) -> None:
    assert re.search(r"[\x00-\x1f\x7f-\x9f\u200b\u202e\ud800-\udfff]", clean(text)) is None
    assert len(clean(text)) == len(text)


def test_reach_is_the_larger_side_of_an_interval() -> None:
    assert reach(10.0, 9.5, 12.0) == 2.0
    assert reach(10.0, 7.0, 12.0) == 3.0
    assert reach(10.0, None, 12.0) is None


def test_harmless_text_stays() -> None:
    assert clean("Intel® Core™ i7 ± µs") == "Intel® Core™ i7 ± µs"


@given(st.text(st.characters(codec="ascii", categories=["L", "N", "Zs", "P"])), st.integers(5, 40))
def test_wrapping_loses_no_word_and_keeps_the_width(text: str, width: int) -> None:
    lines = wrap(text, width)
    assert "".join("".join(lines).split()) == "".join(text.split())
    assert all(cells_wide(line) <= width for line in lines)


def test_wide_letters_take_two_cells() -> None:
    assert cells_wide("模型") == 4
