"""Sessions against their history: the prediction limit, and changes of level."""

from __future__ import annotations

import numpy as np
import pytest

from vitbench.stats.history import change_points, prediction_limit


def test_the_limit_by_hand() -> None:
    found = prediction_limit([float(np.exp(each)) for each in (0.0, 0.1, 0.2)])
    assert found.centre == pytest.approx(np.exp(0.1))
    # t(.99, 2) = 6.9646, s = 0.1, sqrt(4/3)
    assert np.log(found.limit) == pytest.approx(0.1 + 6.964557 * 0.1 * (4 / 3) ** 0.5, rel=1e-6)
    with pytest.raises(ValueError, match="two sessions"):
        prediction_limit([1.0])


@pytest.mark.parametrize("sessions", [10, 30])
def test_one_session_more_is_beyond_the_limit_as_often_as_it_says(sessions: int) -> None:
    rng = np.random.default_rng(1)
    drawn = np.exp(rng.normal(0, 0.03, (4000, sessions + 1)))
    beyond = sum(float(row[-1]) > prediction_limit(row[:-1].tolist()).limit for row in drawn)
    assert 0.0055 <= beyond / 4000 <= 0.0145


def test_a_change_of_level_is_found_where_it_is() -> None:
    rng = np.random.default_rng(2)
    medians = np.exp(rng.normal(0, 0.005, 30))
    medians[18:] *= 1.05
    assert change_points(medians.tolist()) == (18,)
    assert change_points((1e3 * medians).tolist()) == (18,)


def test_a_steady_history_has_no_changes() -> None:
    """At most one history in twenty is said to have changed."""
    rng = np.random.default_rng(3)
    changed = sum(bool(change_points(np.exp(rng.normal(0, 0.01, 24)).tolist())) for _ in range(100))
    assert changed <= 5


def test_short_and_constant_histories() -> None:
    assert change_points([1.0, 2.0, 1.0, 2.0, 2.0]) == ()
    assert change_points([5.0] * 20) == ()
    assert change_points([5.0] * 10 + [5.5] * 10) == (10,)
