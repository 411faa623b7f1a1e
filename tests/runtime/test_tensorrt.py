"""The tensorrt runtime: what it asks of a device, which is a Python with the stand-in on this machine."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.support.tensorrt_stand_in.interpreter import make_python
from tests.support.tensorrt_stand_in.toys import write_toy
from vitbench import runtime, transport
from vitbench.catalog.specs import TargetSpec
from vitbench.errors import ExitCode, OutOfMemory, ToolError, UsageError, VitbenchError
from vitbench.records.schema import EnginePart
from vitbench.runtime import MadeFor, TensorFile, tensorrt
from vitbench.runtime.tensorrt import TensorRt
from vitbench.runtime.tensorrt_missing import refuse_missing
from vitbench.transport import Transport

Make = Callable[..., TargetSpec]


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_python(tmp_path_factory.mktemp("python") / "python", packages=False)


@pytest.fixture
def target(python: Path, tmp_path: Path) -> Make:
    def make(**options: Any) -> TargetSpec:
        return TargetSpec(
            name="bench",
            title="stand-in",
            transport="local",
            runtime="tensorrt",
            python=str(python),
            options={"engines": str(tmp_path / "engines"), **options},
        )

    return make


@pytest.fixture
def link(target: Make) -> Iterator[Transport]:
    with transport.open(target()) as opened:
        yield opened


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return write_toy(tmp_path / "model")


@pytest.fixture
def inputs(tmp_path: Path) -> list[TensorFile]:
    (tmp_path / "x.bin").write_bytes(b"12345678")
    return [TensorFile("x", "float16", (1, 4), tmp_path / "x.bin")]


def test_without_the_device_the_target_says_what_graphs_are_for(target: Make) -> None:
    def made(**options: Any) -> MadeFor:
        return runtime.for_target(target(**options)).made_for(None)

    assert made() == MadeFor("tensorrt", "newest", "onnx")
    assert made(tensorrt="10.3") == MadeFor("tensorrt", "10.3.0", "onnx")
    assert made(tensorrt="8.6.1") == MadeFor("tensorrt", "8.6.1", "onnx17")
    with pytest.raises(UsageError, match="option 'tensorrt' of target 'bench' is no version: 'newest'"):
        made(tensorrt="newest")


@pytest.mark.parametrize(
    ("version", "expected"), [("10.3.0.30", ("10.3.0", "onnx")), ("8.6.1.post1", ("8.6.1", "onnx17"))]
)
def test_the_device_says_what_graphs_are_for(
    target: Make, link: Transport, monkeypatch: pytest.MonkeyPatch, version: str, expected: tuple[str, str]
) -> None:
    monkeypatch.setenv("VITBENCH_STAND_IN_TENSORRT", version)
    engine = TensorRt(target())
    assert engine.made_for(link) == MadeFor("tensorrt", *expected)
    monkeypatch.setenv("VITBENCH_STAND_IN_FAILS", "no-gpu")
    assert engine.made_for(link) == MadeFor("tensorrt", *expected), "it is asked once"


def test_a_device_without_a_gpu(target: Make, link: Transport, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VITBENCH_STAND_IN_FAILS", "no-gpu")
    with pytest.raises(
        ToolError, match="TensorRT does not run on bench: the NVIDIA driver finds no GPU"
    ) as raised:
        TensorRt(target()).made_for(link)
    assert "`nvidia-smi`, on a Jetson `tegrastats`, shows" in str(raised.value.hint)
    assert "`vitbench targets` lists" in str(raised.value.hint)
    assert raised.value.exit_code == ExitCode.TOOL


@pytest.mark.parametrize(
    ("found", "of", "kind", "hint"),
    [
        ({"missing": "driver"}, {"transport": "ssh"}, ToolError, "`ssh orin nvidia-smi`.*--host USER@HOST"),
        ({"missing": "driver"}, {"transport": "ssh", "host": "me@b"}, ToolError, "`ssh me@b nvidia-smi`"),
        (
            {"missing": "package", "machine": "aarch64"},
            {"transport": "ssh"},
            ToolError,
            "`ssh orin sudo apt-get install python3-libnvinfer`",
        ),
        (
            {"missing": "package", "machine": "x86_64", "executable": "/usr/bin/python3"},
            {"transport": "local"},
            ToolError,
            '`/usr/bin/python3 -m pip install tensorrt`; or name a Python that has it .*`python = "/path',
        ),
        ({"missing": "version"}, {"transport": "ssh"}, UsageError, '`runtime = "trtexec"`'),
    ],
    ids=["driver", "host", "jetson", "x86", "version"],
)
def test_what_is_missing_is_told_with_the_way_to_get_it(
    found: dict[str, Any], of: dict[str, str], kind: type[VitbenchError], hint: str
) -> None:
    target = TargetSpec(name="orin", title="a board", runtime="tensorrt", **of)
    with pytest.raises(kind, match="because of that") as raised:
        refuse_missing({"problem": "because of that", **found}, target)
    assert raised.match("orin")
    assert re.search(hint, str(raised.value.hint))


def test_nothing_is_missing(target: Make) -> None:
    refuse_missing({"missing": None, "problem": None}, target())


def test_an_engine_is_built_once_and_loaded_by_every_process(
    target: Make, link: Transport, model: Path, inputs: list[TensorFile], tmp_path: Path
) -> None:
    engine, stages = TensorRt(target(cuda_graph=True)), list[str]()
    told = engine.prepare(link, model, anew=False, on_stage=stages.append)
    assert stages == ["building its TensorRT engine on bench, unless it is there"]
    assert told is not None
    assert told.startswith("built engine ")
    assert engine.prepare(link, model, anew=False, on_stage=stages.append) is None
    keys = []
    for _ in range(2):
        with engine.open_session(link, model, engine.load_options(), inputs) as session:
            loaded = session.loaded
            assert session.measure(3).compute_ns == (5000,) * 3
        assert loaded.engine is not None
        keys.append(loaded.engine["key"])
        part = EnginePart(**{name: loaded.engine[name] for name in EnginePart.model_fields})
        assert (part.origin, part.typing, part.tf32, part.timings) == ("built", "strong", False, "new")
        assert (loaded.simulated, loaded.protocol) == (True, {"cuda_graph": True})
    assert len(set(keys)) == 1
    assert len(list((tmp_path / "engines").glob("*.engine"))) == 1
    assert str(engine.prepare(link, model, anew=True, on_stage=stages.append)).startswith("rebuilt engine ")
    again = TensorRt(target(cuda_graph=True))
    assert str(again.prepare(link, model, anew=False, on_stage=stages.append)).startswith("reused engine ")


def test_precision_and_islands_are_the_artifacts(
    target: Make, link: Transport, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VITBENCH_STAND_IN_TENSORRT", "8.6.1")
    asked = []

    def read(directory: Path) -> Any:
        asked.append(directory)
        return SimpleNamespace(precision="fp16", islands=("qk", "kv"))

    monkeypatch.setattr(tensorrt, "read_manifest", read)
    engine = TensorRt(target())
    with engine.open_session(link, model, engine.load_options()) as session:
        built = session.loaded.engine
    assert asked == [model.parent.parent]
    assert built is not None
    assert (built["precision"], built["islands"], built["held"]) == ("fp16", ["kv", "qk"], 2)
    assert built["flags"] == ["FP16", "OBEY_PRECISION_CONSTRAINTS"]


def test_an_engine_that_is_refused_is_built_again(
    target: Make, link: Transport, model: Path, inputs: list[TensorFile], tmp_path: Path
) -> None:
    engine = TensorRt(target())
    engine.prepare(link, model, anew=False, on_stage=lambda _: None)
    (file,) = (tmp_path / "engines").glob("*.engine")
    file.write_bytes(b"of another TensorRT")
    with engine.open_session(link, model, engine.load_options(), inputs) as session:
        assert session.loaded.engine is not None
        assert session.loaded.engine["origin"] == "rebuilt"


def test_a_load_that_fails_for_another_reason_builds_nothing(
    target: Make, link: Transport, model: Path, inputs: list[TensorFile], monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = TensorRt(target())
    engine.prepare(link, model, anew=False, on_stage=lambda _: None)
    monkeypatch.setenv("VITBENCH_STAND_IN_FAILS", "no-gpu")
    with pytest.raises(ToolError, match="the NVIDIA driver finds no GPU"):
        engine.open_session(link, model, engine.load_options(), inputs)


def test_memory_that_is_not_there(
    target: Make, link: Transport, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VITBENCH_STAND_IN_FAILS", "build-memory")
    with pytest.raises(OutOfMemory, match="out of memory") as raised:
        TensorRt(target()).prepare(link, model, anew=False, on_stage=lambda _: None)
    assert "--batch" in str(raised.value.hint)


def test_blocks_with_and_without_a_graph_are_not_mixed(
    target: Make, link: Transport, model: Path, inputs: list[TensorFile], monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = TensorRt(target(cuda_graph=True))
    engine.open_session(link, model, engine.load_options(), inputs).close()
    monkeypatch.setenv("VITBENCH_STAND_IN_FAILS", "capture")
    with pytest.raises(ToolError, match="could be recorded in one process on bench, and not in another"):
        engine.open_session(link, model, engine.load_options(), inputs)


def test_layers(target: Make, link: Transport, model: Path, inputs: list[TensorFile]) -> None:
    engine = TensorRt(target(cuda_graph=True))
    options = engine.profile_options(engine.load_options(), link.scratch())
    with engine.open_session(link, model, options, inputs) as session:
        layers = session.profile(3)
    assert [layer.name for layer in layers] == ["conv", "enter", "qk", "kv", "leave"]
    assert (layers[0].total_ns, layers[0].calls) == (3000, 3)


def test_protocol_facts(target: Make) -> None:
    engine = TensorRt(target())
    usual = engine.protocol_facts(engine.load_options())
    assert usual == {
        "transfers": "timed",
        "zero_copy": False,
        "spin_wait": True,
        "cuda_graph": False,
        "streams": 1,
        "mode": None,
    }
    other = TensorRt(target(tf32=True, optimization_level=5, spin_wait=False, streams=4))
    facts = other.protocol_facts(other.load_options())
    assert (facts["mode"], facts["spin_wait"]) == ("TF32, optimization level 5", False)
    assert other.stream_facts(other.load_options()) == {"streams": 4, "overlap": True}


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"cuda_graphs": True}, "option 'cuda_graphs' .* is unknown"),
        ({"cuda_graph": "yes"}, "'cuda_graph' .* must be a bool"),
        ({"device": -1}, "'device' .* must be the number of a GPU, from 0 on, not -1"),
        ({"streams": 1}, "'streams' .* must be from 2 to 16, not 1"),
        ({"workspace_mb": 0}, "'workspace_mb' .* must be positive, not 0"),
        ({"avg_timing": 0}, "'avg_timing' .* must be positive"),
        ({"optimization_level": 6}, "'optimization_level' .* must be from 0 to 5, not 6"),
        ({"timing_cache": "use"}, "'timing_cache' .* must be one of keep, pin, off, not 'use'"),
        ({"engines": "here"}, "'engines' .* must be an absolute path on the device, not 'here'"),
        ({"tensorrt": "x"}, "'tensorrt' .* is no version: 'x'"),
    ],
)
def test_options_that_make_no_sense(target: Make, options: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        TensorRt(target(**options)).load_options()


def test_a_model_is_needed(target: Make, link: Transport) -> None:
    engine = TensorRt(target())
    with pytest.raises(UsageError, match="TensorRT needs a model"):
        engine.open_session(link, None, engine.load_options())
