"""Is what we export as fast as the textbook formulation of it?

For each network two artifacts are made that differ in the formulation of their parts only: ours (the default
of the inference form) and the textbook's (the value of linear attention padded with a row of ones, maps
upsampled by the framework's operator). A pair is two fresh agent processes, one for each, that take short
turns in random order; while one runs, the other is blocked in a read. The datum of a pair is the median, over
its rounds of one turn each, of the log-ratio of the turns' medians, so that a burst of foreign load spoils
rounds and not the pair. The ratio is the Hodges-Lehmann estimate over the pairs, with the exact signed-rank
interval. A network passes when the upper end of the 95 % interval of ours / textbook is at most its limit:
1.02, and 1 / 1.4 for the segmentation of B1, whose upsampling is what the textbook is slow at. Both artifacts
must compute what PyTorch computes, and the same as each other within 1e-5 of the largest magnitude.

A slow network has fewer pairs, rounds and iterations: about `BUDGET_S` are spent on each.

    python -m benchmarks.formulation [--target cpu] [--threads 1] [--pairs 20]
                                     [--model effvit-b1 effvit-b1:512x512] [--quick] [--json]
"""

from __future__ import annotations

import argparse
import json
import math
import random
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vitbench import catalog, runtime, transport
from vitbench.catalog import ModelSpec, TargetSpec, Workload
from vitbench.errors import ParityError
from vitbench.export import Artifact, ArtifactCache, get_artifact, parity
from vitbench.runtime import AgentSession
from vitbench.stats.pairs import log_ratios, signed_rank_interval

LIMIT = 1.02
UPSAMPLING_LIMIT = 1 / 1.4
MODELS = {
    "effvit-b1:224x224": LIMIT,
    "effvit-b2:224x224": LIMIT,
    "effvit-b1:512x512": LIMIT,
    "effvit-b1-cityscapes:512x1024": UPSAMPLING_LIMIT,
    "effvit-b1-cityscapes:1024x2048": UPSAMPLING_LIMIT,
    "effvit-l1-cityscapes:512x1024": LIMIT,
    "effvit-l1-cityscapes:1024x2048": LIMIT,
    "effvit-sam-l0:512x512": LIMIT,
}
SAME = 1e-5
PAIRS, QUICK_PAIRS = 20, 6
ROUNDS, QUICK_ROUNDS = 20, 4
# Under six pairs there is no 95 % interval.
LEAST_PAIRS, LEAST_ROUNDS = 6, 2
TURN_S = 0.08
BUDGET_S = 240.0
MIN_ITERATIONS, MIN_ITERATIONS_SLOW = 3, 1
SLOW_S = 0.3
WARMUP_S = 0.25


@dataclass(frozen=True)
class Side:
    """One of the two artifacts: its formulation, digest and median latency over the pairs."""

    formulation: dict[str, str]
    digest: str
    median_ms: float


@dataclass(frozen=True)
class Comparison:
    """Ratio ours / textbook of one network, with its 95 % interval."""

    model: str
    runtime: str
    threads: int
    ours: Side
    textbook: Side
    pairs: int
    rounds: int
    difference: float
    ratio: float
    low: float
    high: float
    limit: float
    passed: bool

    def line(self) -> str:
        """The comparison as one line of text."""
        ours, textbook = (", ".join(side.formulation.values()) for side in (self.ours, self.textbook))
        return (
            f"{self.model}: ours ({ours}) {self.ours.median_ms:.3f} ms, "
            f"textbook ({textbook}) {self.textbook.median_ms:.3f} ms, "
            f"ratio {self.ratio:.4f} [{self.low:.4f}, {self.high:.4f}] over {self.pairs} pairs of "
            f"{self.rounds} rounds (upper limit {self.limit:.4g}), outputs within {self.difference:.1e}: "
            f"{'ok' if self.passed else 'NOT KEPT'}"
        )


def textbook_formulation(spec: ModelSpec) -> dict[str, str]:
    """The first formulation of every kind of attention in a network."""
    import torch

    from vitbench import zoo

    with torch.device("meta"):
        return zoo.textbook(zoo.create(spec))


def make_artifact(spec: ModelSpec, target: TargetSpec, formulation: dict[str, str] | None) -> Artifact:
    """Export a network."""
    made_for = runtime.for_target(target).made_for(None)
    return get_artifact(
        Workload(model=spec),
        ArtifactCache(),
        target_runtime=made_for.runtime,
        runtime_version=made_for.version,
        format_name=made_for.format,
        formulation=formulation,
    )


@dataclass(frozen=True)
class Seen:
    """What a first session says of an artifact: its first output on the timed input, and a latency."""

    output: NDArray[Any]
    latency_s: float


def look_at(artifact: Artifact, target: TargetSpec) -> Seen:
    """Run an artifact once, and refuse it unless it computes what PyTorch computes."""
    engine = runtime.for_target(target)
    with tempfile.TemporaryDirectory() as scratch, transport.open(target) as link:
        inputs = parity.timed_inputs(artifact, Path(scratch))
        with runtime.open_session(
            link, engine, artifact.model_file, engine.load_options(), inputs
        ) as session:
            checked = parity.check(artifact, session)
            if not checked.passed:
                raise ParityError(f"{artifact.manifest.label}: {checked.reason}")
            (outputs,) = session.outputs([inputs], Path(scratch))
            return Seen(outputs[0].read(), min(session.warm(2).total_ns) / 1e9)


