"""What a stage takes from its comparison."""

from __future__ import annotations

import math

import pytest

from benchmarks.example_comparisons import example_comparison
from vitbench.gate.stages import in_cycles, remarks, unclocked
from vitbench.records.comparison import Comparison
from vitbench.records.schema import Record


def with_clocks(clocks_mhz: tuple[float | None, float | None], turns: tuple[int, ...] = ()) -> Comparison:
    """A comparison whose blocks ended at these clocks, by side."""

    def changed(side: Record, clock_mhz: float | None) -> Record:
        blocks = tuple(
            block.model_copy(
                update={"after": block.after.model_copy(update={"clock_mhz": clock_mhz}), "turns": turns}
            )
            for block in side.blocks
        )
        return side.model_copy(update={"blocks": blocks})

    made = example_comparison()
    sides = tuple(changed(side, clock) for side, clock in zip(made.sides, clocks_mhz, strict=True))
    return made.model_copy(update={"sides": sides})


def test_in_cycles_by_the_clocks_after_the_blocks() -> None:
    made = with_clocks((2000.0, 1000.0))
    cycles = in_cycles(made, made.pairs)
    assert cycles is not None
    assert cycles == pytest.approx([pair.log_ratio - math.log(2) for pair in made.pairs])


def test_no_cycles_without_every_clock() -> None:
    made = with_clocks((2000.0, None))
    assert in_cycles(made, made.pairs) is None


def test_blocks_in_turns_ran_under_one_clock() -> None:
    """Two readings after the last turn differ by their noise alone: no reason to doubt a slowdown."""
    made = with_clocks((2000.0, 1800.0), turns=(0, 20))
    assert in_cycles(made, made.pairs) is None


def test_a_stage_that_began_hot_is_told() -> None:
    hot = "block 20 started at 61 C, the first at 48 C: it did not cool down in 120 s"
    made = example_comparison().model_copy(update={"reasons": (hot, "nothing that matters")})
    assert remarks(made) == [hot]


def test_why_cycles_are_not_known() -> None:
    assert "took turns" in unclocked(with_clocks((2000.0, 1800.0), turns=(0, 20)))
    assert "cannot be read" in unclocked(with_clocks((2000.0, None)))
