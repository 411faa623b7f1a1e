"""ONNX files that were given: artifacts of their own, compared with ONNX Runtime without optimisations."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from benchmarks.example_records import example_record
from tests.export.conftest import RUNTIME, Silent
from tests.export.ort import OrtSession
from vitbench import catalog, pipeline
from vitbench.catalog import Workload
from vitbench.counting import UnsupportedOperators, count_model
from vitbench.errors import UsageError
from vitbench.export import Artifact, ArtifactCache, foreign, get_artifact
from vitbench.export.inputs import image
from vitbench.export.parity import check
from vitbench.pipeline.run import _conclude
from vitbench.records.schema import Header, Parity
from vitbench.request import parse_request

BATCH = 2
CLASSES = 5


def parameter(name: str, *shape: int) -> onnx.TensorProto:
    values = np.random.default_rng(len(name)).standard_normal(shape).astype(np.float32)
    return numpy_helper.from_array(values, name)


def write(path: Path, *more: onnx.NodeProto, external: bool = False) -> Path:
    """Two inputs, a map and places in a table of vectors; two outputs; 16 x 3 x 3 x 3 and 7 x 16 weights."""
    nodes = [
        helper.make_node("Conv", ["map in", "filters"], ["maps"], pads=[1, 1, 1, 1]),
        helper.make_node("GlobalAveragePool", ["maps"], ["pooled"]),
        helper.make_node("Flatten", ["pooled"], ["vectors"]),
        helper.make_node("Gather", ["table", "ids"], ["words"]),
        helper.make_node("Unsqueeze", ["vectors", "last"], ["column"]),
        helper.make_node("MatMul", ["words", "column"], ["scores"]),
        helper.make_node("Softmax", ["vectors"], ["logits"]),
        *more,
    ]
    inputs = [
        helper.make_tensor_value_info("map in", TensorProto.FLOAT, (BATCH, 3, 8, 8)),
        helper.make_tensor_value_info("ids", TensorProto.INT64, (BATCH, 4)),
    ]
    outputs = [
        helper.make_tensor_value_info("scores", TensorProto.FLOAT, None),
        helper.make_tensor_value_info("logits", TensorProto.FLOAT, ("batch", 16)),
    ]
    weights = [parameter("filters", 16, 3, 3, 3), parameter("table", 7, 16)]
    last = numpy_helper.from_array(np.array([2]), "last")
    graph = helper.make_graph(nodes, "given", inputs, outputs, [*weights, last])
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("com.example", 1)]
    model = helper.make_model(graph, opset_imports=opsets, producer_name="by hand", ir_version=8)
    if external:
        onnx.save(
            model, path, save_as_external_data=True, location=f"{path.stem}.weights", size_threshold=100
        )
    else:
        onnx.save(model, path)
    return path


def workload_of(path: Path, **changes: Any) -> Workload:
    return Workload(
        **{"model": catalog.resolve_model(f"onnx:{path}"), "batch": BATCH, "weights": "own"} | changes
    )


def artifact_of(path: Path, root: Path) -> Artifact:
    return get_artifact(workload_of(path), ArtifactCache(root), **RUNTIME)


@pytest.fixture(scope="module")
def given(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("given") / "My net.onnx")


@pytest.fixture(scope="module")
def artifact(given: Path, tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    return artifact_of(given, tmp_path_factory.mktemp("cache"))


def test_the_manifest_describes_the_file(artifact: Artifact, given: Path) -> None:
    manifest = artifact.manifest
    assert artifact.model_file.read_bytes() == given.read_bytes()
    assert [(each.name, each.dtype, each.shape, each.values) for each in manifest.inputs] == [
        ("map in", "float32", (BATCH, 3, 8, 8), "normal"),
        ("ids", "int64", (BATCH, 4), "zeros"),
    ]
    assert [(each.name, each.dtype, each.shape) for each in manifest.outputs] == [
        ("scores", "float32", (BATCH, 4, 1)),
        ("logits", "float32", (BATCH, 16)),
    ]
    assert (manifest.opset, manifest.formulation, manifest.precision) == (17, {}, "fp32")
    assert manifest.exporter == "a file, written by by hand"
    assert manifest.parity.reference == "onnxruntime, unoptimised"
    assert (manifest.parity.runs, manifest.parity.images) == (8, 16)


def test_a_file_at_opset_17_serves_a_runtime_that_knows_no_later_one_and_no_other_does(
    given: Path, tmp_path: Path
) -> None:
    cache = ArtifactCache(tmp_path / "cache")
    served = get_artifact(workload_of(given), cache, format_name="onnx17", **RUNTIME)
    assert (served.manifest.format, served.manifest.opset) == ("onnx17", 17)
    model = onnx.load(given)
    model.opset_import[0].version = 18
    onnx.save(model, tmp_path / "later.onnx")
    with pytest.raises(UsageError, match="at opset 18, and the runtime knows none after 17") as caught:
        get_artifact(workload_of(tmp_path / "later.onnx"), cache, format_name="onnx17", **RUNTIME)
    assert "opset_version=17" in str(caught.value.hint)


def test_the_counts_are_those_of_the_graph(artifact: Artifact, given: Path) -> None:
    counts = artifact.manifest.counts
    products = BATCH * 4 * 16
    assert (counts.params, counts.params_deploy) == (16 * 27 + 7 * 16, 16 * 27 + 7 * 16)
    assert counts.macs == counts.macs_artifact == BATCH * 64 * 16 * 27 + products
    assert counts.macs_attention == products
    assert count_model(catalog.resolve_model(f"onnx:{given}")).bytes_read == counts.bytes_read > 0


def test_parity_is_with_the_unoptimised_graph_and_says_so(artifact: Artifact) -> None:
    found = check(artifact, OrtSession(artifact.model_file))
    assert found.passed, found.reason
    assert (found.inputs, found.reference) == (8, "onnxruntime, unoptimised")
    assert found.reason == "compared with zeros in ids: which values may stand there is not known"
    with np.load(artifact.path / artifact.manifest.parity.reference_file) as reference:
        assert reference["logits.7"].shape == (BATCH, 16)
        maps = np.stack([image((3, 8, 8), 0, 2), image((3, 8, 8), 0, 3)])
        filters = numpy_helper.to_array(parameter("filters", 16, 3, 3, 3))
        padded = np.pad(maps, ((0, 0), (0, 0), (1, 1), (1, 1)))
        windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(2, 3))
        vectors = np.einsum("nchwij,ocij->nohw", windows, filters).mean(axis=(2, 3))
        words = numpy_helper.to_array(parameter("table", 7, 16))[np.zeros(4, np.int64)]
        np.testing.assert_allclose(reference["scores.1"][..., 0], vectors @ words.T, rtol=1e-4, atol=1e-5)


def test_another_network_in_its_place_fails_parity(artifact: Artifact, tmp_path: Path) -> None:
    model = onnx.load(artifact.model_file)
    (filters,) = (each for each in model.graph.initializer if each.name == "filters")
    filters.CopyFrom(numpy_helper.from_array(1.01 * numpy_helper.to_array(filters), "filters"))
    onnx.save(model, tmp_path / "model.onnx")
    assert not check(artifact, OrtSession(tmp_path / "model.onnx")).passed


def test_weights_beside_the_file_come_along_to_the_device(tmp_path: Path) -> None:
    given = write(tmp_path / "net.onnx", external=True)
    request = parse_request(models=[f"onnx:{given}"], targets=["cpu"], batches=[str(BATCH)], no_cache=True)
    artifact, found, path = pipeline.export(request, tmp_path / "out", Silent())
    assert found.passed, found.reason
    assert found.inputs == 8
    files = {file.name: file.read_bytes() for file in path.parent.iterdir()}
    assert files == {
        "model.onnx": given.read_bytes(),
        "net.weights": (tmp_path / "net.weights").read_bytes(),
    }
    assert artifact.manifest.bytes == sum(map(len, files.values()))


def test_the_weights_beside_the_file_are_part_of_key_and_digest(tmp_path: Path) -> None:
    given, beside = write(tmp_path / "net.onnx", external=True), tmp_path / "net.weights"
    first = artifact_of(given, tmp_path / "cache")
    beside.write_bytes(bytes([beside.read_bytes()[0] ^ 1]) + beside.read_bytes()[1:])
    second = artifact_of(given, tmp_path / "cache")
    assert first.key != second.key
    assert first.digest != second.digest
    assert first.model_file.read_bytes() == second.model_file.read_bytes()


def test_a_file_that_is_moved_is_the_same_artifact(tmp_path: Path) -> None:
    given = write(tmp_path / "net.onnx")
    first = artifact_of(given, tmp_path / "cache")
    (tmp_path / "elsewhere").mkdir()
    moved = given.rename(tmp_path / "elsewhere" / "net.onnx")
    assert (artifact_of(moved, tmp_path / "cache").key, first.cache) == (first.key, "built")
    assert artifact_of(moved, tmp_path / "cache").cache == "reused"


@pytest.mark.parametrize("name", ["net.onnx", "net.weights"])
def test_a_file_that_changes_after_it_was_hashed_is_refused(tmp_path: Path, name: str) -> None:
    given = write(tmp_path / "net.onnx", external=True)
    workload = workload_of(given)
    (tmp_path / name).write_bytes((tmp_path / name).read_bytes() + b"\0")
    with pytest.raises(UsageError, match=f"{name} changed while it was read"):
        foreign._copy(workload.model.hyper, tmp_path / "model" / "model.onnx")


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"batch": 1}, "is a graph for batch 2, not 1"),
        ({"precision": "fp16"}, "is a graph in fp32, not fp16"),
    ],
)
def test_another_batch_or_precision_is_refused(
    given: Path, tmp_path: Path, changes: dict[str, Any], told: str
) -> None:
    with pytest.raises(UsageError, match=told):
        get_artifact(workload_of(given, **changes), ArtifactCache(tmp_path), **RUNTIME)


@pytest.mark.parametrize(
    ("node", "name"),
    [
        (helper.make_node("Fused", ["maps"], ["x"], domain="com.example"), "com.example::Fused"),
        (helper.make_node("Det", ["maps"], ["x"]), "Det"),
    ],
    ids=["of another domain", "of the standard"],
)
def test_operators_without_a_known_cost_are_refused_by_name(
    tmp_path: Path, node: onnx.NodeProto, name: str
) -> None:
    given = write(tmp_path / "net.onnx", node)
    with pytest.raises(UnsupportedOperators) as caught:
        artifact_of(given, tmp_path / "cache")
    assert caught.value.operators == (name,)
    assert caught.value.exit_code == 2
    assert "standard operators" in str(caught.value.hint)


def test_what_onnx_runtime_cannot_run_is_refused_with_its_words(tmp_path: Path) -> None:
    given = write(tmp_path / "net.onnx", helper.make_node("Reshape", ["maps", "ids"], ["x"]))
    with pytest.raises(UsageError, match=r"ONNX Runtime cannot run onnx:net: .+Reshape") as caught:
        artifact_of(given, tmp_path / "cache")
    assert "\n" not in caught.value.message


def test_a_formulation_is_refused(given: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="can be computed in one way only"):
        get_artifact(workload_of(given), ArtifactCache(tmp_path), formulation={"softmax": "fused"}, **RUNTIME)


def test_outputs_that_are_not_finite_are_refused(tmp_path: Path) -> None:
    given = write(tmp_path / "net.onnx", helper.make_node("Log", ["vectors"], ["x"]))
    model = onnx.load(given)
    model.graph.output.append(helper.make_tensor_value_info("x", TensorProto.FLOAT, None))
    onnx.save(model, given)
    with pytest.raises(UsageError, match=r"reference output 'x\.0' of unoptimised onnx:net is not finite"):
        artifact_of(given, tmp_path / "cache")


def small(path: Path, kind: int, *more: onnx.NodeProto, half: bool = False) -> Path:
    """A table of 300 vectors, or a convolution, after one input of a type; its output is `y`."""
    dtype = np.float16 if half else np.float32
    draw = np.random.default_rng(0).standard_normal
    weights = [
        numpy_helper.from_array(draw((300, 16)).astype(dtype), "table"),
        numpy_helper.from_array(draw((16, 3, 3, 3)).astype(dtype), "filters"),
    ]
    shape = (1, 4) if kind in (TensorProto.INT64, TensorProto.BOOL) else (1, 3, 8, 8)
    to = TensorProto.FLOAT16 if half else TensorProto.FLOAT
    outputs = [helper.make_tensor_value_info("y", to, None)]
    inputs = [helper.make_tensor_value_info("x", kind, shape)]
    graph = helper.make_graph(list(more), "small", inputs, outputs, weights)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return path


def checked(path: Path, root: Path) -> tuple[Artifact, Parity]:
    spec = catalog.resolve_model(f"onnx:{path}")
    workload = Workload(model=spec, precision=spec.hyper["precision"], weights="own:0")
    artifact = get_artifact(workload, ArtifactCache(root), **RUNTIME)
    return artifact, check(artifact, OrtSession(artifact.model_file))


def test_inputs_that_could_not_be_drawn_are_compared_once_and_that_is_told(tmp_path: Path) -> None:
    look_up = helper.make_node("Gather", ["table", "x"], ["y"])
    artifact, found = checked(small(tmp_path / "ids.onnx", TensorProto.INT64, look_up), tmp_path / "cache")
    assert (artifact.manifest.parity.runs, found.inputs, found.passed) == (1, 1, True)
    assert found.reason == "compared once only with zeros in x: which values may stand there is not known"


def test_pixels_of_8_bits_are_drawn(tmp_path: Path) -> None:
    nodes = (
        helper.make_node("Cast", ["x"], ["f"], to=TensorProto.FLOAT),
        helper.make_node("Conv", ["f", "filters"], ["y"]),
    )
    artifact, found = checked(small(tmp_path / "net.onnx", TensorProto.UINT8, *nodes), tmp_path / "cache")
    assert (found.inputs, found.passed, found.reason) == (16, True, None)
    with np.load(artifact.path / artifact.manifest.parity.reference_file) as reference:
        assert not np.array_equal(reference["y.0"], reference["y.1"])
        assert np.abs(reference["y.0"]).max() > 100


def test_a_graph_in_half_precision_is_held_to_what_half_precision_allows(tmp_path: Path) -> None:
    convolve = helper.make_node("Conv", ["x", "filters"], ["y"])
    given = small(tmp_path / "net.onnx", TensorProto.FLOAT16, convolve, half=True)
    artifact, found = checked(given, tmp_path / "cache")
    assert artifact.manifest.precision == "fp16"
    assert artifact.manifest.label.endswith(" fp16")
    assert (found.tolerance, found.passed) == (2e-2, True), found.reason


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"parity": {"reason": "compared once only"}}, ("disturbed", "compared once only")),
        (
            {"protocol": {"precision": "fp16"}},
            ("disturbed", "ONNX Runtime computes an fp16 graph in fp32 on"),
        ),
        ({"protocol": {"precision": "fp16"}, "target": {"runtime": "tensorrt"}}, ("disturbed",)),
        ({"parity": {"passed": False, "reason": "outputs differ"}}, ("outputs differ", "disturbed")),
    ],
)
def test_what_a_reader_should_know_is_among_the_reasons(
    changes: dict[str, dict[str, Any]], told: tuple[str, ...]
) -> None:
    record = example_record(0, iterations=5)
    parts = {part: getattr(record, part).model_copy(update=each) for part, each in changes.items()}
    header = Header(**{name: getattr(record, name) for name in Header.model_fields} | parts)
    reasons = _conclude(header, "valid", ("disturbed",), record.estimate, record.blocks).reasons
    assert len(reasons) == len(told)
    assert all(reason.startswith(start) for reason, start in zip(reasons, told, strict=True))
