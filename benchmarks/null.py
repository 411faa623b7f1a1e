"""How often does a comparison of a thing with itself hold 1 in its 95 % interval?

Runs `vitbench compare A A` with one seed after the other and counts. Each comparison is a record in a
directory, and what is there already is not run again, so that this can be stopped and gone on with. One that
was disturbed so much that its interval has no ends says nothing: it does not count, and is run again.

    python -m benchmarks.null [--runs 20] [--target cpu] [--results DIR] [--subject relu ...]
"""

from __future__ import annotations

import argparse
import math
import shlex
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from vitbench.records.comparison import Comparison
from vitbench.records.store import Store

# One grid of the attention block, and one small network.
SUBJECTS = {
    "relu": ("relu", "relu", "--tokens", "14x14"),
    "effvit-b0": ("effvit-b0", "effvit-b0"),
}
# Sixteen of twenty is what chance leaves 99.7 % of the time where 95 % of intervals hold 1.
LEAST_SHARE = 0.8


def taken(results: Path) -> dict[int, Comparison]:
    """Comparisons that are there already and have an interval, by seed: one without ends says nothing."""
    if not results.is_dir():
        return {}
    found, problems = Store(results).records()
    for problem in problems:
        print(problem, file=sys.stderr)
    comparisons = [record for record in found if isinstance(record, Comparison)]
    return {record.seed: record for record in comparisons if interval_of(record) is not None}


def interval_of(record: Comparison) -> tuple[float, float] | None:
    """The 95 % interval of the ratio; None where too few pairs have one."""
    ratio = record.ratio
    return (ratio.low, ratio.high) if ratio and ratio.low > 0 and math.isfinite(ratio.high) else None


def run(arguments: Sequence[str], target: str, seed: int, results: Path) -> None:
    """One comparison by the command line, as a user runs it."""
    command = [sys.executable, "-m", "vitbench", "compare", *arguments]
    options = ["--target", target, "--seed", str(seed), "--results", str(results), "--allow-inconclusive"]
    done = subprocess.run([*command, *options], capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{shlex.join(command)}: exit {done.returncode}\n{done.stderr[-2000:]}")


def summarise(name: str, found: dict[int, Comparison]) -> bool:
    """Print every interval and the count; whether enough of them hold 1."""
    held = 0
    for seed, record in sorted(found.items()):
        interval = interval_of(record)
        if record.ratio is None or interval is None:
            continue
        low, high = interval
        holds = low <= 1 <= high
        held += holds
        verdict = "holds 1" if holds else "does not hold 1"
        print(
            f"  seed {seed:2d}: {record.ratio.ratio:.4f} [{low:.4f}, {high:.4f}], "
            f"{record.ratio.pairs} pairs, {record.status}: {verdict}"
        )
    print(f"{name}: {held} of {len(found)} intervals hold 1")
    return held >= LEAST_SHARE * len(found)


def main() -> int:
    """Exit code 1 where fewer than 80 % of the intervals of a subject hold 1."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--target", default="cpu")
    parser.add_argument("--results", type=Path, default=Path("null"))
    parser.add_argument("--subject", choices=SUBJECTS, nargs="+", default=list(SUBJECTS))
    asked = parser.parse_args()
    fine = True
    for name in asked.subject:
        folder = asked.results / name
        for seed in range(asked.runs):
            if seed not in taken(folder):
                run(SUBJECTS[name], asked.target, seed, folder)
        fine &= summarise(name, taken(folder))
    return 0 if fine else 1


if __name__ == "__main__":
    sys.exit(main())
