"""Is each side of the attention study computed in its fastest way?

The study chooses a formulation of each side by short rounds, and then compares with that one. Here the chosen
one of every row of a recorded study is timed anew against each other formulation, in fresh processes that
take short turns (see `benchmarks.formulation`). The choice is kept where no other one is faster by more than
2 %: where the lower end of the 95 % interval of chosen / other is at most 1.02.

    python -m benchmarks.opponents [--results results/attention] [--pairs 6] [--tokens 7x7 ...]
"""

from __future__ import annotations

import argparse
import math
import random
import sys
from collections.abc import Iterator, Sequence

from benchmarks.formulation import effort_for, look_at, make_artifact, time_pair
from vitbench import catalog
from vitbench.catalog import ModelSpec, TargetSpec
from vitbench.records.comparison import Comparison
from vitbench.records.store import Store
from vitbench.stats.pairs import signed_rank_interval

LIMIT = 1.02
ROUNDS = 6


def rivals(record: Comparison) -> Iterator[tuple[str, dict[str, str], list[dict[str, str]]]]:
    """Name of each side's network, its chosen formulation, and the others that passed parity."""
    for side, candidates in zip(record.sides, record.candidates, strict=True):
        height, width = side.workload.resolution
        (chosen,) = (each for each in candidates if each.chosen)
        others = [each.formulation for each in candidates if each.parity.passed and not each.chosen]
        yield f"{side.workload.model}:{height}x{width}", chosen.formulation, others


def ratio(
    spec: ModelSpec, target: TargetSpec, chosen: dict[str, str], other: dict[str, str], pairs: int
) -> tuple[float, float, float]:
    """Time of the chosen formulation over that of another, and the ends of its 95 % interval."""
    artifacts = [make_artifact(spec, target, formulation) for formulation in (chosen, other)]
    effort = effort_for([look_at(artifact, target).latency_s for artifact in artifacts], pairs, ROUNDS)
    order = random.Random(0)
    taken = [time_pair(artifacts, target, effort, order) for _ in range(effort.pairs)]
    interval = signed_rank_interval([pair.log_ratio for pair in taken])
    estimate, low, high = (math.exp(value) for value in (interval.estimate, interval.low, interval.high))
    return estimate, low, high


def main(arguments: Sequence[str] | None = None) -> int:
    """Time every choice of a recorded study anew; 1 when one is not kept."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--results", default="results/attention")
    parser.add_argument("--pairs", type=int, default=6)
    parser.add_argument("--tokens", nargs="+", help="grids; all of the study by default")
    asked = parser.parse_args(arguments)
    found, _ = Store(asked.results).records()
    rows = [each for each in found if isinstance(each, Comparison) and each.row.part == "block"]
    kept = True
    for row in rows:
        grid = "x".join(str(side) for side in row.row.tokens or ())
        if asked.tokens and grid not in asked.tokens:
            continue
        target = catalog.resolve_target(row.sides[0].target.name)
        for name, chosen, others in rivals(row):
            for other in others:
                estimate, low, high = ratio(catalog.resolve_model(name), target, chosen, other, asked.pairs)
                fine = low <= LIMIT
                kept &= fine
                ours, theirs = (", ".join(each.values()) for each in (chosen, other))
                print(
                    f"{name}: {ours} / {theirs} {estimate:.4f} [{low:.4f}, {high:.4f}] "
                    f"(lower limit {LIMIT}): {'ok' if fine else 'NOT KEPT'}",
                    flush=True,
                )
    return 0 if kept else 1


if __name__ == "__main__":
    sys.exit(main())