@dataclass(frozen=True)
class Effort:
    """How much is timed of one network."""

    pairs: int
    rounds: int
    turn_iterations: tuple[int, int]
    warmup_iterations: int


def effort_for(latencies_s: Sequence[float], pairs: int, rounds: int) -> Effort:
    """Spend about `BUDGET_S` on the two sides: fewer rounds first, then fewer pairs.

    Args:
        latencies_s: of ours and the textbook's.
        pairs, rounds: the most of each.
    """
    slowest = max(latencies_s)
    least = MIN_ITERATIONS if slowest < SLOW_S else MIN_ITERATIONS_SLOW
    first, second = (max(least, int(TURN_S / latency_s)) for latency_s in latencies_s)
    warmup = max(1, min(10, int(WARMUP_S / slowest)))
    round_s = first * latencies_s[0] + second * latencies_s[1]
    start_s = warmup * sum(latencies_s)
    rounds = max(LEAST_ROUNDS, min(rounds, int((BUDGET_S / pairs - start_s) / round_s)))
    pairs = max(LEAST_PAIRS, min(pairs, int(BUDGET_S / (start_s + rounds * round_s))))
    return Effort(pairs, rounds, (first, second), warmup)


@dataclass(frozen=True)
class Pair:
    """Two processes that took turns: their median latencies, and the log of the ratio ours / textbook."""

    ours_ms: float
    textbook_ms: float
    log_ratio: float


def time_pair(
    artifacts: Sequence[Artifact], target: TargetSpec, effort: Effort, order: random.Random
) -> Pair:
    """Time two artifacts, ours and the textbook's, in fresh processes that take turns."""
    engine = runtime.for_target(target)
    medians: list[list[float]] = [[], []]
    with ExitStack() as stack:
        link = stack.enter_context(transport.open(target))
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        inputs = parity.timed_inputs(artifacts[0], scratch)
        sessions: dict[int, AgentSession] = {}
        for side in order.sample(range(2), 2):
            sessions[side] = stack.enter_context(
                runtime.open_session(link, engine, artifacts[side].model_file, engine.load_options(), inputs)
            )
        for session in sessions.values():
            session.warm(effort.warmup_iterations)
        for _ in range(effort.rounds):
            for side in order.sample(range(2), 2):
                timed = sessions[side].measure(effort.turn_iterations[side])
                medians[side].append(median(timed.total_ns) / 1e6)
    ours, textbook = medians
    return Pair(median(ours), median(textbook), float(median(log_ratios(textbook, ours))))


def compare(
    name: str, target: TargetSpec, limit: float, most_pairs: int, most_rounds: int, seed: int
) -> Comparison:
    """Compare the two formulations of one network on this machine."""
    spec = catalog.resolve_model(name)
    artifacts = [make_artifact(spec, target, None), make_artifact(spec, target, textbook_formulation(spec))]
    seen = [look_at(artifact, target) for artifact in artifacts]
    difference = float(np.abs(seen[0].output - seen[1].output).max() / np.abs(seen[1].output).max())
    effort = effort_for([side.latency_s for side in seen], most_pairs, most_rounds)
    order = random.Random(seed)
    pairs = [time_pair(artifacts, target, effort, order) for _ in range(effort.pairs)]
    interval = signed_rank_interval([pair.log_ratio for pair in pairs])
    ratio, low, high = (math.exp(value) for value in (interval.estimate, interval.low, interval.high))
    ours, textbook = (artifact.manifest.formulation for artifact in artifacts)
    engine = runtime.for_target(target)
    return Comparison(
        model=name,
        runtime=f"{engine.name} {engine.version()}",
        threads=target.threads,
        ours=Side(ours, artifacts[0].digest, median(pair.ours_ms for pair in pairs)),
        textbook=Side(textbook, artifacts[1].digest, median(pair.textbook_ms for pair in pairs)),
        pairs=effort.pairs,
        rounds=effort.rounds,
        difference=difference,
        ratio=ratio,
        low=low,
        high=high,
        limit=limit,
        passed=high <= limit and difference <= SAME,
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Compare every network; 1 when a limit is not kept."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--pairs", type=int, help=f"pairs of fresh processes (default: {PAIRS})")
    parser.add_argument(
        "--model", nargs="+", default=list(MODELS), help=f"networks (default: {' '.join(MODELS)})"
    )
    parser.add_argument("--target", default="cpu", help="cpu (default) or cpu-tflite")
    parser.add_argument("--threads", type=int, default=1, help="of the runtime (default: 1)")
    parser.add_argument("--seed", type=int, default=0, help="of the random order (default: 0)")
    parser.add_argument("--quick", action="store_true", help="fewer pairs and rounds: a first look")
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    options = parser.parse_args(arguments)
    pairs = options.pairs or (QUICK_PAIRS if options.quick else PAIRS)
    rounds = QUICK_ROUNDS if options.quick else ROUNDS
    target = catalog.resolve_target(options.target).model_copy(update={"threads": options.threads})
    found = []
    for name in options.model:
        limit = MODELS.get(name, LIMIT) if target.name == "cpu" else LIMIT
        found.append(compare(name, target, limit, pairs, rounds, options.seed))
        if not options.json:
            print(found[-1].line(), flush=True)
    if options.json:
        print(json.dumps([asdict(each) for each in found], indent=2))
    return 0 if all(each.passed for each in found) else 1


if __name__ == "__main__":
    sys.exit(main())
