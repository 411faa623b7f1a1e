"""Export, check and look at every network of the catalog: the harness run over its own zoo.

Two phases, each of which may be stopped and started again. First every artifact that is not in the cache yet
is made, one on each CPU. Then each network without a record is measured by `vitbench run --quick`, which
checks parity before it times anything; a cell that would take more than three minutes is recorded as not
measured, with its estimate. Figures of a quick run are a first look and never `valid`.

    python -m benchmarks.zoo [--results results/zoo] [--target cpu] [--model 'effvit-*' ...]
                             [--jobs N] [--only export|measure]

`vitbench report --results results/zoo --columns ...` makes the table of what is recorded.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from fnmatch import fnmatchcase

import psutil

from vitbench import catalog, runtime
from vitbench.catalog import ModelSpec, Workload
from vitbench.errors import VitbenchError
from vitbench.export import ArtifactCache, get_artifact
from vitbench.records import index
from vitbench.records.store import Store

CELL_LIMIT_S = 180
MEMORY_SHARE = 0.85


@dataclass(frozen=True)
class Network:
    """One network of the catalog at its published resolution, and what making its artifact takes."""

    spec: ModelSpec
    macs: int
    needed_bytes: int


def networks(patterns: Sequence[str]) -> list[Network]:
    """Every network whose name fits a pattern, those with the fewest MACs first."""
    from vitbench.counting import count_model
    from vitbench.export.memory import needed_bytes

    found = []
    for name in catalog.model_names():
        if any(fnmatchcase(name, pattern) for pattern in patterns):
            spec = catalog.resolve_model(name)
            counts = count_model(spec)
            found.append(Network(spec, counts.macs, needed_bytes(counts, Workload(model=spec))))
    return sorted(found, key=lambda network: network.macs)


def make_artifact(name: str, target: str) -> str | None:
    """Put the artifact of one network into the cache; what went wrong, if anything."""
    engine = runtime.for_target(catalog.resolve_target(target))
    try:
        made_for = engine.made_for(None)
        get_artifact(
            Workload(model=catalog.resolve_model(name)),
            ArtifactCache(),
            target_runtime=made_for.runtime,
            runtime_version=made_for.version,
            format_name=made_for.format,
        )
    except VitbenchError as error:
        return error.explain()
    return None


def export_all(chosen: Sequence[Network], target: str, workers: int) -> list[str]:
    """Make artifacts, several at once, but those that need much memory alone; what went wrong."""
    share = MEMORY_SHARE * psutil.virtual_memory().available / workers
    small = [network for network in chosen if network.needed_bytes <= share]
    large = [network for network in chosen if network.needed_bytes > share]
    return [*_export(small, target, workers), *_export(large, target, 1)]


def _export(chosen: Sequence[Network], target: str, workers: int) -> list[str]:
    """Make artifacts in processes of their own, so that PyTorch is imported once in each."""
    problems = []
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, mp_context=spawn, initializer=torch_on_one_thread) as pool:
        names = [network.spec.name for network in chosen]
        waiting = {pool.submit(make_artifact, name, target): name for name in names}
        for done in as_completed(waiting):
            name, problem = waiting[done], done.exception() or done.result()
            print(f"{name}: {problem or 'artifact ready'}", flush=True)
            problems += [f"{name}: {problem}"] if problem else []
    return problems


def torch_on_one_thread() -> None:
    """Leave the other CPUs to the other processes."""
    import torch

    torch.set_num_threads(1)


def recorded(store: Store, target: str) -> set[tuple[str, tuple[int, int]]]:
    """Model and resolution of every record of the target that is there."""
    return {
        (row["workload.model"], tuple(row["workload.resolution"]))
        for row in index.load(store).rows
        if row["target.name"] == target
    }


def measure_all(chosen: Sequence[Network], target: str, results: str) -> int:
    """Measure the networks without a record, one after the other, as the command line does; its exit code."""
    done = recorded(Store(results), target)
    left = [network.spec for network in chosen if (network.spec.name, network.spec.resolution) not in done]
    if not left:
        return 0
    command = [sys.executable, "-m", "vitbench", "run", "--target", target, "--quick"]
    command += ["--cell-limit", str(CELL_LIMIT_S), "--allow-inconclusive", "--results", results]
    return subprocess.run([*command, "--model", ",".join(spec.name for spec in left)]).returncode


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what is missing; 1 when a network could not be exported or recorded."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--results", default="results/zoo", help="where the records are (default: results/zoo)"
    )
    parser.add_argument("--target", default="cpu", help="what they are exported for (default: cpu)")
    parser.add_argument("--model", nargs="+", default=["*"], help="names or patterns (default: all)")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="exports at once")
    parser.add_argument("--only", choices=("export", "measure"), help="one of the two phases")
    options = parser.parse_args(arguments)
    chosen = networks(options.model)
    print(f"{len(chosen)} networks, {sum(network.macs for network in chosen) / 1e12:.2f} TMACs", flush=True)
    problems = [] if options.only == "measure" else export_all(chosen, options.target, options.jobs)
    code = 0 if options.only == "export" else measure_all(chosen, options.target, options.results)
    print("\n".join(problems), file=sys.stderr, flush=True)
    return 1 if problems else code


if __name__ == "__main__":
    sys.exit(main())
