"""The gate's tests as statistics: sizes, error budget, power and stability by seeded simulation."""

from __future__ import annotations

import math
import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.stats import wilcoxon

from vitbench.stats import gate
from vitbench.stats.pairs import signed_rank_cdf, signed_rank_interval

LIMIT = 0.03
NULL = math.log1p(LIMIT)
CELLS = 30
Floats = NDArray[np.float64]


def regressions(
    rng: np.random.Generator, gates: int, cells: int, centre: float, sd: float, pairs: int
) -> int:
    """Gates with at least one cell that both stages reject, of cells with normal pair differences."""
    second, alpha = gate.second_stage(cells, pairs)
    flagged = gate.rejects(centre + sd * rng.standard_normal((gates, cells, pairs)), LIMIT, gate.ALPHA)
    where = np.argwhere(flagged)[:, 0]
    confirmed = gate.rejects(centre + sd * rng.standard_normal((len(where), second)), LIMIT, alpha)
    return len(set(where[confirmed].tolist()))


def all_pass(rng: np.random.Generator, gates: int, cells: int, sd: float, pairs: int, limit: float) -> float:
    """Share of gates of which every cell passes in either stage, when nothing changed."""
    second, _ = gate.second_stage(cells, pairs)
    passed = gate.passes(sd * rng.standard_normal((gates, cells, pairs)), limit)
    passed |= gate.passes(sd * rng.standard_normal((gates, cells, second)), limit)
    return float(passed.all(axis=1).mean())


def drifting_pairs(rng: np.random.Generator, shape: tuple[int, int], centre: float) -> Floats:
    """Differences of blocks with AR(1) 0.7 and 10 % drift, taken in random order."""
    rows, pairs = shape
    times = np.empty((rows, 2 * pairs))
    state = rng.standard_normal(rows)
    for block in range(2 * pairs):
        state = 0.7 * state + math.sqrt(1 - 0.49) * rng.standard_normal(rows)
        times[:, block] = 0.02 * state
    times += np.linspace(0, math.log(1.1), 2 * pairs)
    signs = np.where(rng.integers(0, 2, shape), 1.0, -1.0)
    differences: Floats = centre + signs * (times[:, 1::2] - times[:, ::2])
    return differences


@pytest.mark.parametrize("pairs", [1, 5, 10, 16, 29, 40])
def test_p_values_are_those_of_scipy(pairs: int) -> None:
    rng = np.random.default_rng(pairs)
    for centre in (-0.02, 0.0, 0.03, 0.06):
        values = rng.normal(centre, 0.02, pairs)
        greater = wilcoxon(values - NULL, alternative="greater", method="exact").pvalue
        less = wilcoxon(values - NULL, alternative="less", method="exact").pvalue
        assert gate.p_greater(values, NULL) == pytest.approx(greater, rel=1e-12)
        assert gate.p_less(values, NULL) == pytest.approx(less, rel=1e-12)


def test_ties_and_zeros_never_help_to_reject() -> None:
    """Equal sizes: the negative one has the higher rank. Nothing at all, and nothing but zeros: 1."""
    assert gate.signed_rank_plus([1, -1, 2]).item() == 1 + 3
    assert gate.signed_rank_plus([0, 1, 2]).item() == 2 + 3
    assert gate.p_greater(np.zeros(10)).item() == 1
    assert gate.p_greater([]).item() == 1
    rng = np.random.default_rng(0)
    coarse = rng.integers(-3, 4, (4000, 10)).astype(float)
    assert np.mean(gate.p_greater(coarse) <= 0.01) <= 0.00977


@given(st.lists(st.floats(-1, 1), min_size=6, max_size=40), st.sampled_from([0.01, 0.05]))
def test_the_bound_and_the_test_say_the_same(values: list[float], limit: float) -> None:
    bound = signed_rank_interval(values, confidence=0.98).high
    if abs(bound - math.log1p(limit)) > 1e-9 and gate.serial_p(values) > gate.SERIAL_ALPHA:
        assert bool(gate.passes(values, limit)) == (bound < math.log1p(limit))


@pytest.mark.parametrize("seed", [11, 12, 13])
@pytest.mark.parametrize("noise", ["normal", "t3"])
def test_size_of_one_stage_at_the_null(seed: int, noise: str) -> None:
    """Exact size 0.00977: at most 0.0145 of 4000."""
    rng = np.random.default_rng(seed)
    shape = (4000, 10)
    drawn = rng.standard_normal(shape) if noise == "normal" else rng.standard_t(3, shape)
    assert np.mean(gate.p_greater(NULL + 0.01 * drawn, NULL) <= gate.ALPHA) <= 0.0145


