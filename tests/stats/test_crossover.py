"""Crossings of curves whose zeros are known."""

import math
from itertools import pairwise

import numpy as np
import pytest

from vitbench.stats.crossover import Crossover, Span, find_crossover

TOKENS = (49, 196, 784, 3136)


def crossover(estimates: list[float], reach: float | list[float] = 0.1) -> Crossover:
    middle, around = np.array(estimates), np.broadcast_to(reach, len(estimates))
    return find_crossover(TOKENS[: len(middle)], middle, middle - around, middle + around)


def test_a_line_over_log_tokens_crosses_where_it_is_zero() -> None:
    found = crossover([1.0, 0.5, -0.5, -1.5], 0.25)
    (crossing,) = found.crossings
    assert crossing.tokens == pytest.approx(math.sqrt(196 * 784))
    assert not crossing.rising
    # The band reaches zero a quarter of the way before and after, of a factor of 4 in tokens.
    assert crossing.span.low == pytest.approx(196 * 4**0.25)
    assert crossing.span.high == pytest.approx(196 * 4**0.75)
    assert found.undecided == ()
    assert found.outside is None
    assert str(found) == "at 392 tokens (277 to 554)"


def test_swapping_the_sides_mirrors_only_the_direction() -> None:
    first, second = crossover([1.0, 0.2, -0.7, -1.5]), crossover([-1.0, -0.2, 0.7, 1.5])
    (one,), (other,) = first.crossings, second.crossings
    assert one.tokens == pytest.approx(other.tokens)
    assert (one.span.low, one.span.high) == pytest.approx((other.span.low, other.span.high))
    assert (one.rising, other.rising) == (False, True)


def test_the_unit_of_tokens_only_scales_the_crossing() -> None:
    middle = np.array([0.4, 0.1, -0.3])
    one, ten = (
        find_crossover(k * np.array(TOKENS[:3]), middle, middle - 0.05, middle + 0.05) for k in (1, 10)
    )
    assert ten.crossings[0].tokens == pytest.approx(10 * one.crossings[0].tokens)


@pytest.mark.parametrize(
    ("estimates", "outside", "words"),
    [
        ([-0.2, -0.5, -0.9, -1.4], "below", "below 49 tokens"),
        ([0.2, 0.5, 0.9, 1.4], "below", "below 49 tokens"),
        ([1.4, 0.9, 0.5, 0.2], "beyond", "beyond 3136 tokens"),
        ([0.2, 0.9, 0.9, 0.5], "both", "below 49 or beyond 3136 tokens"),
        ([0.9, 0.2, 0.2, 0.9], None, "none from 49 to 3136 tokens"),
        ([0.4, 0.4, 0.4, 0.4], None, "none from 49 to 3136 tokens"),
    ],
)
def test_without_a_crossing_it_says_where_one_may_be(
    estimates: list[float], outside: str | None, words: str
) -> None:
    found = crossover(estimates)
    assert (found.crossings, found.outside) == ((), outside)
    assert str(found) == words
    assert found.undecided == ()


def test_an_interval_that_reaches_an_end_is_one_sided() -> None:
    found = crossover([0.05, -0.5, -0.9], 0.1)
    (crossing,) = found.crossings
    assert crossing.span.low is None
    assert crossing.span.high == pytest.approx(49 * 4 ** (0.15 / 0.55))
    assert str(found) == "at 56 tokens (below 49 to 72)"
    found = crossover([0.9, 0.5, -0.05], 0.1)
    assert found.crossings[0].span.high is None
    assert str(found).endswith("to beyond 784)")


def test_several_crossings_are_all_reported() -> None:
    found = crossover([0.5, -0.5, 0.5, -0.5], 0.1)
    assert [crossing.rising for crossing in found.crossings] == [False, True, False]
    assert [crossing.tokens for crossing in found.crossings] == pytest.approx([98, 392, 1568])
    spans = [crossing.span for crossing in found.crossings]
    assert all(one.high < other.low for one, other in pairwise(spans))
    assert str(found).count("tokens (") == 3


def test_crossings_that_the_data_do_not_tell_apart_share_their_span() -> None:
    found = crossover([0.5, -0.05, 0.05, -0.5], 0.1)
    assert len(found.crossings) == 3
    assert len({crossing.span for crossing in found.crossings}) == 1


def test_where_the_interval_contains_zero_without_a_crossing_it_is_undecided() -> None:
    found = crossover([0.5, 0.05, 0.5, 0.05], 0.1)
    assert found.crossings == ()
    inner, last = found.undecided
    assert inner.low < 196 < inner.high
    assert (last.low > 784, last.high) == (True, None)
    assert found.outside == "beyond"


def test_intervals_of_too_few_pairs_say_nothing() -> None:
    found = crossover([0.5, -0.5, -1.0], math.inf)
    assert [crossing.span for crossing in found.crossings] == [Span(None, None)]
    found = crossover([0.5, -0.5, -1.0], [0.1, math.inf, 0.1])
    (crossing,) = found.crossings
    assert (crossing.span.low, crossing.span.high) == pytest.approx((49, 784), rel=1e-6)


def test_zeros_are_crossed_or_touched() -> None:
    (crossing,) = crossover([0.5, 0.0, -0.5]).crossings
    assert crossing.tokens == pytest.approx(196)
    (crossing,) = crossover([0.5, 0.0, 0.0, -0.5]).crossings
    assert crossing.tokens == pytest.approx(392)
    assert crossover([0.5, 0.0, 0.5]).crossings == ()
    flat = crossover([0.0, 0.0, 0.0])
    assert (flat.crossings, flat.undecided, flat.outside) == ((), (Span(None, None),), None)


def test_an_exact_curve_has_a_span_of_a_point() -> None:
    (crossing,) = crossover([0.5, -0.5], 0.0).crossings
    assert (crossing.span.low, crossing.span.high) == pytest.approx((98, 98))


def test_the_span_covers_the_true_crossing_as_often_as_it_says() -> None:
    rng = np.random.default_rng(0)
    tokens = np.array([49, 100, 196, 400, 784, 1600, 3136])
    truth, deviation = np.log(300 / tokens), 0.2
    covered = 0
    for _ in range(1000):
        drawn = truth + rng.normal(0, deviation, len(tokens))
        found = find_crossover(tokens, drawn, drawn - 1.96 * deviation, drawn + 1.96 * deviation)
        spans = [crossing.span for crossing in found.crossings]
        covered += any((span.low or 0) <= 300 <= (span.high or math.inf) for span in spans)
    assert covered >= 930


@pytest.mark.parametrize(
    ("tokens", "estimates", "message"),
    [
        ([49], [0.1], "two or more"),
        ([49, 196], [0.1], "as many"),
        ([196, 49], [0.1, 0.2], "increasing"),
        ([49, 49], [0.1, 0.2], "increasing"),
        ([0, 49], [0.1, 0.2], "positive"),
        ([49, 196], [0.1, math.nan], "a number within its interval"),
        ([49, 196], [0.1, 3.0], "a number within its interval"),
    ],
)
def test_what_is_no_curve_is_refused(tokens: list[float], estimates: list[float], message: str) -> None:
    ends = [1.0] * len(estimates)
    with pytest.raises(ValueError, match=message):
        find_crossover(tokens, estimates, [-end for end in ends], ends)
