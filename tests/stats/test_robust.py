"""Outlier counts and the robust slope."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import theilslopes

from vitbench.stats.robust import Outliers, theil_sen_slope, tukey_outliers

finite = st.floats(min_value=-1e6, max_value=1e6)


def test_outliers_beyond_the_fences_on_both_sides() -> None:
    # Quartiles 10 and 12: mild beyond 7 and 15, severe beyond 4 and 18.
    body = [10] * 40 + [12] * 40
    assert tukey_outliers(body) == Outliers(0, 0)
    assert tukey_outliers([*body, 7, 15]) == Outliers(0, 0)
    assert tukey_outliers([*body, 6.9, 15.1, 4, 18]) == Outliers(4, 0)
    assert tukey_outliers([*body, 6.9, 3.9, 18.1]) == Outliers(1, 2)


def test_values_all_the_same_have_no_outliers() -> None:
    assert tukey_outliers([5, 5, 5]) == Outliers(0, 0)
    assert tukey_outliers([7]) == Outliers(0, 0)


@given(st.lists(finite, min_size=1, max_size=50), st.sampled_from([2.0**-10, 2.0, 2.0**20]))
def test_outlier_counts_do_not_depend_on_the_unit(values: list[float], scale: float) -> None:
    rounded = np.round(np.asarray(values), 1)
    assert tukey_outliers(rounded * scale) == tukey_outliers(rounded)


@given(st.lists(finite, min_size=2, max_size=40))
def test_the_slope_is_that_of_scipy(values: list[float]) -> None:
    assert theil_sen_slope(values) == pytest.approx(theilslopes(values).slope, rel=1e-9, abs=1e-9)


def test_the_slope_ignores_a_spike() -> None:
    line = [2.0 + 0.5 * step for step in range(21)]
    line[10] = 1e9
    assert theil_sen_slope(line) == pytest.approx(0.5)
    assert theil_sen_slope([3.0]) == 0.0