@pytest.mark.parametrize("seed", [21, 22, 23])
def test_false_regressions_of_whole_gates(seed: int) -> None:
    """30 cells that are exactly as much slower as the limit allows: at most 4 alarms in 10,000 gates."""
    assert regressions(np.random.default_rng(seed), 10_000, CELLS, NULL, 0.02, 10) <= 4


@pytest.mark.parametrize("pair_sd", [0.005, 0.01, 0.02, 0.05])
def test_a_calibrated_gate_does_not_flap(pair_sd: float) -> None:
    """30 cells of which none changed: at least 98 % of gates are PASS in every cell, as calibrate prints."""
    pairs, limit = gate.propose(pair_sd)
    share = all_pass(np.random.default_rng(31), 2000, CELLS, pair_sd, pairs, limit)
    printed = gate.pass_chance(limit, pair_sd, pairs, CELLS) ** CELLS
    assert share >= 0.98
    assert share == pytest.approx(printed, abs=0.01)


def test_what_a_gate_that_is_not_calibrated_prints_is_true_as_well() -> None:
    """Pair sd 3 %, limit 3 %, 10 pairs: it flaps, and says how often."""
    share = all_pass(np.random.default_rng(32), 2000, CELLS, 0.03, 10, LIMIT)
    printed = gate.pass_chance(LIMIT, 0.03, 10, CELLS) ** CELLS
    assert share < 0.7
    assert share == pytest.approx(printed, abs=0.04)


def test_power_beyond_the_limit_by_two_per_cent() -> None:
    """Ratio 1 + d + 2 %, pair sd 1 %: seen in 95 of 100 gates or more, by both stages of a gate of 30."""
    rng = np.random.default_rng(41)
    centre, (second, alpha) = math.log1p(LIMIT + 0.02), gate.second_stage(CELLS, 10)
    first = gate.rejects(centre + 0.01 * rng.standard_normal((10_000, 10)), LIMIT, gate.ALPHA)
    both = first & gate.rejects(centre + 0.01 * rng.standard_normal((10_000, second)), LIMIT, alpha)
    assert both.mean() >= 0.95


@pytest.mark.parametrize(("pair_sd", "pairs", "cells"), [(0.01, 10, 1), (0.02, 29, 30), (0.03, 10, 3)])
def test_the_effect_that_is_printed_is_seen_as_often_as_printed(
    pair_sd: float, pairs: int, cells: int
) -> None:
    rng = np.random.default_rng(42)
    centre = math.log1p(gate.visible(LIMIT, pair_sd, pairs, cells))
    second, alpha = gate.second_stage(cells, pairs)
    seen = gate.rejects(centre + pair_sd * rng.standard_normal((8000, pairs)), LIMIT, gate.ALPHA)
    seen &= gate.rejects(centre + pair_sd * rng.standard_normal((8000, second)), LIMIT, alpha)
    assert seen.mean() == pytest.approx(0.95, abs=0.012)
    assert gate.power(math.expm1(centre), LIMIT, pair_sd, pairs, cells) == pytest.approx(0.95, abs=1e-3)
    assert gate.power(LIMIT, LIMIT, pair_sd, pairs, cells) < 1e-3


@pytest.mark.parametrize("seed", [51, 52, 53])
def test_drift_and_autocorrelation_of_block_times_change_nothing(seed: int) -> None:
    rng = np.random.default_rng(seed)
    stage = drifting_pairs(rng, (4000, 10), NULL)
    assert np.mean(gate.p_greater(stage, NULL) <= gate.ALPHA) <= 0.0145
    # 10,000 gates of 30 cells: at most 4 alarms.
    second, alpha = gate.second_stage(CELLS, 10)
    flagged = gate.rejects(drifting_pairs(rng, (10_000 * CELLS, 10), NULL), LIMIT, gate.ALPHA)
    confirmed = gate.rejects(drifting_pairs(rng, (int(flagged.sum()), second), NULL), LIMIT, alpha)
    assert confirmed.sum() <= 4
    # Nor does it look as if pairs were alike.
    assert np.mean(gate.serial_p(stage) <= gate.SERIAL_ALPHA) <= 0.0145


