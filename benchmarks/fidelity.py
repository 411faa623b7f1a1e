"""Does vitbench report what a plain loop sees?

For each network the same artifact (of TensorRT the same engine) is timed by a vitbench agent and by a plain
loop over the same runtime, in fresh processes, in turn. Prints the ratio of the medians, and how much of a
core the host process used while the agent timed.

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
from contextlib import closing, suppress
from pathlib import Path
from statistics import median

from vitbench import catalog, runtime, transport
from vitbench.catalog import TargetSpec, Workload
from vitbench.errors import ToolError, UsageError, VitbenchError
from vitbench.export import Artifact, ArtifactCache, get_artifact, parity
from vitbench.stats.pairs import log_ratios, signed_rank_interval

HERE = Path(__file__).resolve().parent
RATIO_LIMIT = 0.02
HOST_LIMIT = 0.01
WARMUP = 30
# Of a turn: as many requests as take 0.2 s, so that asking for them is little beside it, within these bounds.
TIMED, MOST_TIMED = 40, 1000
TURN_NS = 2e8
TURNS = 4


class PlainLoop:
    """The yardstick: a plain loop in a process of its own, blocked in a read between turns."""

    def __init__(self, command: Sequence[str | Path]) -> None:
        self._process = subprocess.Popen(
            command,
            # GPUs are counted as an agent counts them.
            env={"CUDA_DEVICE_ORDER": "PCI_BUS_ID"} | os.environ | {"PYTHONPATH": str(HERE.parent)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def times_ns(self, n: int) -> list[int]:
        """Nanoseconds of n runs.

        Raises:
            ToolError: the process has ended.
        """
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with suppress(BrokenPipeError):
            self._process.stdin.write(f"{n}\n")
            self._process.stdin.flush()
        times = [int(word) for word in self._process.stdout.readline().split()]
        if len(times) != n:
            raise ToolError("the plain loop ended", "what it said stands above")
        return times

    def close(self) -> None:
        """End the process."""
        with suppress(BrokenPipeError):
            self._process.communicate()


def plain_command(
    target: TargetSpec, artifact: Artifact, data: Path, session: runtime.AgentSession
) -> list[str | Path]:
    """The plain loop over what an agent has loaded.

    Raises:
        UsageError: the target wants a CUDA graph of TensorRT's engine, which the plain loop does not make.
    """
    options = target.options
    if target.runtime != "tensorrt":
        told = str(target.threads), str(options.get("device", "cpu"))
        return [sys.executable, HERE / "plain_loop.py", artifact.model_file, data, *told]
    if options.get("cuda_graph"):
        raise UsageError(f"target '{target.name}' runs a CUDA graph, and the plain loop does not")
    assert session.loaded.engine is not None
    # As the agent's Python: without the variables of this one.
    python = [target.python or sys.executable, "-E", HERE / "plain_trt_loop.py"]
    wait = [] if options.get("spin_wait", True) else ["block"]
    return [*python, str(session.loaded.engine["engine"]), data, str(options.get("device", 0)), *wait]


def one_pair(
    link: transport.Transport,
    engine: runtime.Runtime,
    artifact: Artifact,
    scratch: Path,
    order: random.Random,
) -> tuple[float, float, float]:
    """Medians in ms of one agent and one plain loop that take turns, and the host's share of a core."""
    inputs = parity.timed_inputs(artifact, scratch)
    ours: list[int] = []
    plain: list[int] = []
    host_s = timed_s = 0.0
    with runtime.open_session(link, engine, artifact.model_file, engine.load_options(), inputs) as session:
        assert isinstance(session, runtime.AgentSession)
        with closing(PlainLoop(plain_command(link.target, artifact, inputs[0].path, session))) as loop:
            session.warm(WARMUP)
            request_ns = median(loop.times_ns(WARMUP))
            count = min(MOST_TIMED, max(TIMED, round(TURN_NS / request_ns)))
            for _ in range(TURNS):
                for side in order.sample(["ours", "plain"], 2):
                    if side == "plain":
                        plain += loop.times_ns(count)
                        continue
                    cpu_s, wall_s = time.process_time(), time.perf_counter()
                    ours += session.measure(count).total_ns
                    host_s += time.process_time() - cpu_s
                    timed_s += time.perf_counter() - wall_s
    return median(ours) / 1e6, median(plain) / 1e6, host_s / timed_s


def compare(name: str, target: TargetSpec, pairs: int, limit: float) -> bool:
    """Print the comparison for one network and say whether it keeps its limits."""
    engine = runtime.for_target(target)
    workload = Workload(model=catalog.resolve_model(name), precision=target.precision)
    order = random.Random(0)
    with transport.open(target) as link, tempfile.TemporaryDirectory() as scratch:
        made_for = engine.made_for(link)
        artifact = get_artifact(
            workload,
            ArtifactCache(),
            target_runtime=made_for.runtime,
            runtime_version=made_for.version,
            format_name=made_for.format,
        )
        rows = [one_pair(link, engine, artifact, Path(scratch), order) for _ in range(pairs)]
    ours, plain, host = (list(column) for column in zip(*rows, strict=True))
    interval = signed_rank_interval(log_ratios(plain, ours))
    ratio, low, high = (math.exp(value) for value in (interval.estimate, interval.low, interval.high))
    kept = abs(ratio - 1) <= limit and max(host) < HOST_LIMIT
    print(
        f"{name} on {target.name}: vitbench {median(ours):.3f} ms, plain loop {median(plain):.3f} ms, "
        f"ratio {ratio:.4f} [{low:.4f}, {high:.4f}] (limit 1 ± {limit:g}), "
        f"host at most {max(host):.2%} of a core (limit {HOST_LIMIT:.0%}): {'ok' if kept else 'NOT KEPT'}"
    )
    return kept


def main(arguments: Sequence[str] | None = None) -> int:
    """Compare every network; 1 when a limit is not kept, and what an error ends with."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--pairs", type=int, default=12, help="pairs of fresh processes (default: 12)")
    parser.add_argument("--model", nargs="+", default=["effvit-b1", "effvit-b2"])
    parser.add_argument(
        "--target",
        default="cpu",
        help="cpu (default), cpu-tflite, cuda-torch, or a file of a target of this machine, TensorRT too",
    )
    parser.add_argument("--limit", type=float, default=RATIO_LIMIT, help="what the ratio may be off 1")
    options = parser.parse_args(arguments)
    try:
        target = catalog.resolve_target(options.target)
        kept = [compare(name, target, options.pairs, options.limit) for name in options.model]
    except VitbenchError as error:
        print(error.explain(), file=sys.stderr)
        return int(error.exit_code)
    return 0 if all(kept) else 1


if __name__ == "__main__":
    sys.exit(main())
