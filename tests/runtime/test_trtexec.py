"""trtexec on a device: found, its engine built once, its runs read; over this machine, by a stand-in."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.support.artifacts import as_artifact
from tests.support.trtexec import install
from vitbench import runtime, transport
from vitbench.catalog.specs import TargetSpec
from vitbench.errors import ToolError, UsageError
from vitbench.measure import make_plan, measure_cell
from vitbench.measure.session import ToolSession
from vitbench.runtime import LayerTime, TensorFile
from vitbench.runtime.trtexec import Trtexec
from vitbench.runtime.trtexec_check import parts_ms
from vitbench.transport import Transport
from vitbench.trtexec.refusals import NoResult, Reason

Make = Callable[..., "Bench"]


class Bench:
    """A target with a stand-in, and what was asked of it."""

    def __init__(self, directory: Path, model: Path, options: dict[str, Any], **environment: str) -> None:
        self.directory = directory
        self.calls = directory / "calls"
        environment = {"TRT_CALLS": str(self.calls), **environment}
        self.program = install(directory / "bin", **environment)
        self.target = TargetSpec(
            name="bench",
            title="a stand-in",
            transport="local",
            runtime="trtexec",
            options={"trtexec": str(self.program), **options},
        )
        self.model = model
        self.link: Transport = transport.open(self.target)
        self.engine = self.new_runtime()

    def new_runtime(self) -> Trtexec:
        found = runtime.for_target(self.target)
        assert isinstance(found, Trtexec)
        return found

    def open(self, inputs: list[TensorFile] | None = None) -> Any:
        return self.engine.open_session(self.link, self.model, self.engine.load_options(), inputs or [])

    def asked(self, word: str) -> list[str]:
        """Calls so far that have a word."""
        lines = self.calls.read_text().splitlines() if self.calls.exists() else []
        return [line for line in lines if word in line]


@pytest.fixture
def make(tmp_path: Path, model: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Bench]]:
    """Benches with a cache of their own; the model is fp32 unless told otherwise."""
    monkeypatch.setenv("VITBENCH_CACHE", str(tmp_path / "cache"))
    made: list[Bench] = []

    def bench(
        version: str = "100300", *, options: dict[str, Any] | None = None, fields: Any = None, **more: str
    ) -> Bench:
        directory = tmp_path / f"bench{len(made)}"
        file = tmp_path / "artifact" / "model" / "model.onnx"
        if not file.exists():
            as_artifact(model, tmp_path / "artifact", **(fields or {}))
        made.append(Bench(directory, file, options or {}, TRT_VERSION=version, **more))
        return made[-1]

    yield bench
    for each in made:
        each.link.close()


@pytest.mark.parametrize("version", ["8502", "8601", "100300", "101602", "110401"])
def test_a_block_of_every_version(version: str, make: Make, inputs: list[TensorFile]) -> None:
    bench = make(version)
    with bench.open(inputs[:1]) as session:
        assert isinstance(session, ToolSession)
        assert session.expected_ns() == pytest.approx(1_174_000, rel=0.01)
        series = session.series(50, 40, 60.0)
        assert series.samples is not None
        assert len(series.samples.total_ns) == 40
        # Copy in, a wait of 0.02 ms, computing, copy out.
        assert series.samples.total_ns[0] == pytest.approx(1_170_000, abs=3000)
        assert series.samples.h2d_ns[0] == 100_000
        assert session.loaded.simulated
        assert session.loaded.device == "Imitated GPU"
        facts = session.describe()["trtexec"]
    assert facts["version"] == session.loaded.runtime_version
    assert facts["engine"] == "built"
    assert facts["layer_types"] == {"fp16" if int(version) >= 100000 else "fp32": 1}
    (timed,) = bench.asked("--iterations=40 ")
    assert f"--warmUp={round(50 * session.expected_ns() / 1e6 + 0.5)} " in timed
    assert "--loadInputs=input:" in timed
    assert facts["run_command"].split()[0] == str(bench.program)


def test_the_engine_is_built_once(make: Make) -> None:
    bench = make()
    for _ in range(3):
        with bench.open() as session:
            session.series(1, 5, 60.0)
    assert len(bench.asked("--onnx=")) == 1
    assert len(bench.asked("--help")) == 1
    # Another run of vitbench finds it again.
    bench.engine = bench.new_runtime()
    with bench.open() as session:
        assert session.describe()["trtexec"]["engine"] == "kept"
    assert len(bench.asked("--onnx=")) == 1


@pytest.mark.parametrize(
    "change", [{"version": "100301"}, {"TRT_GPU": "Another GPU"}, {"options": {"protocol": "paper"}}]
)
def test_another_version_gpu_or_precision_is_another_engine(change: dict[str, Any], make: Make) -> None:
    first, second = make(), make(**change)
    for bench in (first, second):
        with bench.open():
            pass
        assert len(bench.asked("--onnx=")) == 1


def test_an_engine_may_be_built_anew(make: Make) -> None:
    bench = make()
    stages: list[str] = []
    prepared = [
        bench.new_runtime().prepare(bench.link, bench.model, anew=anew, on_stage=stages.append)
        for anew in (False, False, True)
    ]
    assert prepared == ["built engine in 12 s", "kept engine", "built engine in 12 s"]
    assert stages[0] == "building its TensorRT engine on bench by trtexec, unless it is there"
    assert len(bench.asked("--onnx=")) == 2
    same = bench.new_runtime()
    with same.open_session(bench.link, bench.model, same.load_options()):
        assert same.prepare(bench.link, bench.model, anew=False, on_stage=stages.append) is None
    assert len(bench.asked("--onnx=")) == 2
    assert same.prepare(bench.link, bench.model, anew=True, on_stage=stages.append) == prepared[0]
    assert len(bench.asked("--onnx=")) == 3


def test_a_kept_engine_that_does_not_load_is_built_again(make: Make, tmp_path: Path) -> None:
    bench = make()
    with bench.open():
        pass
    (kept,) = (tmp_path / "cache" / "engines").rglob("engine.plan")
    kept.write_text("damaged")
    bench.engine = bench.new_runtime()
    with bench.open() as session:
        assert session.describe()["trtexec"]["engine"] == "built"
        session.series(1, 5, 60.0)
    assert len(bench.asked("--onnx=")) == 2
    assert [path.name for path in kept.parent.iterdir() if "partial" in path.name] == []


def test_what_the_timed_engine_computes(make: Make, inputs: list[TensorFile], tmp_path: Path) -> None:
    bench = make()
    with bench.open() as session:
        found = session.outputs([[inputs[0]], [inputs[1]]], tmp_path)
    assert [[each.name for each in group] for group in found] == [["features", "logits"]] * 2
    first, second = (group[1].read() for group in found)
    assert first.shape == (1, 16, 1, 1)
    assert not np.allclose(first, second)
    # The mean of the other output, to the six digits of the file.
    assert first.ravel() == pytest.approx(found[0][0].read().mean(axis=(2, 3)).ravel(), rel=1e-4)


def test_islands_are_held_where_types_are_weak(make: Make) -> None:
    fields = {"precision": "fp16", "islands": ("attn/MatMul",)}
    bench = make("8601", fields=fields)
    with bench.open() as session:
        assert "notes" not in session.describe()
    (built,) = bench.asked("--onnx=")
    assert "--fp16 --precisionConstraints=obey --layerPrecisions=attn/MatMul:fp32" in built
    old = make("8201", TRT_WITHOUT="layerPrecisions,layerOutputTypes")
    with old.open() as session:
        (note,) = session.describe()["notes"]
    assert "8.2.1 cannot hold single layers in fp32" in note


def test_the_authors_own_flags(make: Make, inputs: list[TensorFile]) -> None:
    bench = make("8601", options={"protocol": "paper"}, fields={"precision": "fp16"})
    with bench.open(inputs[:1]) as session:
        found = session.series(3, 7, 60.0)
        assert session.loaded.runtime_version == "8.6.1"
    assert found.samples is not None
    assert len(found.samples.total_ns) == 100
    # The parts alone: requests overlap, and wait for each other.
    assert found.samples.total_ns[0] == 1_150_000
    (built,) = bench.asked("--onnx=")
    assert "--fp16" in built
    assert "--noTF32" not in built
    timed = bench.asked("--exportTimes=")[-1]
    words = [word for word in timed.split() if not word.startswith(("--loadEngine", "--exportTimes"))]
    assert words == ["--separateProfileRun", "--iterations=100", "--duration=0", "--fp16"]
    facts = bench.engine.protocol_facts(bench.engine.load_options())
    assert (facts["overlap"], facts["transfers"], facts["streams"]) == (True, "timed", 1)


def test_the_time_of_each_layer_is_of_a_run_of_its_own(make: Make) -> None:
    bench = make()
    options = bench.engine.profile_options(bench.engine.load_options(), "/nowhere")
    with bench.engine.open_session(bench.link, bench.model, options) as session:
        assert session.profile(20) == (LayerTime("all", "gemm", 30_000_000, 20),)
    (asked,) = bench.asked("--exportProfile=")
    assert "--exportTimes" not in asked


def test_builds_share_their_times_of_tactics_unless_they_are_to_differ(make: Make) -> None:
    bench = make()
    with bench.open() as session:
        assert session.describe()["trtexec"]["timing_cache"] is True
    other = make(options={"reuse_engine": False})
    with other.open() as session:
        assert session.describe()["trtexec"]["timing_cache"] is False
    (shared,) = [word for word in bench.asked("--onnx=")[0].split() if word.startswith("--timingCacheFile")]
    assert "/engines/timings-" in shared
    assert "--timingCacheFile" not in other.asked("--onnx=")[0]


def test_a_cell_is_measured_from_samples(make: Make) -> None:
    bench = make(TRT_FAULT="warns")
    plan = make_plan("full", blocks=2)
    result = measure_cell(lambda index: bench.open(), plan, sleep=lambda seconds: None)
    assert result.estimate is not None
    assert result.estimate.iterations == 2 * len(result.blocks[0].samples.total_ns) > 1000
    assert result.estimate.latency_ms == pytest.approx(1.174, abs=0.003)
    assert result.estimate.latency_paper_ms == pytest.approx(1.154, abs=0.001)
    assert result.estimate.h2d_ms == 0.1
    assert result.estimate.residual_ms == pytest.approx(0.02, abs=0.003)
    for block in result.blocks:
        assert block.told is None
        assert block.steady is None
        assert block.ci_half_width is not None
        assert len(block.warnings) == 3
        assert block.load_ms == 12.5


def test_without_a_file_of_times_the_summary_tells_of_computing(make: Make) -> None:
    bench = make(TRT_FAULT="no-times")
    result = measure_cell(lambda index: bench.open(), make_plan("quick"), sleep=lambda seconds: None)
    assert result.estimate is not None
    assert result.estimate.latency_ms is None
    assert result.estimate.compute_ms == pytest.approx(1.004, abs=0.003)
    assert all("left no file of times" in block.warnings[-1] for block in result.blocks)


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ("crash", Reason.CRASHED),
        ("abort", Reason.CRASHED),
        ("not-passed", Reason.TRUNCATED),
        ("stale-times", Reason.CONTRADICTORY),
        ("other-options", Reason.OTHER_OPTIONS),
        ("no-gpu", Reason.NO_GPU),
        ("model", Reason.OPERATOR),
    ],
)
def test_failures_are_errors_of_the_tool_with_a_reason(fault: str, reason: Reason, make: Make) -> None:
    bench = make(TRT_FAULT=fault)
    with pytest.raises(NoResult) as caught:
        bench.open()
    assert isinstance(caught.value, ToolError)
    assert caught.value.reason is reason
    assert caught.value.hint
    assert caught.value.tail


def test_a_file_of_times_that_is_missing_once_costs_the_block(make: Make) -> None:
    bench = make(TRT_FAULT="some-times")
    with bench.open() as session, pytest.raises(NoResult, match="left no file of times this time"):
        session.series(1, 5, 60.0)


def test_a_default_of_version_11_is_never_taken_for_what_was_asked(make: Make) -> None:
    with pytest.raises(NoResult, match="ran with `Data transfers: Disabled`"):
        make("110100", TRT_FAULT="other-options").open()


def test_a_missing_program_says_where_it_comes_from(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    bench = make(options={"trtexec": "/nowhere/trtexec"})
    with pytest.raises(NoResult, match="bench has no trtexec as /nowhere/trtexec") as caught:
        bench.open()
    assert caught.value.hint is not None
    assert "libnvinfer-bin" in caught.value.hint
    assert "pip have none" in caught.value.hint
    found = bench.target.model_copy(update={"options": {}})
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    with pytest.raises(NoResult, match="has no trtexec in any of its usual places"):
        Trtexec(found).tool(bench.link)
    monkeypatch.setenv("HOME", str(bench.directory))
    home = bench.target.model_copy(update={"options": {"trtexec": "~/bin/trtexec"}})
    assert Trtexec(home).tool(bench.link).program == str(bench.program)
    monkeypatch.setenv("PATH", f"{bench.program.parent}:/usr/bin:/bin")
    assert str(Trtexec(found).tool(bench.link).version) == "10.3.0"


def test_another_program_of_that_name(make: Make) -> None:
    bench = make(options={"trtexec": "/bin/true"})
    with pytest.raises(NoResult, match="/bin/true is no trtexec"):
        bench.open()


def test_a_model_of_no_artifact(make: Make, model: Path) -> None:
    bench = make()
    bench.model = model
    with pytest.raises(UsageError, match="of no artifact"):
        bench.open()
    with pytest.raises(UsageError, match="needs a model"):
        bench.engine.open_session(bench.link, None, bench.engine.load_options())


def test_a_flag_that_this_build_does_not_have(make: Make) -> None:
    with pytest.raises(UsageError, match="does not list --noSpinWait"):
        make("110100", TRT_WITHOUT="noSpinWait").open()


def test_the_witness_leaves_out_what_trtexec_uses_itself(make: Make) -> None:
    with make().open() as session:
        readings = session.probe()
    assert "load1" in readings
    assert not {"own_cpu_ns", "cpu_busy_ns", "peak_rss_bytes"} & readings.keys()


def test_a_device_without_python_is_measured_without_witnesses(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    def none(label: str) -> Any:
        raise ToolError("no python3")

    bench = make()
    monkeypatch.setattr(bench.link, "start_agent", none)
    with bench.open() as session:
        assert session.probe() == {}
        assert session.describe()["trtexec"]["gpu"] == "Imitated GPU"
        assert session.series(1, 5, 60.0).run.count == 5


def test_the_second_opinion_of_a_run_by_the_tensorrt_runtime(make: Make) -> None:
    bench = make()
    other = bench.target.model_copy(
        update={"runtime": "tensorrt", "options": {**bench.target.options, "cross_check": True}}
    )
    assert parts_ms(bench.link, other, bench.model) == pytest.approx(1.154, abs=0.003)
    (asked,) = bench.asked("--iterations=200 ")
    assert "--exposeDMA" in asked
    # As the tensorrt runtime waits where its target says nothing.
    assert "--useSpinWait" in asked
    (engine,) = (bench.directory.parent / "cache" / "engines").rglob("engine.plan")
    bench.calls.unlink()
    assert parts_ms(bench.link, other, bench.model, engine=str(engine)) == pytest.approx(1.154, abs=0.003)
    assert bench.asked("--onnx=") == []


@pytest.mark.parametrize(
    ("stated", "format_name"), [("8.5", "onnx17"), ("8.6.1", "onnx17"), ("10.3", "onnx"), (None, "onnx")]
)
def test_what_artifacts_are_made_for_without_the_device(stated: str | None, format_name: str) -> None:
    options = {} if stated is None else {"tensorrt": stated}
    target = TargetSpec(name="b", title="", transport="local", runtime="trtexec", options=options)
    assert Trtexec(target).made_for(None).format == format_name


def test_what_artifacts_are_made_for_on_the_device(make: Make) -> None:
    for version, told, format_name in (("8601", "8.6.1", "onnx17"), ("110000", "11.0.0", "onnx")):
        bench = make(version)
        made_for = bench.engine.made_for(bench.link)
        assert (made_for.runtime, made_for.version, made_for.format) == ("tensorrt", told, format_name)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"protocol": "fast"}, "unknown protocol 'fast'"),
        ({"protocol": "paper", "cuda_graph": True}, "neither a CUDA graph nor spinning"),
        ({"tensorrt": "newest"}, "is no version"),
        ({"spinwait": True}, "unknown to the trtexec runtime"),
        ({"device": "0"}, "must be a int"),
    ],
)
def test_options_that_do_not_fit(options: dict[str, Any], words: str) -> None:
    target = TargetSpec(name="b", title="", transport="local", runtime="trtexec", options=options)

    def use(chosen: Trtexec) -> None:
        chosen.load_options()
        chosen.made_for(None)

    with pytest.raises(UsageError, match=words):
        use(Trtexec(target))


def test_threads_mean_nothing_to_a_gpu(make: Make) -> None:
    bench = make()
    with pytest.raises(UsageError, match="--threads means nothing"):
        bench.engine.refuse_too_many_threads(bench.link, 2)
    assert bench.engine.load_options(threads=None)["device"] == 0


def test_graphs_and_spinning_are_stated() -> None:
    options = {"cuda_graph": True, "spin_wait": True}
    target = TargetSpec(name="b", title="", transport="local", runtime="trtexec", options=options)
    chosen = Trtexec(target)
    facts = chosen.protocol_facts(chosen.load_options())
    assert (facts["cuda_graph"], facts["spin_wait"], facts["overlap"]) == (True, True, False)