@pytest.mark.parametrize("seed", [54, 55])
def test_drift_and_autocorrelation_cost_no_pass_and_no_regression_where_the_gate_fits_them(seed: int) -> None:
    """The sd of such pairs calibrates as well as any: unchanged cells pass, and the power is there."""
    rng = np.random.default_rng(seed)
    sd = float(drifting_pairs(rng, (4000, 10), 0.0).std())
    pairs, limit = gate.propose(sd)
    second, _ = gate.second_stage(CELLS, pairs)
    passed = gate.passes(drifting_pairs(rng, (500 * CELLS, pairs), 0.0), limit)
    passed |= gate.passes(drifting_pairs(rng, (500 * CELLS, second), 0.0), limit)
    assert np.mean(passed.reshape(500, CELLS).all(axis=1)) >= 0.98
    # Ratio 1 + d + 2 % at a pair sd of 1 %, as for pairs without drift.
    centre, (second, alpha) = math.log1p(LIMIT + 0.02), gate.second_stage(CELLS, 10)
    first = centre + 0.01 / sd * drifting_pairs(rng, (10_000, 10), 0.0)
    other = centre + 0.01 / sd * drifting_pairs(rng, (10_000, second), 0.0)
    seen = gate.rejects(first, LIMIT, gate.ALPHA) & gate.rejects(other, LIMIT, alpha)
    assert seen.mean() >= 0.95


def test_alike_pairs_are_noticed() -> None:
    """Neighbouring differences that follow one another, AR(1) 0.7: silent at the null, loud with them."""
    rng = np.random.default_rng(61)
    for pairs, least in ((10, 0.18), (16, 0.45), (40, 0.9)):
        noise = rng.standard_normal((10_000, pairs))
        assert 0.006 <= np.mean(gate.serial_p(noise) <= gate.SERIAL_ALPHA) <= 0.0145
        for pair in range(1, pairs):
            noise[:, pair] = 0.7 * noise[:, pair - 1] + math.sqrt(1 - 0.49) * noise[:, pair]
        alike = gate.serial_p(noise) <= gate.SERIAL_ALPHA
        assert alike.mean() >= least
        assert not gate.rejects(noise + 1, LIMIT, gate.ALPHA)[alike].any()
        assert not gate.passes(noise - 1, LIMIT)[alike].any()
    assert gate.serial_p([1.0] * 12).item() == 1
    # Differences of a coarse clock: equal ones are no rising ones.
    assert gate.serial_p([0.0] * 9 + [0.004]).item() > gate.SERIAL_ALPHA
    assert gate.serial_p([0.0] * 5 + [0.004] * 5).item() <= gate.SERIAL_ALPHA
    assert gate.serial_p([1, 2, 3, 4]).item() == 1


def test_scale_and_sides() -> None:
    """p of the sides swapped are exchanged, and the unit of time is nowhere."""
    rng = np.random.default_rng(71)
    a, b = np.exp(rng.normal(0, 0.02, (2, 16)))
    forward, back = np.log(b) - np.log(a), np.log(a) - np.log(b)
    assert gate.p_greater(forward) == gate.p_less(back)
    assert gate.p_less(forward) == gate.p_greater(back)
    scaled = np.log(b * 1e6) - np.log(a * 1e6)
    assert gate.p_greater(scaled, NULL) == pytest.approx(float(gate.p_greater(forward, NULL)))


def test_second_stage_can_reach_its_level() -> None:
    assert gate.second_stage(1, 10) == (16, 0.01)
    assert gate.second_stage(30, 10) == (16, pytest.approx(0.01 / 30))
    assert gate.second_stage(30, 29)[0] == 29
    for cells in (1, 30, 655, 656, 100_000):
        pairs, alpha = gate.second_stage(cells, 10)
        assert 2.0**-pairs <= alpha
    assert gate.second_stage(100_000, 10)[0] == 24


@pytest.mark.parametrize(
    ("pair_sd", "pairs", "limit"),
    [(0.0, 10, 0.03), (0.0118, 10, 0.03), (0.012, 11, 0.03), (0.0225, 36, 0.03), (0.05, 40, 0.0632)],
)
def test_proposals(pair_sd: float, pairs: int, limit: float) -> None:
    found = gate.propose(pair_sd)
    assert found[0] == pairs
    assert found[1] == pytest.approx(limit, abs=1e-4)
    assert 8 * pair_sd / math.sqrt(found[0]) <= found[1] + 1e-12


def test_many_pairs_take_fewer_draws_and_say_the_same() -> None:
    """What a gate of 500 pairs sees is told in seconds, and shrinks with the root of the pairs as before."""
    assert [gate._many(pairs) for pairs in (10, 40, 69, 100, 500)] == [20_000, 20_000, 20_000, 9_900, 2_000]
    by_all, by_fewer = ((gate.visible(LIMIT, 0.02, n, 1) - LIMIT) * math.sqrt(n) for n in (69, 200))
    assert by_fewer == pytest.approx(by_all, rel=0.04)


def test_many_pairs_do_not_fill_the_memory() -> None:
    """What a gate can see is told after it was measured: not the time to run out of memory."""
    z = np.random.default_rng(81).standard_normal((400, 300))
    signed_rank_cdf(300)  # kept from here on; making it is slow where memory is traced
    tracemalloc.start()
    bounds = gate._lower_bounds(z, 0.01)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert bounds.shape == (400,)
    assert peak < 150e6
