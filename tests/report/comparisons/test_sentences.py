"""What is said of comparisons: where sides change places, and what limits them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import pytest

from benchmarks.example_comparisons import example_comparison, example_study
from vitbench.records.comparison import Comparison, Ratio
from vitbench.report.comparisons.crossing import crossings
from vitbench.report.comparisons.groups import grouped
from vitbench.report.comparisons.limits import limited_by, limits
from vitbench.report.comparisons.rows import Side, from_comparisons


def over_tokens(ratios: Sequence[tuple[float, float, float]], **changes: Any) -> list[Comparison]:
    """Rows at 49, 196, 784, ... tokens with these ratios, low and high ends."""
    made = []
    for number, (ratio, low, high) in enumerate(ratios):
        side = 7 * 2**number
        of = Ratio(ratio=ratio, low=low, high=high, confidence=0.95, pairs=10)
        made.append(example_comparison(number, tokens=(side, side), ratio=of, **changes))
    return made


def said(comparisons: Sequence[Comparison]) -> str:
    (group,) = grouped(from_comparisons(comparisons))
    return "\n".join(crossings(group))


def test_a_crossing_has_its_interval() -> None:
    text = said(over_tokens([(2, 1.9, 2.1), (0.5, 0.45, 0.55)]))
    # Log ratio from log 2 to -log 2 over log tokens from 49 to 196: zero in the middle.
    assert text.startswith("relu is faster than softmax from 98 [")
    assert "49 to 196 tokens were measured" in text
    assert "straight lines over the log of the tokens" in text


def test_the_first_side_may_be_the_faster_one() -> None:
    assert said(over_tokens([(0.5, 0.4, 0.6), (2, 1.8, 2.2)])).startswith(
        "softmax is faster than relu from 98 ["
    )


def test_an_interval_may_reach_out_of_what_was_measured() -> None:
    text = said(over_tokens([(1.1, 0.8, 1.3), (0.9, 0.7, 1.2), (0.5, 0.4, 0.6)]))
    assert text.startswith("relu is faster than softmax from 95 [under 49, ")


def test_what_the_data_do_not_tell_apart_is_no_crossing() -> None:
    text = said(over_tokens([(1.1, 0.8, 1.3), (0.9, 0.7, 1.2)]))
    assert text == "relu against softmax: not told apart at every count from 49 to 196 tokens."
    # Up and down again within one span.
    back = over_tokens([(0.5, 0.4, 0.6), (1.05, 0.9, 1.2), (0.5, 0.4, 0.6)])
    assert "not told apart at 196 tokens; faster at 784 tokens" in said(back)


def test_without_a_crossing_the_faster_one_is_named() -> None:
    text = said(over_tokens([(0.5, 0.4, 0.6), (0.4, 0.3, 0.5), (0.3, 0.2, 0.4)]))
    assert text == "relu against softmax: faster at every count from 49 to 784 tokens."
    text = said(over_tokens([(0.98, 0.9, 1.1), (0.4, 0.3, 0.5)]))
    assert text == "relu against softmax: not told apart at 49 tokens; faster at 196 tokens."


def test_rows_that_are_not_valid_decide_nothing_and_that_is_said() -> None:
    rows = over_tokens([(2, 1.9, 2.1), (3, 2.9, 3.1), (0.5, 0.4, 0.6)])
    rows[1] = rows[1].model_copy(update={"status": "unsteady"})
    assert "(without 1 of 3 rows, which are not valid)" in said(rows)
    assert said(rows[:2]) == ""


def test_rows_without_tokens_cross_nowhere() -> None:
    rows = [example_comparison(number, tokens=None, part="network") for number in range(3)]
    assert said(rows) == ""


def side(rate: float | None, traffic: float | None) -> Side:
    row = from_comparisons([example_comparison()])[0].sides[0].row
    return Side(
        label="x",
        row=row,
        time_ms=1.0,
        low_ms=None,
        high_ms=None,
        gmacs_per_s=rate,
        ns_per_kmac=None,
        macs_per_byte=None,
        ran_gmacs_per_s=rate,
        gbytes_per_s=traffic,
    )


@pytest.mark.parametrize(
    ("rate", "traffic", "limit"),
    [
        (80.0, 1.0, "arithmetic"),
        (10.0, 9.0, "memory"),
        (60.0, 9.0, "memory"),
        (90.0, 6.0, "arithmetic"),
        (49.0, 4.9, "neither"),
        (None, 9.0, None),
    ],
)
def test_a_side_is_limited_by_what_it_comes_nearest_to(
    rate: float | None, traffic: float, limit: str | None
) -> None:
    assert limited_by(side(rate, traffic), (100.0, 10.0)) == limit


def test_the_rule_is_stated_with_its_figures() -> None:
    rows = from_comparisons(example_study())
    *told, rule = limits(grouped(rows)[0], rows)
    assert [sentence.split()[0] for sentence in told] == ["softmax", "relu"]
    best = max(each.ran_gmacs_per_s or 0 for row in rows for each in row.sides)
    assert f"{best:.0f} GMAC/s" in rule
    assert "No limit of the device itself was measured." in rule


def test_one_row_alone_judges_no_limit() -> None:
    rows = from_comparisons([example_comparison()])
    assert limits(grouped(rows)[0], rows) == []


def test_rates_follow_from_counts_and_times() -> None:
    row = from_comparisons([example_comparison(latencies_ms=(2.0, 1.0), macs=(30_000_000, 24_000_000))])[0]
    first = row.sides[0]
    assert first.gmacs_per_s == pytest.approx(15.0)
    assert first.ns_per_kmac == pytest.approx(2e6 / 30_000)
    assert first.macs_per_byte == pytest.approx(30_000_000 / 165_000_000)
    assert first.gbytes_per_s == pytest.approx(82.5)


def test_an_interval_without_ends_is_none() -> None:
    few = from_comparisons([example_comparison(pairs=4)])[0]
    assert (few.ratio_low, few.ratio_high, few.speed_up_low, few.speed_up_high) == (None, None, None, None)
    assert few.ratio is not None
    assert math.isfinite(few.ratio)
