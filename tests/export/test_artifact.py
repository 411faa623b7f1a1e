"""Whole artifacts: what the manifest says, who makes them, and that they compute what PyTorch computes."""

import os
import shutil
import signal
import subprocess
import sys
import textwrap
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from torch import nn

from tests.export.conftest import RUNTIME, Silent
from tests.export.ort import OrtSession, run
from vitbench import catalog, counting, pipeline, zoo
from vitbench.catalog import Workload
from vitbench.errors import UsageError, VitbenchError
from vitbench.export import Artifact, ArtifactCache, build, get_artifact, networks, onnx_artifact
from vitbench.export.inputs import image
from vitbench.export.manifest import DamagedArtifact, Manifest, hash_file
from vitbench.export.onnx import export_onnx
from vitbench.export.parity import FP32_TOLERANCE, check
from vitbench.request import parse_request
from vitbench.zoo.deploy import to_deploy
from vitbench.zoo.init import seed_weights

SCRIPT = """
    import os, pathlib, signal, sys
    from vitbench import catalog
    from vitbench.catalog import Workload
    from vitbench.export import ArtifactCache, get_artifact
    workload = Workload(model=catalog.resolve_model("effvit-b0"))
    cache = ArtifactCache(pathlib.Path(sys.argv[1]))
    def get(on_stage=None):
        return get_artifact(
            workload, cache, target_runtime="onnxruntime", runtime_version="1.0", on_stage=on_stage
        )
"""


def start(script: str, cache: Path, repository: Path, **environment: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(SCRIPT) + textwrap.dedent(script), str(cache)],
        cwd=repository,
        env=os.environ | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_the_manifest_says_what_was_made(b0: Artifact, b0_workload: Workload, b0_stages: list[str]) -> None:
    manifest = b0.manifest
    assert b0.cache == "built"
    assert b0.key == manifest.key == b0.path.name
    assert (manifest.label, manifest.precision) == ("effvit-b0:224x224 fp32", "fp32")
    assert [(tensor.name, tensor.dtype, tensor.shape) for tensor in manifest.inputs] == [
        ("input", "float32", (1, 3, 224, 224))
    ]
    assert [(tensor.name, tensor.dtype, tensor.shape) for tensor in manifest.outputs] == [
        ("logits", "float32", (1, 1000))
    ]
    assert manifest.formulation == zoo.formulations(to_deploy(zoo.create(b0_workload.model)))
    assert manifest.bytes == b0.model_file.stat().st_size
    assert manifest.total_bytes > manifest.bytes
    assert [file.name for file in b0.model_file.parent.iterdir()] == ["model.onnx"]
    assert manifest.exporter.startswith(f"torch {torch.__version__} dynamo")
    assert len(b0_stages) == 5


def test_the_counts_are_those_of_the_reference_architecture(b0: Artifact) -> None:
    counts = b0.manifest.counts
    assert (counts.params, counts.params_deploy) == (3_410_008, 3_407_328)
    assert (counts.macs, counts.macs_attention) == (100_233_216, 2_558_976)
    graph = counting.count_onnx(b0.model_file)
    assert counts.macs_artifact == graph.macs
    assert graph.params == counts.params_deploy


def test_the_artifact_passes_parity_and_reaches_a_zero_normaliser(b0: Artifact) -> None:
    found = check(b0, OrtSession(b0.model_file))
    assert found.passed, found.reason
    assert found.max_diff is not None
    assert found.max_diff <= FP32_TOLERANCE
    assert (found.inputs, found.normaliser_min) == (17, 0.0)


def test_the_reference_is_fp32_pytorch_in_train_form(b0: Artifact, b0_workload: Workload) -> None:
    network = zoo.create(b0_workload.model)
    seed_weights(network, 0)
    expected = network(torch.from_numpy(image((3, 224, 224), 0, 3)[None])).numpy()
    with np.load(b0.path / b0.manifest.parity.reference_file) as reference:
        assert len(reference.files) == 17
        np.testing.assert_allclose(reference["logits.3"], expected, rtol=0, atol=1e-6 * abs(expected).max())


def test_an_artifact_without_its_guard_fails_parity_on_the_built_image_only(
    b0: Artifact, tmp_path: Path
) -> None:
    """The lower bound of the denominator taken out of the graph, as an optimisation of a runtime could."""
    model = onnx.load(b0.model_file)
    (eps,) = {node.input[1] for node in model.graph.node if node.op_type == "Clip"}
    for tensor in model.graph.initializer:
        if tensor.name == eps:
            tensor.CopyFrom(onnx.numpy_helper.from_array(np.float32(0), eps))
    path = tmp_path / "model.onnx"
    onnx.save(model, path)
    found = check(b0, OrtSession(path))
    assert not found.passed
    assert not found.finite
    special = np.load(b0.path / "zero-normaliser.npy")[None]
    assert np.isnan(run(path, special)).all()
    assert np.isfinite(run(path, image((3, 224, 224), 0, 0)[None])).all()
    assert np.isfinite(run(b0.model_file, special)).all()


