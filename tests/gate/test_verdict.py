"""From pair differences to a verdict."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from vitbench.gate.verdict import Judgement, decide, judge, needs_second
from vitbench.stats import gate as tests

LIMIT = 0.03


def stage(
    ratio: float, *, sd: float = 0.005, pairs: int = 10, seed: int = 0, alpha: float = 0.01
) -> Judgement:
    values = math.log(ratio) + sd * np.random.default_rng(seed).standard_normal(pairs)
    return judge(values.tolist(), limit=LIMIT, alpha=alpha, wanted=pairs)


@pytest.mark.parametrize(
    ("ratio", "outcome"),
    [
        (1.0, "passed"),
        (1.02, "passed"),
        (1.03, "open"),
        (1.06, "flagged"),
        (0.98, "passed"),
        (0.9, "improved"),
    ],
)
def test_outcomes(ratio: float, outcome: str) -> None:
    found = stage(ratio)
    assert found.outcome == outcome
    assert found.ratio == pytest.approx(ratio, rel=0.005)
    assert found.low < ratio < found.high
    assert needs_second(found) == (outcome in ("flagged", "open"))


def test_a_stage_speaks_as_the_tests_do() -> None:
    """What one cell is told is what the simulations of thousands count."""
    rng = np.random.default_rng(5)
    for _ in range(400):
        values = rng.normal(math.log1p(LIMIT), 0.02) + 0.02 * rng.standard_normal(12)
        found = judge(values.tolist(), limit=LIMIT, alpha=0.01, wanted=12)
        assert (found.outcome == "flagged") == bool(tests.rejects(values, LIMIT, 0.01))
        assert (found.outcome in ("passed", "improved")) == bool(tests.passes(values, LIMIT))


def test_too_few_pairs_say_nothing() -> None:
    values = [math.log(1.2)] * 8
    found = judge(values, limit=LIMIT, alpha=0.01, wanted=10)
    assert (found.outcome, found.reasons) == ("open", ("only 8 of 10 pairs could be used",))
    none = judge([], limit=LIMIT, alpha=0.01, wanted=10)
    assert (none.outcome, none.ratio, none.high) == ("open", None, math.inf)


def test_alike_pairs_say_nothing() -> None:
    values = [0.1 + 0.01 * number for number in range(12)]
    found = judge(values, limit=LIMIT, alpha=0.01, wanted=12)
    assert found.p <= 0.01
    assert found.outcome == "open"
    assert "neighbouring pair differences are alike" in found.reasons[0]


def test_a_slowdown_that_vanishes_in_cycles_is_no_slowdown() -> None:
    rng = np.random.default_rng(6)
    noise = 0.004 * rng.standard_normal(10)
    slow = (math.log(1.1) + noise).tolist()
    flagged = judge(slow, limit=LIMIT, alpha=0.01, wanted=10, cycles=slow)
    assert flagged.outcome == "flagged"
    vanished = judge(slow, limit=LIMIT, alpha=0.01, wanted=10, cycles=noise.tolist())
    assert vanished.outcome == "open"
    assert vanished.cycles_ratio == pytest.approx(1.0, abs=0.005)
    assert "vanishes in clock cycles: 1.1" in vanished.reasons[0]
    # A pass needs no clock.
    assert judge(noise.tolist(), limit=LIMIT, alpha=0.01, wanted=10, cycles=slow).outcome == "passed"


FLAGGED, PASSED, IMPROVED, OPEN = stage(1.1), stage(1.0), stage(0.9), stage(1.03)
DISTURBED = replace(OPEN, reasons=("only 8 of 10 pairs could be used",))


@pytest.mark.parametrize(
    ("first", "second", "verdict", "told"),
    [
        (PASSED, None, "PASS", ""),
        (IMPROVED, None, "IMPROVEMENT", ""),
        (FLAGGED, FLAGGED, "REGRESSION", "3.0%"),
        (FLAGGED, PASSED, "PASS", ""),
        (OPEN, PASSED, "PASS", ""),
        (OPEN, IMPROVED, "IMPROVEMENT", ""),
        (OPEN, OPEN, "INCONCLUSIVE", "too noisy"),
        (DISTURBED, FLAGGED, "INCONCLUSIVE", "needs both"),
        (FLAGGED, OPEN, "INCONCLUSIVE", "needs both"),
        (FLAGGED, DISTURBED, "INCONCLUSIVE", "only 8 of 10"),
        (FLAGGED, None, "INCONCLUSIVE", "missing"),
    ],
)
def test_verdicts(first: Judgement, second: Judgement | None, verdict: str, told: str) -> None:
    found, reasons = decide(first, second, LIMIT)
    assert found == verdict
    assert told in "; ".join(reasons)
    assert bool(reasons) == (verdict not in ("PASS", "IMPROVEMENT"))
