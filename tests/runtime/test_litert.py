"""LiteRT through an agent, on one attention block."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from vitbench import catalog, runtime, transport
from vitbench.catalog import Workload
from vitbench.errors import ToolError, UsageError
from vitbench.export import Artifact, ArtifactCache, get_artifact
from vitbench.runtime import AgentSession, TensorFile, write_tensor

pytestmark = pytest.mark.tflite
TARGET = catalog.resolve_target("cpu-tflite")
ENGINE = runtime.for_target(TARGET)


@pytest.fixture(scope="module")
def artifact() -> Artifact:
    made_for = ENGINE.made_for(None)
    return get_artifact(
        Workload(model=catalog.resolve_model("attention-4x16:7x7")),
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
def session_of(model: Path, inputs: list[TensorFile], threads: int = 1) -> Iterator[AgentSession]:
    options = ENGINE.load_options(threads=threads)
    with transport.open(TARGET) as link, runtime.open_session(link, ENGINE, model, options, inputs) as opened:
        assert isinstance(opened, AgentSession)
        yield opened


@pytest.mark.parametrize("threads", [1, 2])
def test_loads_times_its_parts_and_gives_outputs(
    artifact: Artifact, tensor: TensorFile, tmp_path: Path, threads: int
) -> None:
    with session_of(artifact.model_file, [tensor], threads) as session:
        loaded = session.loaded
        assert loaded.runtime_version == ENGINE.version()
        assert [(each.name, each.shape) for each in loaded.inputs] == [("input", tensor.shape)]
        assert loaded.load_ns > 0
        session.warm(3)
        batch = session.measure(20)
        parts = zip(batch.h2d_ns, batch.compute_ns, batch.d2h_ns, strict=True)
        assert tuple(map(sum, parts)) == batch.total_ns
        assert min(batch.compute_ns) > 0
        (first,) = session.outputs([[tensor]], tmp_path)
        kept = first[0].read()
        (second,) = session.outputs([[tensor]], tmp_path)
        assert [each.name for each in first] == [each.name for each in artifact.manifest.outputs]
        assert np.array_equal(kept, second[0].read())


def test_what_it_states_about_comparability() -> None:
    one, two = (ENGINE.protocol_facts(ENGINE.load_options(threads=threads)) for threads in (1, 2))
    assert (one["transfers"], one["zero_copy"], one["spin_wait"], two["spin_wait"]) == (
        *("timed", False, False),
        True,
    )


def test_inputs_that_do_not_fit_are_refused(artifact: Artifact, tmp_path: Path) -> None:
    other = write_tensor("other", np.zeros(3, np.float32), tmp_path / "other.bin")
    refused = pytest.raises(UsageError, match=r"the model's inputs are \['input'\], not \['other'\]")
    with refused, session_of(artifact.model_file, [other]):
        pass
    small = write_tensor("input", np.zeros((1, 3), np.float32), tmp_path / "small.bin")
    refused = pytest.raises(UsageError, match="input 'input' of the model is float32")
    with refused, session_of(artifact.model_file, [small]):
        pass


def test_a_file_that_is_no_model_fails(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    model = tmp_path / "model" / "model.tflite"
    model.write_bytes(b"nothing of the kind")
    with pytest.raises(ToolError, match="cannot load"), session_of(model, []):
        pass


def test_layers_cannot_be_timed() -> None:
    with pytest.raises(UsageError, match="cannot tell the time of each layer"):
        ENGINE.profile_options(ENGINE.load_options(), "/tmp")


def test_without_any_interpreter_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.path", [])
    with pytest.raises(UsageError, match="ai-edge-litert is not installed") as caught:
        ENGINE.version()
    assert caught.value.hint is not None
    assert "vitbench[tflite]" in caught.value.hint