def test_a_hit_imports_neither_torch_nor_onnx(
    b0: Artifact, b0_cache: ArtifactCache, repository: Path
) -> None:
    script = """
        artifact = get()
        heavy = {"torch", "onnx", "onnxscript", "onnx_ir", "onnxruntime", "scipy", "pandas"}
        print(artifact.cache, artifact.digest, sorted(heavy & set(sys.modules)))
    """
    out, err = start(script, b0_cache.root, repository).communicate(timeout=60)
    assert (out, err) == (f"reused {b0.digest} []\n", "")


def test_another_process_makes_the_same_artifact_after_damage(
    b0: Artifact, tmp_path: Path, repository: Path
) -> None:
    copy = tmp_path / "cache" / b0.key
    shutil.copytree(b0.path, copy)
    model = copy / "model" / "model.onnx"
    model.write_bytes(model.read_bytes()[:-100])
    script = "artifact = get(lambda stage: print(stage)); print(artifact.cache)"
    out, err = start(script, tmp_path / "cache", repository, PYTHONHASHSEED="7").communicate(timeout=180)
    assert err == ""
    said = out.splitlines()
    assert "is damaged (model/model.onnx has" in said[0]
    assert said[-1] == "rebuilt"
    again = ArtifactCache(tmp_path / "cache").get(b0.key)
    assert again is not None
    assert again.digest == b0.digest
    assert again.manifest.files == b0.manifest.files


def test_killed_during_the_export_the_next_run_works(b0: Artifact, tmp_path: Path, repository: Path) -> None:
    script = """
        def told(stage):
            if stage.startswith("counting"):
                os.kill(os.getpid(), signal.SIGKILL)
        get(told)
    """
    process = start(script, tmp_path, repository)
    process.communicate(timeout=180)
    assert process.returncode == -signal.SIGKILL
    half = tmp_path / ".building" / f"{b0.key}.new"
    assert (half / "model" / "model.onnx").exists()
    cache = ArtifactCache(tmp_path)
    assert cache.get(b0.key) is None

    def fill(directory: Path) -> Manifest:
        assert list(directory.iterdir()) == []
        shutil.copytree(b0.path, directory, dirs_exist_ok=True)
        return b0.manifest

    assert cache.get_or_build(b0.key, fill).digest == b0.digest
    assert list((tmp_path / ".building").iterdir()) == []


@pytest.mark.parametrize("name", ["effvit-b0+softmax:64x64", "effvit-b0+sra-softmax:64x64"])
def test_attention_that_does_not_divide_needs_no_built_image(name: str, tmp_path: Path) -> None:
    artifact = get_artifact(Workload(model=catalog.resolve_model(name)), ArtifactCache(tmp_path), **RUNTIME)
    assert artifact.manifest.parity.special_file is None
    assert artifact.manifest.parity.normaliser_min is None
    found = check(artifact, OrtSession(artifact.model_file))
    assert found.passed, found.reason
    assert (found.inputs, found.normaliser_min) == (16, None)


def test_a_batch_in_the_textbook_formulation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its reference is computed few images at a time, and the last ones are fewer."""
    monkeypatch.setattr("vitbench.export.build.IMAGES_AT_ONCE", 3)
    workload = Workload(model=catalog.resolve_model("effvit-b0:96x64"), batch=4)
    textbook = {part.kind: part.formulations[0] for part in zoo.formulated(zoo.create(workload.model))}
    artifact = get_artifact(workload, ArtifactCache(tmp_path), formulation=textbook, **RUNTIME)
    assert artifact.manifest.formulation == textbook
    assert artifact.manifest.inputs[0].shape == (4, 3, 96, 64)
    assert artifact.manifest.parity.images == 20
    found = check(artifact, OrtSession(artifact.model_file))
    assert found.passed, found.reason
    assert (found.inputs, found.normaliser_min) == (5, 0.0)


def test_fp16_is_in_the_graph_with_the_attention_core_in_fp32(tmp_path: Path) -> None:
    workload = Workload(model=catalog.resolve_model("effvit-b0:64x64"), precision="fp16")
    artifact = get_artifact(workload, ArtifactCache(tmp_path), **RUNTIME)
    assert {tensor.dtype for tensor in artifact.manifest.inputs + artifact.manifest.outputs} == {"float16"}
    model = onnx.load(artifact.model_file)
    types = {info.name: info.type.tensor_type.elem_type for info in model.graph.value_info}
    half, single = onnx.TensorProto.FLOAT16, onnx.TensorProto.FLOAT
    by_operator = {
        operator: {types[node.output[0]] for node in model.graph.node if node.op_type == operator}
        for operator in ("Conv", "MatMul", "Div")
    }
    assert by_operator == {"Conv": {half}, "MatMul": {single}, "Div": {single}}
    weights = {tensor.data_type for tensor in model.graph.initializer if len(tensor.dims) > 1}
    assert weights == {half}
    found = check(artifact, OrtSession(artifact.model_file))
    assert found.passed, found.reason
    assert found.tolerance == 2e-2


def test_weights_in_a_file_of_their_own_go_all_the_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As for networks over 2 GB: build, counts, digest, cache, agent, parity, copies."""
    monkeypatch.setattr(onnx_artifact, "export_onnx", partial(export_onnx, embedded_limit_bytes=1000))
    monkeypatch.setenv("VITBENCH_CACHE", str(tmp_path / "cache"))
    request = parse_request(models=["effvit-b0"], resolutions=["32"], targets=["cpu"])
    artifact, found, copy = pipeline.export(request, tmp_path / "out", Silent())
    assert found.passed, found.reason
    names = ["model.onnx", "model.onnx.data"]
    assert sorted(file.name for file in artifact.model_file.parent.iterdir()) == names
    assert sorted(file.name for file in copy.parent.iterdir()) == names
    weights = copy.with_name("model.onnx.data")
    assert artifact.manifest.bytes == copy.stat().st_size + weights.stat().st_size
    # all but small ones, such as a scale of one number
    assert weights.stat().st_size > 3.99 * artifact.manifest.counts.params_deploy > 20 * copy.stat().st_size
    assert run(copy, np.zeros((1, 3, 32, 32), np.float32)).shape == (1, 1000)
    weights.unlink()
    assert counting.count_onnx(copy).params == artifact.manifest.counts.params_deploy

    original = artifact.model_file.with_name("model.onnx.data")
    values = bytearray(original.read_bytes())
    values[-1] ^= 1
    original.write_bytes(values)
    with pytest.raises(DamagedArtifact, match=r"model/model.onnx.data was altered"):
        ArtifactCache(tmp_path / "cache").get(artifact.key)


