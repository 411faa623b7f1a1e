"""Does vitbench report what a plain loop sees?

For each network the same artifact is timed by a vitbench agent and by a plain loop over the same runtime, in
fresh processes, in turn. Prints the ratio of the medians, and how much of a core the host process used while
the agent timed.

    python -m benchmarks.fidelity [--target cpu] [--pairs 12] [--model effvit-b1 ...] [--limit 0.02]
"""

from __future__ import annotations

import argparse
import math
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median

from vitbench import catalog, runtime, transport
from vitbench.catalog import TargetSpec, Workload
from vitbench.export import Artifact, ArtifactCache, get_artifact, parity
from vitbench.stats.pairs import log_ratios, signed_rank_interval

RATIO_LIMIT = 0.02
HOST_LIMIT = 0.01
WARMUP = 30
TIMED = 40
TURNS = 4


class PlainLoop:
    """The yardstick: `plain_loop.py` in a process of its own, blocked in a read between turns."""

    def __init__(self, artifact: Artifact, data: Path, target: TargetSpec) -> None:
        script = Path(__file__).resolve().with_name("plain_loop.py")
        device = target.options.get("device", "cpu")
        self._process = subprocess.Popen(
            [sys.executable, script, artifact.model_file, data, str(target.threads), str(device)],
            env=os.environ | {"PYTHONPATH": str(script.parents[1])},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def times_ns(self, n: int) -> list[int]:
        """Nanoseconds of n runs."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{n}\n")
        self._process.stdin.flush()
        return [int(word) for word in self._process.stdout.readline().split()]

    def close(self) -> None:
        """End the process."""
        self._process.communicate()


def one_pair(
    target: TargetSpec, artifact: Artifact, scratch: Path, order: random.Random
) -> tuple[float, float, float]:
    """Medians in ms of one agent and one plain loop that take turns, and the host's share of a core."""
    engine = runtime.for_target(target)
    inputs = parity.timed_inputs(artifact, scratch)
    ours: list[int] = []
    plain: list[int] = []
    host_s = timed_s = 0.0
    with transport.open(target) as link:
        loop = PlainLoop(artifact, inputs[0].path, target)
        with runtime.open_session(
            link, engine, artifact.model_file, engine.load_options(), inputs
        ) as session:
            assert isinstance(session, runtime.AgentSession)
            session.warm(WARMUP)
            loop.times_ns(WARMUP)
            for _ in range(TURNS):
                for side in order.sample(["ours", "plain"], 2):
                    if side == "plain":
                        plain += loop.times_ns(TIMED)
                        continue
                    cpu_s, wall_s = time.process_time(), time.perf_counter()
                    ours += session.measure(TIMED).total_ns
                    host_s += time.process_time() - cpu_s
                    timed_s += time.perf_counter() - wall_s
        loop.close()
    return median(ours) / 1e6, median(plain) / 1e6, host_s / timed_s


def compare(name: str, target: TargetSpec, pairs: int, limit: float) -> bool:
    """Print the comparison for one network and say whether it keeps its limits."""
    made_for = runtime.for_target(target).made_for(None)
    workload = Workload(model=catalog.resolve_model(name), precision=target.precision)
    artifact = get_artifact(
        workload,
        ArtifactCache(),
        target_runtime=made_for.runtime,
        runtime_version=made_for.version,
        format_name=made_for.format,
    )
    order = random.Random(0)
    with tempfile.TemporaryDirectory() as scratch:
        rows = [one_pair(target, artifact, Path(scratch), order) for _ in range(pairs)]
    ours, plain, host = (list(column) for column in zip(*rows, strict=True))
    interval = signed_rank_interval(log_ratios(plain, ours))
    ratio, low, high = (math.exp(value) for value in (interval.estimate, interval.low, interval.high))
    kept = abs(ratio - 1) <= limit and max(host) < HOST_LIMIT
    print(
        f"{name}: vitbench {median(ours):.3f} ms, plain loop {median(plain):.3f} ms, "
        f"ratio {ratio:.4f} [{low:.4f}, {high:.4f}] (limit 1 ± {limit:g}), "
        f"host at most {max(host):.2%} of a core (limit {HOST_LIMIT:.0%}): {'ok' if kept else 'NOT KEPT'}"
    )
    return kept


def main(arguments: Sequence[str] | None = None) -> int:
    """Compare every network; 1 when a limit is not kept."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--pairs", type=int, default=12, help="pairs of fresh processes (default: 12)")
    parser.add_argument("--model", nargs="+", default=["effvit-b1", "effvit-b2"])
    parser.add_argument("--target", default="cpu", help="cpu (default), cpu-tflite or cuda-torch")
    parser.add_argument("--limit", type=float, default=RATIO_LIMIT, help="what the ratio may be off 1")
    options = parser.parse_args(arguments)
    target = catalog.resolve_target(options.target)
    kept = [compare(name, target, options.pairs, options.limit) for name in options.model]
    return 0 if all(kept) else 1


if __name__ == "__main__":
    sys.exit(main())
