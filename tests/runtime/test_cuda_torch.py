"""PyTorch through an agent, on this machine's processor: everything but what only a GPU has."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from vitbench import catalog, runtime, transport
from vitbench.agent.backends.torch import _not_compiled
from vitbench.catalog import Workload
from vitbench.catalog.specs import TargetSpec
from vitbench.errors import ToolError, UsageError
from vitbench.export import Artifact, ArtifactCache, get_artifact
from vitbench.runtime import AgentSession, TensorFile, write_tensor
from vitbench.runtime.cuda_torch import CudaTorch

TARGETS = ("cuda-torch", "cuda-torch-compile", "cuda-torch-graph")


def target(**options: Any) -> TargetSpec:
    return TargetSpec(
        name="torch-cpu",
        title="this machine",
        transport="local",
        runtime="cuda-torch",
        options={"device": "cpu", **options},
    )


@pytest.fixture(scope="module")
def artifact() -> Artifact:
    made_for = runtime.for_target(target()).made_for(None)
    return get_artifact(
        Workload(model=catalog.resolve_model("attention-4x16:7x7"), batch=2),
        ArtifactCache(),
        target_runtime=made_for.runtime,
        runtime_version=made_for.version,
        format_name=made_for.format,
    )


@pytest.fixture
def tensor(artifact: Artifact, tmp_path: Path) -> TensorFile:
    shape = artifact.manifest.inputs[0].shape
    values = np.random.default_rng(0).standard_normal(shape, dtype=np.float32)
    return write_tensor("input", values, tmp_path / "input.bin")


@contextmanager
def session_of(model: Path, inputs: list[TensorFile], spec: TargetSpec) -> Iterator[AgentSession]:
    engine = runtime.for_target(spec)
    options = engine.load_options(threads=1)
    with transport.open(spec) as link, runtime.open_session(link, engine, model, options, inputs) as opened:
        assert isinstance(opened, AgentSession)
        yield opened


@pytest.mark.parametrize("options", [{}, {"channels_last": True, "tf32": True}], ids=str)
def test_loads_times_its_parts_and_gives_outputs(
    artifact: Artifact, tensor: TensorFile, tmp_path: Path, options: dict[str, Any]
) -> None:
    with session_of(artifact.model_file, [tensor], target(**options)) as session:
        loaded = session.loaded
        assert loaded.runtime_version == torch.__version__
        assert [(each.name, each.shape) for each in loaded.inputs] == [("input", tensor.shape)]
        assert loaded.load_ns > 0
        session.warm(3)
        batch = session.measure(20)
        parts = zip(batch.h2d_ns, batch.compute_ns, batch.d2h_ns, strict=True)
        assert tuple(map(sum, parts)) == batch.total_ns
        assert min(batch.compute_ns) > min(batch.h2d_ns) > 0
        (outputs,) = session.outputs([[tensor]], tmp_path)
        kept = outputs[0].read()
        twice = write_tensor("input", 2 * tensor.read(), tmp_path / "twice.bin")
        assert not np.array_equal(session.outputs([[twice]], tmp_path)[0][0].read(), kept)
        (again,) = session.outputs([[tensor]], tmp_path)
        assert np.array_equal(again[0].read(), kept)
        assert [each.name for each in outputs] == [each.name for each in artifact.manifest.outputs]
        with pytest.raises(UsageError, match="cannot tell the time of each layer"):
            session.profile(1)


def test_several_lanes_have_buffers_of_their_own(artifact: Artifact, tensor: TensorFile) -> None:
    with session_of(artifact.model_file, [tensor], target()) as session:
        alone = min(session.stream(20, 1).total_ns)
        rounds = session.stream(20, 3)
        assert len(rounds.total_ns) == 20
        assert rounds.h2d_ns == rounds.compute_ns == ()
        assert 2 < min(rounds.total_ns) / alone < 5
        assert rounds.elapsed_ns > sum(rounds.total_ns)
        for lanes in (0, 17, True):
            with pytest.raises(UsageError, match="lanes must be an integer from 1 to 16"):
                session.stream(1, lanes)


def test_inputs_that_do_not_fit_are_refused(artifact: Artifact, tmp_path: Path) -> None:
    other = write_tensor("other", np.zeros(3, np.float32), tmp_path / "other.bin")
    small = write_tensor("input", np.zeros((1, 3), np.float32), tmp_path / "small.bin")
    with session_of(artifact.model_file, [], target()) as session:
        with pytest.raises(UsageError, match=r"the model's inputs are \['input'\], not \['other'\]"):
            session.outputs([[other]], tmp_path)
        with pytest.raises(UsageError, match="input 'input' of the model is float32"):
            session.outputs([[small]], tmp_path)
        with pytest.raises(UsageError, match="no inputs were given at load"):
            session.measure(1)
        with pytest.raises(UsageError, match="no inputs were given at load"):
            session.stream(1, 2)


def test_a_build_without_cuda_is_refused_before_anything_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    spec = target(device="cuda:1")
    monkeypatch.setattr(CudaTorch, "version", lambda self: "2.13.0+cpu")
    with transport.open(spec) as link:
        with pytest.raises(UsageError, match=r"this torch \(2\.13\.0\+cpu\) has no CUDA") as caught:
            runtime.for_target(spec).made_for(link)
        assert caught.value.hint is not None
        assert "pytorch.org" in caught.value.hint
        assert runtime.for_target(target()).made_for(link).format == "aten"
        monkeypatch.setattr(CudaTorch, "version", lambda self: "2.13.0+cu130")
        assert runtime.for_target(spec).made_for(link).runtime == "cuda-torch"


def test_a_build_without_cuda_is_not_found_where_a_gpu_is_wanted() -> None:
    with transport.open(target()) as link:

        def found(device: str, **told: str) -> str | None:
            return runtime.for_target(target(device=device)).found_on(link, told)

        built = {"cuda-torch": "2.13.0+cpu"}
        assert found("cuda:0", **built) is None
        assert found("cpu", **built) == "2.13.0+cpu"
        assert found("cuda:0", **{"cuda-torch": "2.13.0+cu130"}) == "2.13.0+cu130"
        assert found("cuda:0") is None


def product(directory: Path, *values: int) -> Path:
    """A graph that multiplies its input with a transposed weight, or with another value."""
    (directory / "model").mkdir()
    model = directory / "model" / "graph.json"
    model.with_name("weights.bin").write_bytes(np.ones((3, 3), np.float32).tobytes())
    told = {
        "version": 1,
        "inputs": [{"name": "x", "dtype": "float32", "shape": [2, 3]}],
        "weights": [{"dtype": "float32", "shape": [3, 3], "offset": 0}],
        "nodes": [{"op": "matmul.default", "args": [{"value": each} for each in values], "kwargs": {}}],
        "outputs": [{"name": "y", "dtype": "float32", "shape": [2, 3], "value": 2}],
    }
    model.write_text(json.dumps(told))
    return model


@pytest.fixture
def ones(tmp_path: Path) -> TensorFile:
    return write_tensor("x", np.ones((2, 3), np.float32), tmp_path / "x.bin")


def test_a_network_that_fails_is_the_tools_error(tmp_path: Path, ones: TensorFile) -> None:
    with session_of(product(tmp_path, 0, 0), [ones], target()) as session:
        for act in (lambda: session.measure(1), lambda: session.outputs([[ones]], tmp_path)):
            with pytest.raises(ToolError, match="failed: mat1 and mat2 shapes cannot be multiplied"):
                act()


def test_compiling_is_loading_and_not_the_first_inference(tmp_path: Path, ones: TensorFile) -> None:
    with session_of(product(tmp_path, 0, 1), [ones], target(mode="compile")) as session:
        assert session.warm(1).total_ns[0] < session.loaded.load_ns / 10
        ((output,),) = session.outputs([[ones]], tmp_path)
        assert (output.read() == 3).all()


def test_what_the_compiler_says_is_told_in_a_line() -> None:
    told = _not_compiled("InductorError: no compiler\n\n  is found\n" + 100 * "trace\n")
    assert told.message == "torch.compile cannot compile the network: InductorError: no compiler is found"
    assert told.kind == "runtime"


def test_every_mode_is_a_target_of_its_own() -> None:
    said = []
    for name in TARGETS:
        spec = catalog.resolve_target(name)
        engine = runtime.for_target(spec)
        facts = engine.protocol_facts(engine.load_options())
        said.append((spec.precision, facts["mode"], facts["cuda_graph"], facts["spin_wait"]))
        assert engine.stream_facts(engine.load_options()) == {"streams": 2, "overlap": True}
    assert said == [
        ("fp16", "eager, cuDNN benchmark", False, True),
        ("fp16", "compile, cuDNN benchmark", False, True),
        ("fp16", "graph, cuDNN benchmark", True, True),
    ]


def test_every_switch_is_stated() -> None:
    engine = runtime.for_target(target(tf32=True, channels_last=True, cudnn_benchmark=False, affinity=[0]))
    options = engine.load_options(threads=2)
    assert options == {
        "device": "cpu",
        "mode": "eager",
        "threads": 2,
        "affinity": [0],
        "tf32": True,
        "cudnn_benchmark": False,
        "channels_last": True,
    }
    facts = engine.protocol_facts(options)
    assert facts["mode"] == "eager, TF32, channels last"
    assert (facts["transfers"], facts["zero_copy"], facts["spin_wait"], facts["streams"]) == (
        *("timed", False, True),
        1,
    )
    assert engine.stream_facts(options) is None, "a processor overlaps nothing"
    assert engine.protocol_facts(engine.load_options(threads=1))["spin_wait"] is False


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"mode": "fast"}, "option 'mode' of target 'torch-cpu' must be one of eager, compile, graph"),
        ({"device": "cuda"}, "must be cuda:N or cpu, not 'cuda'"),
        ({"device": "cuda:0; rm"}, "must be cuda:N or cpu"),
        ({"streams": 1}, "must be from 2 to 16, not 1"),
        ({"streams": 17}, "must be from 2 to 16, not 17"),
        ({"tf32": "yes"}, "option 'tf32' of target 'torch-cpu' must be a bool"),
        ({"modes": "eager"}, "option 'modes' of target 'torch-cpu' is unknown"),
    ],
)
def test_options_that_are_none_are_refused(options: dict[str, Any], why: str) -> None:
    with pytest.raises(UsageError, match=why):
        runtime.for_target(target(**options)).load_options()


def test_without_torch_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.path", [])
    with pytest.raises(UsageError, match="torch is not installed"):
        runtime.for_target(target()).version()
