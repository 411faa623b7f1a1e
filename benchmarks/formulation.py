"""Is the attention that we export as fast as the textbook formulation of it?

For each network two artifacts are made that differ in the formulation of their attention only: ours (the
default of the inference form) and the textbook's (the value padded with a row of ones). A pair is two fresh
agent processes, one for each, that take turns in random order; while one runs, the other is blocked in a
read. The datum of a pair is the log-ratio of the two medians; the ratio is the Hodges-Lehmann estimate over
the pairs with the exact signed-rank interval. A network passes when the upper end of the 95 % interval of
ours / textbook is at most 1.02. Both artifacts must compute what PyTorch computes.

    python -m benchmarks.formulation [--pairs 20] [--model effvit-b1 effvit-b1:512x512] [--quick] [--json]
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

from vitbench import catalog, runtime, transport
from vitbench.catalog import ModelSpec, TargetSpec, Workload
from vitbench.errors import ParityError
from vitbench.export import Artifact, ArtifactCache, get_artifact, parity
from vitbench.runtime import AgentSession
from vitbench.stats.pairs import log_ratios, signed_rank_interval

LIMIT = 1.02
MODELS = ("effvit-b1:224x224", "effvit-b2:224x224", "effvit-b1:512x512")
PAIRS, QUICK_PAIRS = 20, 6
TURNS = 8
TURN_S = 0.15
MIN_ITERATIONS = 3
WARMUP_ITERATIONS = 10


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
    ratio: float
    low: float
    high: float
    limit: float
    passed: bool

    def line(self) -> str:
        """The comparison as one line of text."""
        ours, textbook = (", ".join(side.formulation.values()) for side in (self.ours, self.textbook))
        return (
            f"{self.model}: {ours} {self.ours.median_ms:.3f} ms, "
            f"{textbook} {self.textbook.median_ms:.3f} ms, "
            f"ratio {self.ratio:.4f} [{self.low:.4f}, {self.high:.4f}] over {self.pairs} pairs "
            f"(upper limit {self.limit}): {'ok' if self.passed else 'NOT KEPT'}"
        )


def textbook_formulation(spec: ModelSpec) -> dict[str, str]:
    """The first formulation of every kind of attention in a network."""
    import torch

    from vitbench import zoo

    with torch.device("meta"):
        return {part.kind: part.formulations[0] for part in zoo.attentions(zoo.create(spec))}


def make_artifact(spec: ModelSpec, target: TargetSpec, formulation: dict[str, str] | None) -> Artifact:
    """Export a network, and refuse it unless it computes what PyTorch computes."""
    engine = runtime.for_target(target)
    artifact = get_artifact(
        Workload(model=spec),
        ArtifactCache(),
        target_runtime=engine.name,
        runtime_version=engine.version(),
        formulation=formulation,
    )
    with tempfile.TemporaryDirectory() as scratch, transport.open(target) as link:
        inputs = parity.timed_inputs(artifact, Path(scratch))
        with runtime.open_session(
            link, engine, artifact.model_file, engine.load_options(), inputs
        ) as session:
            checked = parity.check(artifact, session)
    if not checked.passed:
        raise ParityError(f"{spec.name} as {artifact.manifest.formulation}: {checked.reason}")
    return artifact


def time_pair(
    artifacts: Sequence[Artifact], target: TargetSpec, turns: int, order: random.Random
) -> tuple[float, float]:
    """Median latency in ms of each of two artifacts in fresh processes that take turns."""
    engine = runtime.for_target(target)
    times: list[list[int]] = [[], []]
    with ExitStack() as stack:
        link = stack.enter_context(transport.open(target))
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        inputs = parity.timed_inputs(artifacts[0], scratch)
        sessions: dict[int, AgentSession] = {}
        for side in order.sample(range(2), 2):
            sessions[side] = stack.enter_context(
                runtime.open_session(link, engine, artifacts[side].model_file, engine.load_options(), inputs)
            )
        warm = [sessions[side].warm(WARMUP_ITERATIONS).total_ns for side in range(2)]
        iterations = max(MIN_ITERATIONS, int(TURN_S * 1e9 / median(warm[0] + warm[1])))
        for _ in range(turns):
            for side in order.sample(range(2), 2):
                times[side] += sessions[side].measure(iterations).total_ns
    ours, textbook = (median(side) / 1e6 for side in times)
    return ours, textbook


def compare(name: str, pairs: int, turns: int, seed: int) -> Comparison:
    """Compare the two formulations of one network on this machine with one thread."""
    target = catalog.resolve_target("cpu").model_copy(update={"threads": 1})
    spec = catalog.resolve_model(name)
    artifacts = [make_artifact(spec, target, None), make_artifact(spec, target, textbook_formulation(spec))]
    order = random.Random(seed)
    ours, textbook = zip(*(time_pair(artifacts, target, turns, order) for _ in range(pairs)), strict=True)
    interval = signed_rank_interval(log_ratios(textbook, ours))
    ratio, low, high = (math.exp(value) for value in (interval.estimate, interval.low, interval.high))
    sides = [
        Side(artifact.manifest.formulation, artifact.digest, median(times))
        for artifact, times in zip(artifacts, (ours, textbook), strict=True)
    ]
    engine = runtime.for_target(target)
    return Comparison(
        model=name,
        runtime=f"{engine.name} {engine.version()}",
        threads=target.threads,
        ours=sides[0],
        textbook=sides[1],
        pairs=pairs,
        ratio=ratio,
        low=low,
        high=high,
        limit=LIMIT,
        passed=high <= LIMIT,
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Compare every network; 1 when a limit is not kept."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--pairs", type=int, help=f"pairs of fresh processes (default: {PAIRS})")
    parser.add_argument("--model", nargs="+", default=MODELS, help=f"networks (default: {' '.join(MODELS)})")
    parser.add_argument("--seed", type=int, default=0, help="of the random order (default: 0)")
    parser.add_argument("--quick", action="store_true", help=f"{QUICK_PAIRS} pairs of 2 turns, a first look")
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    options = parser.parse_args(arguments)
    pairs = options.pairs or (QUICK_PAIRS if options.quick else PAIRS)
    found = []
    for name in options.model:
        found.append(compare(name, pairs, 2 if options.quick else TURNS, options.seed))
        if not options.json:
            print(found[-1].line(), flush=True)
    if options.json:
        print(json.dumps([asdict(each) for each in found], indent=2))
    return 0 if all(each.passed for each in found) else 1


if __name__ == "__main__":
    sys.exit(main())
