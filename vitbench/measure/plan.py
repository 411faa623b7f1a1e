"""How much is sampled: the presets, and the figures one block follows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, get_args

from vitbench.errors import UsageError
from vitbench.records.schema import Plan
from vitbench.stats.blocks import MIN_BATCHES

Preset = Literal["full", "pairs", "gate", "study", "quick", "quick-pairs", "choice", "paper"]

MAX_BLOCKS = 1000
# Untimed iterations after a pause; a short turn gives no more than a quarter of its iterations to them.
UNTIMED_AFTER_PAUSE = 5
TURN_OVER_UNTIMED = 4
# Windows that a warm-up needs room for: the four that are judged, and one that holds the first iterations.
WARMUP_WINDOWS = 5

_PRESETS: dict[str, dict[str, Any]] = {
    "full": {
        "blocks": 5,
        "warmup_min_iterations": 30,
        "warmup_min_s": 0.5,
        "warmup_cap_s": 30.0,
        "timed_min_iterations": 200,
        "timed_min_s": 2.0,
        "timed_cap_s": 30.0,
    },
    "pairs": {
        "blocks": 20,
        "warmup_min_iterations": 0,
        "warmup_min_s": 0.0,
        "warmup_cap_s": 2.0,
        "timed_min_iterations": 100,
        "timed_min_s": 0.5,
        "timed_cap_s": 2.0,
        "slow_cap_s": 20.0,
    },
    "quick": {
        "blocks": 2,
        "warmup_min_iterations": 3,
        "warmup_min_s": 0.0,
        "warmup_cap_s": 1.0,
        "timed_min_iterations": 5,
        "timed_min_s": 0.0,
        "timed_cap_s": 1.0,
        "slow_warmup_min_iterations": 3,
        "slow_timed_min_iterations": 5,
        "slow_cap_s": 1.0,
    },
}
# What the authors of EfficientViT ran: 100 requests after 0.2 s, whatever they take.
_PRESETS["paper"] = {
    "blocks": 5,
    "warmup_min_iterations": 1,
    "warmup_min_s": 0.2,
    "warmup_cap_s": 0.2,
    "timed_min_iterations": 100,
    "timed_min_s": 0.0,
    "timed_cap_s": 3600.0,
    "slow_iteration_s": 36.0,
}
_PRESETS["gate"] = _PRESETS["pairs"]
# An attention block has little to warm up, and a study has many rows.
_PRESETS["study"] = _PRESETS["pairs"] | {"warmup_cap_s": 1.0, "timed_cap_s": 1.5}
# Shorter still, for many blocks: to look at pairs, and to choose a formulation by.
_SHORT = _PRESETS["quick"] | {"warmup_cap_s": 0.3, "timed_cap_s": 0.3}
_PRESETS |= {"quick-pairs": _SHORT | {"blocks": 12}, "choice": _SHORT | {"blocks": 3}}


# What changes where a pair is timed in turns. Shorter than what a neighbour's load changes in; the untimed
# iterations before a turn bring caches back, so that latencies are those of a process on its own.
_TURNS: dict[str, Any] = {"turn_s": 0.02}
# A gate asks for the ratio of two networks that are all but the same: its turns are as near as they can be,
# though caches are colder in them, alike for both. It takes no longer over a pair than ten pairs need to
# differ by less than `calibrate` wants of them (1.2 %), 0.6 % between processes included.
_GATE_TURNS = {"turn_s": 0.005, "turn_min_iterations": 3, "turn_ci_width": 0.02, "warmup_cap_s": 0.5}


@dataclass(frozen=True)
class Pace:
    """What one phase of a block follows: minima, and the caps that win over them.

    Attributes:
        window: iterations a window of warm-up, and a batch to start from.
        min_iterations, min_s: least of both before the phase may end.
        max_iterations: most iterations.
        cap_s: longest time.
    """

    window: int
    min_iterations: int
    min_s: float
    max_iterations: int
    cap_s: float


def make_plan(
    preset: Preset,
    *,
    blocks: int | None = None,
    ci_width: float | None = None,
    cell_limit_s: float | None = None,
    seed: int = 0,
) -> Plan:
    """A preset with overrides. Where pairs are taken, `blocks` are those of both sides together.

    Args:
        preset: `full`, `quick`, `paper` (what the authors' command takes); of pairs `pairs`, `gate`, `study`
            (attention blocks alone), `quick-pairs`; or `choice`, rounds to choose a formulation by.
        blocks: fresh processes, 1 to 1000.
        ci_width: half-width of a block's 95 % interval at which it may stop, as a fraction of the median
            (0.01 for 1 %), above 0 and below 1.
        cell_limit_s: longest that a cell may take to be measured at all; None for no limit.
        seed: not negative.

    Raises:
        UsageError: an unknown preset, or an override out of its range.
    """
    if preset not in get_args(Preset):
        raise UsageError(f"unknown preset '{preset}'", f"choose one of {', '.join(get_args(Preset))}")
    figures = dict(_PRESETS[preset])
    if blocks is not None:
        if not 1 <= blocks <= MAX_BLOCKS:
            raise UsageError(f"blocks must be from 1 to {MAX_BLOCKS}, not {blocks}", "the default is 5")
        figures["blocks"] = blocks
    width = 0.01 if ci_width is None else ci_width
    if not 0 < width < 1:
        raise UsageError(f"the interval's width must be above 0 % and below 100 %, not {width:.4g}", "try 1%")
    if cell_limit_s is not None and not 0 < cell_limit_s < float("inf"):
        raise UsageError(f"the limit of a cell must be above 0 s, not {cell_limit_s:.4g}", "try 180")
    if seed < 0:
        raise UsageError(f"the seed must not be negative, not {seed}", "the default is 0")
    return Plan(
        preset=preset,
        ci_width=width,
        timed_max_iterations=2000,
        cell_limit_s=cell_limit_s,
        seed=seed,
        **figures,
    )


def in_turns(plan: Plan) -> Plan:
    """The plan of pairs whose blocks are timed in turns."""
    return plan.model_copy(update=_GATE_TURNS if plan.preset == "gate" else _TURNS)


def is_slow(plan: Plan, iteration_ns: float) -> bool:
    """Whether iterations are so long that the plan's `slow_*` figures hold."""
    return iteration_ns > plan.slow_iteration_s * 1e9


def warmup_pace(plan: Plan, iteration_ns: float) -> Pace:
    """What the warm-up follows. Its number of iterations is bounded by time alone.

    Windows shrink, and then the cap grows, until a steady state can be seen before the cap.

    Args:
        plan: how much is sampled.
        iteration_ns: what one iteration takes.
    """
    if is_slow(plan, iteration_ns):
        return Pace(
            plan.slow_window, plan.slow_warmup_min_iterations, plan.warmup_min_s, 2**31, plan.slow_cap_s
        )
    needed_s = WARMUP_WINDOWS * plan.slow_window * iteration_ns / 1e9
    cap_s = min(max(plan.warmup_cap_s, needed_s), max(plan.warmup_cap_s, plan.slow_cap_s))
    window = _fitting_window(plan, WARMUP_WINDOWS, cap_s, iteration_ns)
    return Pace(window, plan.warmup_min_iterations, plan.warmup_min_s, 2**31, cap_s)


def timed_pace(plan: Plan, iteration_ns: float) -> Pace:
    """What the timed part follows. Batches begin small enough for an interval before the cap.

    Args:
        plan: how much is sampled.
        iteration_ns: what one iteration takes.
    """
    most = plan.timed_max_iterations
    if is_slow(plan, iteration_ns):
        return Pace(plan.slow_window, plan.slow_timed_min_iterations, plan.timed_min_s, most, plan.slow_cap_s)
    window = _fitting_window(plan, MIN_BATCHES, plan.timed_cap_s, iteration_ns)
    return Pace(window, plan.timed_min_iterations, plan.timed_min_s, most, plan.timed_cap_s)


def turn_iterations(plan: Plan, iteration_ns: float) -> int:
    """How many iterations a turn beside another block times: the plan's `turn_s`, but no less than its least.

    Args:
        plan: how much is sampled.
        iteration_ns: what one iteration takes.
    """
    least = plan.turn_min_iterations or timed_pace(plan, iteration_ns).window
    return max(least, round((plan.turn_s or 0.0) * 1e9 / iteration_ns)) if iteration_ns > 0 else least


def untimed_iterations(turn: int) -> int:
    """How many untimed iterations precede a turn of so many timed ones."""
    return max(1, min(UNTIMED_AFTER_PAUSE, turn // TURN_OVER_UNTIMED))


def _fitting_window(plan: Plan, windows: int, cap_s: float, iteration_ns: float) -> int:
    """Iterations a window: the plan's, or fewer so that so many windows fit into the cap."""
    room = cap_s * 1e9 / (windows * iteration_ns) if iteration_ns > 0 else plan.window
    return max(min(plan.slow_window, plan.window), int(min(plan.window, room)))


def expected_s(plan: Plan, iteration_s: float, load_s: float) -> float:
    """How long a cell takes at least, by the minima and caps of its plan.

    Args:
        plan: how much is sampled.
        iteration_s: one iteration.
        load_s: loading the model, once a block.
    """
    phases = (warmup_pace(plan, iteration_s * 1e9), timed_pace(plan, iteration_s * 1e9))
    block_s = sum(
        max(iteration_s, min(max(pace.min_iterations * iteration_s, pace.min_s), pace.cap_s))
        for pace in phases
    )
    return plan.blocks * (load_s + block_s)


def fitting_iterations(pace: Pace, wanted: int, elapsed_s: float, iteration_s: float) -> int:
    """How many iterations to ask for: those wanted, or what the time cap leaves room for; at least 1."""
    room = (pace.cap_s - elapsed_s) / iteration_s if iteration_s > 0 else float(wanted)
    return max(1, int(min(wanted, room)))
