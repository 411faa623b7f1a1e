"""Is the attention that we export as fast as the textbook formulation of it?

For each network two artifacts are made that differ in the formulation of their attention only: ours (the
default of the inference form) and the textbook's (the value padded with a row of ones). A pair is two fresh
agent processes, one for each, that take short turns in random order; while one runs, the other is blocked in
a read. The datum of a pair is the median, over its rounds of one turn each, of the log-ratio of the turns'
medians, so that a burst of foreign load spoils rounds and not the pair. The ratio is the Hodges-Lehmann
estimate over the pairs, with the exact signed-rank interval. A network passes when the upper end of the 95 %
interval of ours / textbook is at most 1.02. Both artifacts must compute what PyTorch computes.

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
ROUNDS, QUICK_ROUNDS = 20, 4
TURN_S = 0.08
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
            f"{self.model}: ours ({ours}) {self.ours.median_ms:.3f} ms, "
            f"textbook ({textbook}) {self.textbook.median_ms:.3f} ms, "
            f"ratio {self.ratio:.4f} [{self.low:.4f}, {self.high:.4f}] over {self.pairs} pairs "
            f"(upper limit {self.limit}): {'ok' if self.passed else 'NOT KEPT'}"
        )


def textbook_formulation(spec: ModelSpec) -> dict[str, str]:
    """The first formulation of every kind of attention in a network."""
    import torch

    from vitbench import zoo

    with torch.device("meta"):
        return zoo.textbook(zoo.create(spec))


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


@dataclass(frozen=True)
class Pair:
    """Two processes that took turns: their median latencies, and the log of the ratio ours / textbook."""

    ours_ms: float
    textbook_ms: float
    log_ratio: float


def time_pair(artifacts: Sequence[Artifact], target: TargetSpec, rounds: int, order: random.Random) -> Pair:
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
        warm = [ns for session in sessions.values() for ns in session.warm(WARMUP_ITERATIONS).total_ns]
        iterations = max(MIN_ITERATIONS, int(TURN_S * 1e9 / median(warm)))
        for _ in range(rounds):
            for side in order.sample(range(2), 2):
                medians[side].append(median(sessions[side].measure(iterations).total_ns) / 1e6)
    ours, textbook = medians
    return Pair(median(ours), median(textbook), float(median(log_ratios(textbook, ours))))


def compare(name: str, count: int, rounds: int, seed: int) -> Comparison:
    """Compare the two formulations of one network on this machine with one thread."""
    target = catalog.resolve_target("cpu").model_copy(update={"threads": 1})
    spec = catalog.resolve_model(name)
    artifacts = [make_artifact(spec, target, None), make_artifact(spec, target, textbook_formulation(spec))]
    order = random.Random(seed)
    pairs = [time_pair(artifacts, target, rounds, order) for _ in range(count)]
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
        pairs=count,
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
    parser.add_argument("--quick", action="store_true", help="fewer pairs and rounds: a first look")
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    options = parser.parse_args(arguments)
    pairs = options.pairs or (QUICK_PAIRS if options.quick else PAIRS)
    rounds = QUICK_ROUNDS if options.quick else ROUNDS
    found = []
    for name in options.model:
        found.append(compare(name, pairs, rounds, options.seed))
        if not options.json:
            print(found[-1].line(), flush=True)
    if options.json:
        print(json.dumps([asdict(each) for each in found], indent=2))
    return 0 if all(each.passed for each in found) else 1


if __name__ == "__main__":
    sys.exit(main())
