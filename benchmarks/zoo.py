"""Export, check and look at every network of the catalog: the harness run over its own zoo.

Two phases, each of which may be stopped and started again. First every artifact that is not in the cache yet
is made, as many at a time as fit. Then each network without a record is measured alone by
`vitbench run --quick`, which checks parity before it times anything; a cell that would take more than three
minutes is recorded as not measured, with its estimate. Figures of a quick run are a first look and never
`valid`.

    python -m benchmarks.zoo [--results results/zoo] [--model 'effvit-*' ...] [--only export|measure]

`vitbench report --results results/zoo --columns ...` makes the table of what is recorded.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

import psutil

from vitbench import catalog, runtime
from vitbench.catalog import ModelSpec, Workload
from vitbench.errors import VitbenchError
from vitbench.export import ArtifactCache, get_artifact
from vitbench.records import index
from vitbench.records.store import Store

TARGET = "cpu"
CELL_LIMIT_S = 180
MEMORY_SHARE = 0.85
POLL_S = 0.5
GB = 1e9


@dataclass(frozen=True)
class Network:
    """One network of the catalog at its published resolution, and what making its artifact takes."""

    spec: ModelSpec
    macs: int
    needed_bytes: int


@dataclass
class Worker:
    """A process that makes one artifact."""

    network: Network
    process: subprocess.Popen[str]
    begun: float = field(default_factory=time.monotonic)


def networks(patterns: Sequence[str]) -> list[Network]:
    """Every network whose name fits a pattern, those with the fewest MACs first."""
    from vitbench.counting import count_model
    from vitbench.export.memory import needed_bytes

    found = []
    for name in catalog.model_names():
        if any(fnmatchcase(name, pattern) for pattern in patterns):
            spec = catalog.resolve_model(name)
            counts = count_model(spec)
            found.append(Network(spec, counts.macs, needed_bytes(counts)))
    return sorted(found, key=lambda network: network.macs)


def make_artifact(name: str) -> None:
    """Put the artifact of one network into the cache."""
    engine = runtime.for_target(catalog.resolve_target(TARGET))
    get_artifact(
        Workload(model=catalog.resolve_model(name)),
        ArtifactCache(),
        target_runtime=engine.name,
        runtime_version=engine.version(),
    )


def export_all(waiting: Iterable[Network]) -> list[str]:
    """Make artifacts, as many at a time as there are CPUs and memory for; what went wrong, a line each."""
    queue, running, problems = list(waiting), list[Worker](), list[str]()
    memory = MEMORY_SHARE * psutil.virtual_memory().available
    while queue or running:
        for worker in [worker for worker in running if worker.process.poll() is not None]:
            running.remove(worker)
            problems += _finish(worker)
        taken = sum(worker.network.needed_bytes for worker in running)
        # The largest comes last in the queue, and alone if need be.
        fits = not running or (queue and taken + queue[0].needed_bytes <= memory)
        if queue and fits and len(running) < (os.cpu_count() or 1):
            running.append(_start(queue.pop(0)))
        else:
            time.sleep(POLL_S)
    return problems


def _start(network: Network) -> Worker:
    command = [sys.executable, "-m", "benchmarks.zoo", "--make", network.spec.name]
    process = subprocess.Popen(
        command,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )
    return Worker(network, process)


def _finish(worker: Worker) -> list[str]:
    name, took_s = worker.network.spec.name, time.monotonic() - worker.begun
    _, said = worker.process.communicate()
    if worker.process.returncode == 0:
        print(f"{name}: artifact ready after {took_s:.0f} s", flush=True)
        return []
    problem = f"{name}: {said.strip().splitlines()[-1] if said.strip() else 'died'}"
    print(problem, flush=True)
    return [problem]


def recorded(store: Store) -> set[tuple[str, tuple[int, int]]]:
    """Model and resolution of every record of the target that is there."""
    return {
        (row["workload.model"], tuple(row["workload.resolution"]))
        for row in index.load(store).rows
        if row["target.name"] == TARGET
    }


def measure_all(waiting: Sequence[Network], results: str) -> list[str]:
    """Measure the networks without a record, one after the other; what went wrong, a line each."""
    problems = []
    done = recorded(Store(results))
    for network in waiting:
        name = network.spec.name
        if (name, network.spec.resolution) in done:
            continue
        begun = time.monotonic()
        command = [sys.executable, "-m", "vitbench", "run", "--model", name, "--target", TARGET]
        command += [
            "--quick",
            "--cell-limit",
            str(CELL_LIMIT_S),
            "--allow-inconclusive",
            "--results",
            results,
        ]
        ended = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        print(f"{name}: {ended.returncode} after {time.monotonic() - begun:.0f} s", flush=True)
        if ended.returncode:
            problems.append(f"{name}: {' '.join(ended.stderr.split())[-300:]}")
    return problems


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what is missing; 1 when a network could not be exported or recorded."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--results", default="results/zoo", help="where the records are (default: results/zoo)"
    )
    parser.add_argument("--model", nargs="+", default=["*"], help="names or patterns (default: all)")
    parser.add_argument("--only", choices=("export", "measure"), help="one of the two phases")
    parser.add_argument("--make", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.make:
        try:
            make_artifact(options.make)
        except VitbenchError as error:
            print(error.explain(), file=sys.stderr)
            return int(error.exit_code)
        return 0
    chosen = networks(options.model)
    print(f"{len(chosen)} networks, {sum(network.macs for network in chosen) / 1e12:.2f} TMACs", flush=True)
    problems = [] if options.only == "measure" else export_all(chosen)
    if options.only != "export":
        problems += measure_all(chosen, options.results)
    print("\n".join(problems), flush=True)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
