"""PyTorch on a real GPU: what no other machine can show. Needs a build of PyTorch with CUDA."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any, Literal

import pytest
import torch

from vitbench import catalog, runtime, transport
from vitbench.catalog import Workload
from vitbench.catalog.specs import TargetSpec
from vitbench.errors import OutOfMemory
from vitbench.export import Artifact, ArtifactCache, get_artifact, parity
from vitbench.records.store import Store
from vitbench.runtime import AgentSession

pytestmark = pytest.mark.gpu
MODES = ("eager", "compile", "graph")
NETWORK = "effvit-b1"


def target(**options: Any) -> TargetSpec:
    spec = catalog.resolve_target("cuda-torch")
    return spec.model_copy(update={"options": {**spec.options, **options}})


def artifact_of(name: str, precision: Literal["fp32", "fp16"], batch: int = 1) -> Artifact:
    made_for = runtime.for_target(target()).made_for(None)
    return get_artifact(
        Workload(model=catalog.resolve_model(name), precision=precision, batch=batch),
        ArtifactCache(),
        target_runtime=made_for.runtime,
        runtime_version=made_for.version,
        format_name=made_for.format,
    )


@contextmanager
def session_of(artifact: Artifact, spec: TargetSpec, scratch: Path) -> Iterator[AgentSession]:
    engine = runtime.for_target(spec)
    inputs = parity.timed_inputs(artifact, scratch)
    with (
        transport.open(spec) as link,
        runtime.open_session(link, engine, artifact.model_file, engine.load_options(), inputs) as opened,
    ):
        assert isinstance(opened, AgentSession)
        yield opened


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("precision", ["fp16", "fp32"])
def test_every_mode_computes_what_pytorch_does(
    mode: str, precision: Literal["fp32", "fp16"], tmp_path: Path
) -> None:
    artifact = artifact_of(NETWORK, precision)
    with session_of(artifact, target(mode=mode), tmp_path) as session:
        found = parity.check(artifact, session)
        assert session.loaded.device == torch.cuda.get_device_name(0)
        assert f"CUDA {torch.version.cuda}" in session.loaded.runtime_version
    assert found.passed, found.reason


@pytest.mark.parametrize("mode", MODES)
def test_the_parts_are_by_the_device_and_within_the_whole(mode: str, tmp_path: Path) -> None:
    with session_of(artifact_of(NETWORK, "fp16"), target(mode=mode), tmp_path) as session:
        session.warm(50)
        batch = session.measure(100)
    sums = [sum(each) for each in zip(batch.h2d_ns, batch.compute_ns, batch.d2h_ns, strict=True)]
    assert min(batch.h2d_ns) > 0
    assert min(batch.d2h_ns) > 0
    # Events end before the host hears of it, and begin after it asks.
    assert median(sums) < median(batch.total_ns)
    assert median(sums) > 0.5 * median(batch.total_ns)
    # 300 kB of an image travel in less than a millisecond, on any bus.
    assert median(batch.h2d_ns) < 1e6


def test_compiling_is_loading_and_a_graph_launches_faster(tmp_path: Path) -> None:
    artifact, medians = artifact_of(NETWORK, "fp16"), {}
    for mode in MODES:
        with session_of(artifact, target(mode=mode), tmp_path) as session:
            first_ns = session.warm(50).total_ns[0]
            medians[mode] = median(session.measure(200).total_ns)
            assert mode != "compile" or first_ns < session.loaded.load_ns
    assert medians["graph"] < medians["eager"]


@pytest.mark.parametrize("mode", ["eager", "graph"])
def test_streams_overlap(mode: str, tmp_path: Path) -> None:
    """At a batch whose copies take a while, two streams do more than one."""
    with session_of(artifact_of(NETWORK, "fp16", 64), target(mode=mode), tmp_path) as session:
        session.warm(20)
        alone = median(session.measure(50).total_ns)
        session.stream(5, 2)
        rounds = median(session.stream(50, 2).total_ns)
    assert rounds / 2 < alone


def test_too_large_a_batch_is_told_as_such_and_ends_a_search(tmp_path: Path) -> None:
    free = torch.cuda.mem_get_info(0)[0]
    held = torch.empty(free - 3 * 2**29, dtype=torch.uint8, device="cuda:0")
    try:
        with (
            pytest.raises(OutOfMemory, match="has not enough memory for this network and batch"),
            session_of(artifact_of(NETWORK, "fp32", 256), target(), tmp_path) as session,
        ):
            session.warm(1)
    finally:
        del held
        torch.cuda.empty_cache()


def test_the_command_line_records_a_valid_figure_with_its_protocol(tmp_path: Path) -> None:
    command = ["run", "-m", NETWORK, "-t", "cuda-torch-graph", "--blocks", "5", "--allow-inconclusive"]
    subprocess.run([sys.executable, "-m", "vitbench", *command], cwd=tmp_path, check=True, env=os.environ)
    (entry,) = Store(str(tmp_path / "results")).entries()
    (pair,) = Store(str(tmp_path / "results")).load([entry])
    record: Any = pair[1]
    assert record.parity.passed
    assert (record.protocol.mode, record.protocol.cuda_graph) == ("graph, cuDNN benchmark", True)
    assert record.estimate.latency_paper_ms < record.estimate.latency_ms
    assert record.estimate.residual_ms > 0
