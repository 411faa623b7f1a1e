"""Artifacts in TFLite: converted, counted, and equal to PyTorch on the real interpreter."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from vitbench import catalog, runtime, transport
from vitbench.catalog import Workload
from vitbench.errors import ToolError, UsageError, VitbenchError
from vitbench.export import Artifact, ArtifactCache, formats, get_artifact, parity, tflite_artifact
from vitbench.export.tflite_child import Answer
from vitbench.records.schema import GraphFacts

pytestmark = pytest.mark.tflite
TARGET = catalog.resolve_target("cpu-tflite")


TOY = "attention-4x16+softmax:7x7"


@pytest.fixture(scope="module")
def cache() -> ArtifactCache:
    return ArtifactCache()


@pytest.fixture
def converted(cache: ArtifactCache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ArtifactCache:
    """An empty cache, and a converter that gives at once what it gave for `TOY` before."""
    made = artifact_of(TOY, cache)

    def convert(_job: object, path: Path) -> Answer:
        shutil.copyfile(made.model_file, path)
        return Answer(seconds=0.0, outputs=made.manifest.outputs, partitions=())

    monkeypatch.setattr(tflite_artifact, "_convert", convert)
    return ArtifactCache(tmp_path / "cache")


def artifact_of(name: str, cache: ArtifactCache, **more: Any) -> Artifact:
    engine = runtime.for_target(TARGET)
    workload = Workload(model=catalog.resolve_model(name), **more.pop("workload", {}))
    return get_artifact(
        workload,
        cache,
        target_runtime=engine.name,
        runtime_version=engine.version(),
        format_name="tflite",
        **more,
    )


def graph_of(artifact: Artifact) -> GraphFacts:
    assert artifact.manifest.graph is not None
    return artifact.manifest.graph


@pytest.mark.parametrize(
    ("name", "formulation"),
    [
        ("effvit-b0:64x96", {"relu": "key-sum"}),
        ("effvit-l0-backbone:64x64", {"relu": "key-sum"}),
        ("effvit-b0-cityscapes:64x128", {"relu": "key-sum", "bicubic": "matmul"}),
        (TOY, {"softmax": "products"}),
        ("fastvit-t8:64x64", {}),
    ],
)
def test_a_network_runs_in_one_partition_and_computes_what_pytorch_does(
    name: str, formulation: dict[str, str], cache: ArtifactCache
) -> None:
    artifact = artifact_of(name, cache)
    manifest, graph = artifact.manifest, graph_of(artifact)
    assert artifact.model_file.name == "model.tflite"
    assert manifest.formulation == formulation
    assert 0 < manifest.counts.macs_artifact < 1.1 * manifest.counts.macs
    assert (graph.partitions, graph.outside, graph.layout) == (1, {}, "NCHW")
    assert graph.transposes == graph.operators["TRANSPOSE"]
    assert sum(graph.operators.values()) == manifest.nodes
    engine = runtime.for_target(TARGET)
    with (
        transport.open(TARGET) as link,
        runtime.open_session(link, engine, artifact.model_file, engine.load_options()) as session,
    ):
        names = [tensor.name for tensor in session.loaded.outputs]
        found = parity.check(artifact, session)
    assert sorted(names) == sorted(tensor.name for tensor in manifest.outputs)
    assert found.passed, found.reason
    assert found.max_diff is not None
    assert 0 < found.max_diff < 1e-5
    record = artifact.record_part()
    assert (record.format, record.opset, record.graph) == ("tflite", None, graph)


def test_the_bicubic_resize_of_the_textbook_splits_the_graph(cache: ArtifactCache) -> None:
    artifact = artifact_of("effvit-b0-cityscapes:64x128", cache, formulation={"bicubic": "resize"})
    graph = graph_of(artifact)
    assert graph.partitions > 1
    assert graph.outside["GATHER_ND"] == graph.operators["GATHER_ND"] > 0


def test_another_format_is_another_artifact() -> None:
    assert formats.model_file("onnx") != formats.model_file("tflite")
    assert formats.describe_exporter("tflite")["litert-torch"]


def test_a_converter_that_is_not_installed_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.path", [])
    with pytest.raises(UsageError, match="which writes tflite files, is not installed") as caught:
        formats.describe_exporter("tflite")
    assert caught.value.hint is not None
    assert "vitbench[tflite]" in caught.value.hint


def test_half_precision_is_refused(cache: ArtifactCache) -> None:
    with pytest.raises(UsageError, match="written in fp32, not fp16"):
        artifact_of("attention-4x16:7x7", cache, workload={"precision": "fp16"})


def test_a_converter_that_fails_is_quoted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The child cannot import what it needs: its own last line is the reason, and nothing is kept."""
    monkeypatch.setattr(tflite_artifact, "CHILD", ("-c", "import vitbench.no_such_part"))
    with pytest.raises(ToolError, match="cannot convert attention-4x16:14x7: ModuleNotFoundError") as caught:
        artifact_of("attention-4x16:14x7", ArtifactCache(tmp_path))
    assert "no_such_part" in caught.value.tail


def test_a_converter_that_is_killed_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tflite_artifact, "CHILD", ("-c", "import os; os.kill(os.getpid(), 9)"))
    with pytest.raises(ToolError, match="ended by signal 9") as caught:
        artifact_of("attention-4x16:14x7", ArtifactCache(tmp_path))
    assert caught.value.hint is not None
    assert "memory" in caught.value.hint


def test_counters_that_disagree_are_a_bug_that_names_both_numbers(
    converted: ArtifactCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    true_count = tflite_artifact.count_tflite

    def one_more(path: Path) -> Any:
        found = true_count(path)
        return type(found)(**{**vars(found), "macs": found.macs + 1})

    monkeypatch.setattr(tflite_artifact, "count_tflite", one_more)
    with pytest.raises(VitbenchError, match=re.escape(f"the counters disagree on macs of {TOY}")) as caught:
        artifact_of(TOY, converted)
    assert caught.value.exit_code == 101


def test_outputs_of_other_names_are_a_bug(converted: ArtifactCache, monkeypatch: pytest.MonkeyPatch) -> None:
    true_convert = tflite_artifact._convert

    def renamed(*arguments: Any) -> Answer:
        answer = true_convert(*arguments)
        outputs = tuple(each.model_copy(update={"name": "other"}) for each in answer.outputs)
        return answer.model_copy(update={"outputs": outputs})

    monkeypatch.setattr(tflite_artifact, "_convert", renamed)
    with pytest.raises(VitbenchError, match=r"gives \['other'\]"):
        artifact_of(TOY, converted)