def small_network() -> tuple[Workload, nn.Module]:
    workload = Workload(model=catalog.resolve_model("effvit-b0:32x32"))
    return workload, zoo.create(workload.model)


def test_a_checkpoint_fills_the_network(tmp_path: Path) -> None:
    workload, network = small_network()
    seed_weights(network, 5)
    path = tmp_path / "weights.pt"
    torch.save(network.state_dict(), path)
    workload = workload.model_copy(update={"weights": f"sha256:{hash_file(path)}"})
    filled = networks.make_reference(workload, path)
    expected = network.state_dict()
    assert all(torch.equal(tensor, expected[key]) for key, tensor in filled.state_dict().items())


def test_a_checkpoint_that_changed_or_is_not_named_is_refused(tmp_path: Path) -> None:
    workload, network = small_network()
    seed_weights(network, 5)
    path = tmp_path / "weights.pt"
    torch.save(network.state_dict(), path)
    workload = workload.model_copy(update={"weights": "sha256:" + "0" * 64})
    with pytest.raises(UsageError, match="changed while it was read"):
        networks.make_reference(workload, path)
    with pytest.raises(UsageError, match="need their file"):
        networks.make_reference(workload, None)


def test_counters_that_disagree_are_a_bug_that_names_both_numbers(
    b0: Artifact, b0_workload: Workload, monkeypatch: pytest.MonkeyPatch
) -> None:
    running = to_deploy(zoo.create(b0_workload.model))
    model = counting.count_model(b0_workload.model)
    macs = b0.manifest.counts.macs_artifact
    assert onnx_artifact.count_graph(b0_workload, model, running, b0.model_file).macs_artifact == macs
    true_count = counting.count_onnx

    def one_more(model: Any) -> counting.OnnxCounts:
        found = true_count(model)
        return counting.OnnxCounts(**{**vars(found), "macs": found.macs + 1})

    monkeypatch.setattr(counting, "count_onnx", one_more)
    with pytest.raises(VitbenchError, match="the counters disagree on macs of effvit-b0") as caught:
        onnx_artifact.count_graph(b0_workload, model, running, b0.model_file)
    assert f"{macs:,}" in caught.value.message
    assert f"{macs + 1:,}" in caught.value.message
    assert caught.value.exit_code == 101

    def twice_the_bytes(model: Any) -> counting.OnnxCounts:
        found = true_count(model)
        return counting.OnnxCounts(**{**vars(found), "bytes_read": 2 * found.bytes_read})

    monkeypatch.setattr(counting, "count_onnx", twice_the_bytes)
    with pytest.raises(VitbenchError, match="the counters disagree on bytes_read of effvit-b0"):
        onnx_artifact.count_graph(b0_workload, model, running, b0.model_file)


def test_a_reference_that_is_not_finite_is_refused(tmp_path: Path) -> None:
    workload, network = small_network()
    seed_weights(network, 0)
    next(iter(network.parameters())).data.fill_(torch.nan)
    with pytest.raises(VitbenchError, match=r"reference output 'logits.0' of fp32 PyTorch is not finite"):
        build._write_reference(network, workload, 1, tmp_path, lambda stage: None)
