"""TensorRT on the GPU of this machine: engines, parity, the loop that times, graphs, layers.

The agent runs under the Python that VITBENCH_TENSORRT_PYTHON names, else under this one. It takes no notice
of PYTHONPATH: packages that lie elsewhere are named by a `.pth` file in that Python's site-packages.
"""

from __future__ import annotations

import os
import statistics
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal

import pytest

from vitbench import catalog, transport
from vitbench.catalog.specs import TargetSpec, Workload
from vitbench.export import Artifact, ArtifactCache, get_artifact, parity
from vitbench.runtime import AgentSession, SampleBatch, TensorFile
from vitbench.runtime.tensorrt import TensorRt
from vitbench.transport import Transport

pytestmark = [pytest.mark.gpu, pytest.mark.tensorrt]

MODEL = "effvit-b0"
WARM, TIMED = 200, 400
# Of a loop's median: what the clocks of host and GPU, and the gaps between events, may differ by.
CLOCKS_NS = 20_000

Make = Callable[..., TensorRt]


@pytest.fixture(scope="module")
def engines(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("engines")


@pytest.fixture(scope="module")
def make(engines: Path) -> Make:
    def make(**options: Any) -> TensorRt:
        target = TargetSpec(
            name="here",
            title="this machine's GPU",
            transport="local",
            runtime="tensorrt",
            python=os.environ.get("VITBENCH_TENSORRT_PYTHON", sys.executable),
            options={"engines": str(engines), **options},
        )
        return TensorRt(target)

    return make


@pytest.fixture(scope="module")
def link(make: Make) -> Iterator[Transport]:
    with transport.open(make().target) as opened:
        yield opened


@pytest.fixture(scope="module")
def artifacts(make: Make, link: Transport) -> Callable[[Literal["fp32", "fp16"]], Artifact]:
    made_for = make().made_for(link)

    def artifact(precision: Literal["fp32", "fp16"]) -> Artifact:
        return get_artifact(
            Workload(model=catalog.resolve_model(MODEL), precision=precision),
            ArtifactCache(),
            target_runtime=made_for.runtime,
            runtime_version=made_for.version,
            format_name=made_for.format,
        )

    return artifact


@pytest.fixture
def half(artifacts: Callable[[str], Artifact]) -> Artifact:
    return artifacts("fp16")


def opened(engine: TensorRt, link: Transport, artifact: Artifact, inputs: list[TensorFile]) -> AgentSession:
    return engine.open_session(link, artifact.model_file, engine.load_options(), inputs)


def timed(session: AgentSession) -> SampleBatch:
    session.warm(WARM)
    return session.measure(TIMED)


def median(values: tuple[int, ...]) -> float:
    return statistics.median(values)


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_an_engine_computes_what_pytorch_computes(
    make: Make, link: Transport, artifacts: Callable[[str], Artifact], tmp_path: Path, precision: str
) -> None:
    artifact, engine = artifacts(precision), make()
    with opened(engine, link, artifact, parity.timed_inputs(artifact, tmp_path)) as session:
        checked = parity.check(artifact, session)
        assert checked.passed, checked
        told = session.loaded.engine
    assert told is not None
    assert told["tf32"] is False
    if told["typing"] == "weak" and precision == "fp16":
        assert told["held"] > 0
        assert {"FP16", "OBEY_PRECISION_CONSTRAINTS"} <= set(told["flags"])


@pytest.mark.parametrize("spin_wait", [True, False])
def test_the_parts_are_within_the_whole(
    make: Make, link: Transport, half: Artifact, tmp_path: Path, spin_wait: bool
) -> None:
    with opened(make(spin_wait=spin_wait), link, half, parity.timed_inputs(half, tmp_path)) as session:
        batch = timed(session)
    assert min((*batch.h2d_ns, *batch.compute_ns, *batch.d2h_ns)) > 0
    parts = [sum(each) for each in zip(batch.h2d_ns, batch.compute_ns, batch.d2h_ns, strict=True)]
    assert statistics.median(parts) <= median(batch.total_ns) + CLOCKS_NS
    # Between them is only what it takes to queue a few calls, and to wake up.
    assert median(batch.total_ns) <= 3 * statistics.median(parts) + 1_000_000


def test_a_graph_computes_the_same_and_is_no_slower(
    make: Make, link: Transport, half: Artifact, tmp_path: Path
) -> None:
    inputs = parity.timed_inputs(half, tmp_path)
    found: dict[bool, tuple[bytes, float]] = {}
    for cuda_graph in (False, True):
        directory = tmp_path / str(cuda_graph)
        directory.mkdir()
        with opened(make(cuda_graph=cuda_graph), link, half, inputs) as session:
            assert session.loaded.protocol == {"cuda_graph": cuda_graph}, session.loaded.engine
            batch = timed(session)
            ((output, *_), *_) = session.outputs([inputs], directory)
            found[cuda_graph] = output.path.read_bytes(), median(batch.total_ns)
    assert found[True][0] == found[False][0]
    assert found[True][1] <= 1.1 * found[False][1]


def test_lanes_give_no_less_than_one_request_after_the_other(
    make: Make, link: Transport, half: Artifact, tmp_path: Path
) -> None:
    with opened(make(), link, half, parity.timed_inputs(half, tmp_path)) as session:
        serial_ns = median(timed(session).total_ns)
        round_ns = median(session.stream(TIMED, 2).total_ns)
    assert round_ns / 2 <= 1.1 * serial_ns


def test_layers_add_up_to_about_what_is_computed(
    make: Make, link: Transport, half: Artifact, tmp_path: Path
) -> None:
    engine, inputs = make(), parity.timed_inputs(half, tmp_path)
    with opened(engine, link, half, inputs) as session:
        compute_ns = median(timed(session).compute_ns)
    options = engine.profile_options(engine.load_options(), link.scratch())
    with engine.open_session(link, half.model_file, options, inputs) as session:
        session.warm(WARM)
        layers = session.profile(50)
    assert len(layers) > 5
    assert all(layer.calls == 50 for layer in layers)
    assert any(layer.op_type != "layer" for layer in layers), "the inspector tells types"
    total_ns = sum(layer.total_ns for layer in layers) / 50
    # Timing each layer costs time.
    assert 0.5 * compute_ns < total_ns < 5 * compute_ns


def test_an_engine_is_kept_and_a_damaged_one_built_again(
    make: Make, link: Transport, half: Artifact, engines: Path
) -> None:
    def origin() -> str:
        told = make().prepare(link, half.model_file, anew=False, on_stage=lambda _: None)
        assert told is not None
        return told.split()[0]

    origin()
    assert origin() == "reused"
    for engine in engines.glob("*.engine"):
        engine.write_bytes(engine.read_bytes()[:-1])
    assert origin() == "rebuilt"
