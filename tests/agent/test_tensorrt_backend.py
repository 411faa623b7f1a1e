"""Engines that run: the order of what is queued, whose clock tells what, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.tensorrt_stand_in.toys import build_options, load_options, write_input, write_toy
from vitbench.agent import backends
from vitbench.agent.backends.tensorrt import TensorRtBackend
from vitbench.agent.errors import AgentError
from vitbench.agent.tensorrt.build import build
from vitbench.agent.timing import time_iterations, time_rounds

# Of the stand-in: 1 us for a copy of a few bytes, and as much for each of the network's five layers.
COPY_NS, LAYERS_NS = 1001, 5000
ITERATION = [
    *("cuEventRecord", "cuMemcpyHtoDAsync_v2", "cuEventRecord"),
    *("execute_async_v3", "cuEventRecord"),
    *("cuMemcpyDtoHAsync_v2", "cuEventRecord", "cuEventSynchronize"),
]


@pytest.fixture
def engine(gpu: Any, play: Callable[[str], Any], tmp_path: Path) -> str:
    """An engine of a small network, of TensorRT 10.3."""
    play("10.3.0")
    model = write_toy(tmp_path / "model")
    reply = build({"model": str(model), "options": build_options(tmp_path / "engines")})
    gpu.calls.clear()
    return str(reply["engine"])


@pytest.fixture
def item(tmp_path: Path) -> dict[str, Any]:
    return write_input(tmp_path / "x.bin")


def test_an_iteration_queues_everything_and_waits_once(gpu: Any, engine: str, item: dict[str, Any]) -> None:
    backend = TensorRtBackend(None, load_options(engine), [item])
    steps = backend.stages()
    gpu.calls.clear()
    for step in steps:
        step()
    assert gpu.calls == ITERATION


def test_the_gpu_tells_the_parts_and_the_host_the_whole(gpu: Any, engine: str, item: dict[str, Any]) -> None:
    backend = TensorRtBackend(None, load_options(engine), [item])
    timed = time_iterations(backend.stages(), 3, backend.clock, backend.parts())["samples"]
    assert timed["h2d_ns"] == timed["d2h_ns"] == [COPY_NS] * 3
    assert timed["compute_ns"] == [LAYERS_NS] * 3
    assert all(total > 0 and total != COPY_NS * 2 + LAYERS_NS for total in timed["total_ns"])


def test_info(engine: str, item: dict[str, Any]) -> None:
    info = TensorRtBackend(None, load_options(engine), [item]).info()
    assert info["inputs"] == [{"name": "x", "dtype": "float16", "shape": [1, 4]}]
    assert info["outputs"] == [{"name": "y0", "dtype": "float16", "shape": [1, 4]}]
    assert (info["device"], info["runtime_version"], info["simulated"]) == ("Stand-in GPU", "10.3.0", True)
    assert info["protocol"] == {"cuda_graph": False}
    assert info["engine"] == {"cuda_graph_refused": None, "aux_streams": 0}


def test_a_graph_is_captured_after_a_first_run_and_holds_no_copy(
    gpu: Any, engine: str, item: dict[str, Any]
) -> None:
    backend = TensorRtBackend(None, load_options(engine, cuda_graph=True), [item])
    work = [call for call in gpu.calls if "Capture" in call or "execute" in call or "Synchronize" in call]
    assert work == [
        *("execute_async_v3", "cuStreamSynchronize"),
        *("cuStreamBeginCapture_v2", "execute_async_v3", "cuStreamEndCapture"),
    ]
    assert backend.info()["protocol"] == {"cuda_graph": True}
    gpu.calls.clear()
    timed = time_iterations(backend.stages(), 1, backend.clock, backend.parts())["samples"]
    in_order = [call for call in gpu.calls if call != "cuEventElapsedTime"]
    assert in_order == ["cuGraphLaunch" if call == "execute_async_v3" else call for call in ITERATION]
    assert (timed["h2d_ns"], timed["compute_ns"]) == ([COPY_NS], [LAYERS_NS])


def test_a_graph_that_cannot_be_captured_is_done_without(
    engine: str, item: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VITBENCH_STAND_IN_FAILS", "capture")
    backend = TensorRtBackend(None, load_options(engine, cuda_graph=True), [item])
    info = backend.info()
    assert info["protocol"] == {"cuda_graph": False}
    assert "CUDA_ERROR_STREAM_CAPTURE_INVALIDATED" in info["engine"]["cuda_graph_refused"]
    timed = time_iterations(backend.stages(), 1, backend.clock, backend.parts())["samples"]
    assert timed["compute_ns"] == [LAYERS_NS]


def test_outputs(engine: str, item: dict[str, Any], tmp_path: Path) -> None:
    backend = TensorRtBackend(None, load_options(engine), [item])
    other = write_input(tmp_path / "other.bin", b"abcdefgh")
    first, second = backend.outputs([[item], [other]], str(tmp_path / "out"))
    assert [Path(group[0]["path"]).read_bytes() for group in (first, second)] == [b"12345678", b"abcdefgh"]
    assert first[0] == {"name": "y0", "dtype": "float16", "shape": [1, 4], "path": first[0]["path"]}
    # What is timed afterwards is what was given at load.
    for step in backend.stages():
        step()
    assert backend._runners[0].buffers.fetched() == {"y0": b"12345678"}


def test_outputs_that_cannot_be_written(engine: str, item: dict[str, Any], tmp_path: Path) -> None:
    backend = TensorRtBackend(None, load_options(engine), [item])
    (tmp_path / "file").write_text("")
    with pytest.raises(AgentError, match="cannot write outputs"):
        backend.outputs([[item]], str(tmp_path / "file"))


def test_several_outputs(gpu: Any, play: Callable[[str], Any], tmp_path: Path, item: dict[str, Any]) -> None:
    play("8.6.1")
    model = write_toy(tmp_path / "wide", outputs=3)
    reply = build({"model": str(model), "options": build_options(tmp_path / "engines")})
    backend = TensorRtBackend(None, load_options(reply["engine"]), [item])
    gpu.calls.clear()
    (group,) = backend.outputs([[item]], str(tmp_path / "out"))
    assert [value["name"] for value in group] == ["y0", "y1", "y2"]
    assert gpu.calls.count("cuMemcpyDtoHAsync_v2") == 3
    assert gpu.calls.count("cuEventSynchronize") == 1


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"name": "z"}, r"the engine's inputs are \['x'\], not \['z'\]"),
        ({"dtype": "float32"}, r"input 'x' of the engine is float16 \[1, 4\], not float32 \[1, 4\]"),
        ({"shape": [4]}, r"is float16 \[1, 4\], not float16 \[4\]"),
        ({"shape": None}, "not float16 None"),
        ({"path": "/nowhere/x.bin"}, "cannot read tensor 'x'"),
    ],
)
def test_unfit_inputs(
    gpu: Any, engine: str, item: dict[str, Any], changed: dict[str, Any], words: str
) -> None:
    with pytest.raises(AgentError, match=words):
        TensorRtBackend(None, load_options(engine), [{**item, **changed}])
    assert gpu.live() == 0, "nothing stays on the GPU"


def test_an_input_of_another_size(engine: str, tmp_path: Path) -> None:
    short = write_input(tmp_path / "short.bin", b"1234")
    with pytest.raises(AgentError, match="holds 4 bytes, not 8"):
        TensorRtBackend(None, load_options(engine), [short])


@pytest.mark.parametrize("inputs", ["x", [1], [{"dtype": "float16"}]])
def test_inputs_that_are_no_tensors(engine: str, inputs: Any) -> None:
    with pytest.raises(AgentError, match="inputs must be a list of tensors"):
        TensorRtBackend(None, load_options(engine), inputs)


def test_nothing_to_time(engine: str) -> None:
    with pytest.raises(AgentError, match="no inputs were given at load"):
        TensorRtBackend(None, load_options(engine), []).stages()


@pytest.mark.parametrize("changed", [{"device": "0"}, {"spin_wait": None}, {"cuda_graph": 1}, {"engine": 5}])
def test_options_that_make_no_sense(engine: str, changed: dict[str, Any]) -> None:
    with pytest.raises(AgentError):
        TensorRtBackend(None, load_options(engine, **changed), [])


def test_an_engine_that_tensorrt_refuses(gpu: Any, engine: str) -> None:
    Path(engine).write_bytes(b"not an engine")
    with pytest.raises(AgentError, match=r"cannot load the engine .*: Serialization assertion") as raised:
        TensorRtBackend(None, load_options(engine), [])
    assert raised.value.kind == "runtime"
    assert gpu.live() == 0


def test_no_driver_is_told_before_tensorrt_can_end_the_process(
    engine: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VITBENCH_STAND_IN_FAILS", "no-gpu")
    with pytest.raises(AgentError, match="the NVIDIA driver finds no GPU"):
        TensorRtBackend(None, load_options(engine), [])


def test_layers_are_timed_in_a_session_of_their_own(gpu: Any, engine: str, item: dict[str, Any]) -> None:
    backend = TensorRtBackend(None, load_options(engine, profile=True, cuda_graph=True), [item])
    assert backend.info()["protocol"] == {"cuda_graph": False}, "a graph reports no layers"
    layers = backend.profile(4)
    assert [layer["name"] for layer in layers] == ["conv", "enter", "qk", "kv", "leave"]
    assert layers[0] == {"name": "conv", "op_type": "Kernel", "total_ns": 4000, "calls": 4, "nodes": ["conv"]}
    with pytest.raises(AgentError, match="nothing is profiled"):
        backend.profile(1)
    with pytest.raises(AgentError, match="nothing is profiled"):
        TensorRtBackend(None, load_options(engine), [item]).profile(1)


def test_lanes_have_streams_and_buffers_of_their_own(gpu: Any, engine: str, item: dict[str, Any]) -> None:
    backend = TensorRtBackend(None, load_options(engine, cuda_graph=True), [item])
    lanes = backends.lanes_of(backend, 3)
    assert len(lanes) == len(gpu.streams) == 3
    assert len(gpu.pinned) == len(gpu.device) == 6
    gpu.calls.clear()
    timed = time_rounds(lanes, 2)
    assert len(timed["samples"]["total_ns"]) == 2
    assert gpu.calls.count("cuGraphLaunch") == 4 * 3
    assert all(lane.buffers.fetched() == {"y0": b"12345678"} for lane in backend._runners)
    assert list(backend.lanes(2)) == list(lanes[:2])


def test_close_frees_the_gpu(gpu: Any, engine: str, item: dict[str, Any]) -> None:
    backend = TensorRtBackend(None, load_options(engine, cuda_graph=True), [item])
    backend.lanes(2)
    assert gpu.live() > 0
    backend.close()
    assert gpu.live() == 0
    backend.close()


def test_a_tensor_without_a_file_of_its_own(gpu: Any, play: Callable[[str], Any], tmp_path: Path) -> None:
    play("10.3.0")
    model = write_toy(tmp_path / "odd")
    model.write_text(model.read_text().replace('[["y0", "HALF"', '[["y0", "BF16"'))
    reply = build({"model": str(model), "options": build_options(tmp_path / "engines")})
    with pytest.raises(
        AgentError, match="tensor 'y0' of the engine is BF16, which cannot be read or written"
    ):
        TensorRtBackend(None, load_options(reply["engine"]), [])
