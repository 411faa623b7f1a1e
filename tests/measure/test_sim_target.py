"""Cells on the scripted target, through real agent processes."""

from __future__ import annotations

from typing import Any

import pytest

from vitbench import catalog, runtime, transport
from vitbench.errors import ToolError
from vitbench.measure import CellResult, make_plan, measure_cell
from vitbench.runtime import AgentSession


def run(**script: Any) -> CellResult:
    """A full cell on the built-in `sim` target, its script changed."""
    target = catalog.resolve_target("sim")
    assert target.sim is not None
    target = target.model_copy(update={"sim": target.sim.model_copy(update=script)})
    engine = runtime.for_target(target)
    with transport.open(target) as link:

        def open_session(index: int, /) -> AgentSession:
            return runtime.open_session(
                link, engine, None, engine.load_options(block=index, model="effvit-b2")
            )

        return measure_cell(open_session, make_plan("full"), sleep=lambda seconds: None)


def test_a_quiet_device_gives_a_valid_run_near_its_script() -> None:
    result = run(per_model={"effvit-b2": 9.7})
    assert (result.status, result.reasons) == ("valid", ())
    assert result.estimate is not None
    assert result.estimate.ci_low_ms is not None
    assert result.estimate.ci_high_ms is not None
    assert result.estimate.latency_ms == pytest.approx(9.7, rel=0.01)
    assert result.estimate.ci_high_ms / result.estimate.ci_low_ms < 1.02
    assert result.estimate.load_ms == 120.0
    assert result.estimate.h2d_ms == pytest.approx(0.1, rel=0.02)


def test_a_device_that_throttles_is_inconclusive() -> None:
    result = run(throttle_after_s=2.0, throttle_factor=1.3)
    assert result.status == "inconclusive"
    assert {block.invalid for block in result.blocks} == {"the device throttled"}
    assert len(result.blocks) == 6


def test_a_lost_link_costs_a_replacement() -> None:
    result = run(lose_link_in_block=2, lose_link_after=100)
    assert result.status == "valid"
    assert [block.index for block in result.blocks] == [0, 1, 3, 4, 5]


def test_a_crash_costs_its_block_and_says_how_it_ended() -> None:
    result = run(crash_in_block=2)
    assert result.status == "inconclusive"
    assert [block.index for block in result.blocks] == [0, 1, 3, 4]
    assert "block 2 failed" in result.reasons[1]


def test_the_same_seed_gives_the_same_samples() -> None:
    first, second = run(seed=7), run(seed=7)
    assert [block.samples for block in first.blocks] == [block.samples for block in second.blocks]
    assert first.estimate == second.estimate
    assert run(seed=8).estimate != first.estimate


def test_a_runtime_that_crashes_in_every_block_is_the_tools_error() -> None:
    target = catalog.resolve_target("sim")
    assert target.sim is not None
    script = target.sim.model_dump()
    engine = runtime.for_target(target)
    with transport.open(target) as link:

        def open_session(index: int, /) -> AgentSession:
            options = {"script": {**script, "crash_in_block": index}, "block": index, "model": "effvit-b2"}
            return runtime.open_session(link, engine, None, options)

        with pytest.raises(ToolError, match="code 70") as caught:
            measure_cell(open_session, make_plan("full"), sleep=lambda seconds: None)
    assert "scripted crash in block 0" in caught.value.tail
