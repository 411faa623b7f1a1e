"""A cell that would take too long is not measured, and says what it would take."""

from __future__ import annotations

import pytest

from tests.measure.fakes import FakeDevice, FakeSession, constant
from vitbench.errors import UsageError
from vitbench.measure import make_plan, measure_cell
from vitbench.measure.plan import expected_s

LOAD_S = 0.12  # of the scripted sessions


def test_a_cell_over_its_limit_ends_after_one_iteration_with_its_estimate() -> None:
    device = FakeDevice(lambda index: FakeSession(constant(60_000.0)))
    result = measure_cell(device, make_plan("quick", cell_limit_s=180), sleep=device.sleep)
    assert (result.status, result.blocks, result.estimate) == ("inconclusive", (), None)
    assert result.reasons == (
        "not measured: an iteration takes about 60,000 ms, so the cell would take 240 s, "
        "more than its limit of 180 s",
    )
    assert [name for name, _ in device.log if name in ("warm", "measure")] == ["warm"]


@pytest.mark.parametrize("latency_ms", [5.0, 200.0, 40_000.0])
def test_a_cell_within_its_limit_is_measured_like_one_without(latency_ms: float) -> None:
    results = [
        measure_cell(device, make_plan("quick", cell_limit_s=limit), sleep=device.sleep)
        for limit in (180, None)
        for device in [FakeDevice(lambda index: FakeSession(constant(latency_ms)))]
    ]
    assert results[0].estimate == results[1].estimate
    assert results[0].estimate is not None
    assert len(results[0].blocks) == 2


@pytest.mark.parametrize(
    ("preset", "iteration_s", "block_s"),
    [
        ("quick", 0.001, 0.003 + 0.005),  # three iterations of warm-up, five timed ones
        ("quick", 0.3, 0.9 + 1.0),  # the cap of a second
        ("quick", 50.0, 50.0 + 50.0),  # one of each is the least
        ("full", 0.001, 0.5 + 2.0),  # the least times
        ("full", 0.1, 3.0 + 20.0),  # the least iterations
        ("full", 1.0, 9.0 + 30.0),  # slow iterations have figures of their own
    ],
)
def test_expected_time_follows_the_minima_and_caps(preset: str, iteration_s: float, block_s: float) -> None:
    plan = make_plan(preset)  # type: ignore[arg-type]
    assert expected_s(plan, iteration_s, LOAD_S) == pytest.approx(plan.blocks * (LOAD_S + block_s))


@pytest.mark.parametrize("limit_s", [0.0, -1.0, float("nan"), float("inf")])
def test_a_limit_is_a_positive_time(limit_s: float) -> None:
    with pytest.raises(UsageError, match="the limit of a cell must be above 0 s"):
        make_plan("quick", cell_limit_s=limit_s)
