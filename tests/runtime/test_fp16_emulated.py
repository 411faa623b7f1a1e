"""Rounding as half rounds, on graphs whose values are known and on networks that overflow."""

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import helper, numpy_helper

from tests.export.ort import run as run_plainly
from tests.support.halves import FLOAT, HALF, chain, half_network, spec_at, without_islands
from vitbench.errors import ToolError, UsageError, VitbenchError
from vitbench.export.onnx import export_onnx
from vitbench.export.parity import compare
from vitbench.export.rounding import island_entries, rounding_graph
from vitbench.runtime import fp16_emulated
from vitbench.runtime.fp16_emulated import EmulatedSession, emulated_checker
from vitbench.runtime.tensors import write_tensor
from vitbench.zoo.wide import LayerNorm


def emulate(path: Path, values: object, name: str = "x") -> np.ndarray:
    (output,) = EmulatedSession(path).run({name: np.asarray(values, np.float16)}).values()
    return output


def test_a_planted_70000_is_infinite(tmp_path: Path) -> None:
    """35,000 x 2 does not fit into half; scaled down again it would, and ONNX Runtime gives just that."""
    path = chain(tmp_path / "m.onnx", ("Mul", 2.0), ("Mul", 0.25))
    found = emulate(path, [[35000, -35000, 100, 30000]])
    np.testing.assert_array_equal(found, [[np.inf, -np.inf, 50, 15000]])


def test_a_planted_70000_that_is_cast_to_half_is_infinite(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("Cast", ["x"], ["half"], to=HALF),
        helper.make_node("Cast", ["half"], ["y"], to=FLOAT),
    ]
    graph = helper.make_graph(
        nodes,
        "casts",
        [helper.make_tensor_value_info("x", FLOAT, [3])],
        [helper.make_tensor_value_info("y", FLOAT, [3])],
    )
    path = tmp_path / "m.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    found = EmulatedSession(path).run({"x": np.asarray([70000, 2049, -1], np.float32)})["y"]
    np.testing.assert_array_equal(found, [np.inf, 2048, -1])


def test_250_times_300_is_infinite_and_stays_so_where_onnx_runtime_says_250(tmp_path: Path) -> None:
    path = chain(tmp_path / "m.onnx", ("Mul", 300.0), ("Mul", 1 / 300))
    x = np.asarray([[250, 1, -250, 218]], np.float16)
    model = onnx.load(path)
    model.graph.input[0].name = model.graph.node[0].input[0] = "input"
    onnx.save(model, tmp_path / "plain.onnx")
    assert np.isfinite(run_plainly(tmp_path / "plain.onnx", x)).all()  # why there is an emulator
    found = emulate(path, x)
    assert np.isposinf(found[0, 0])
    assert np.isneginf(found[0, 2])
    assert np.isfinite(found[0, [1, 3]]).all()


def test_every_half_tensor_is_rounded_and_no_other(tmp_path: Path) -> None:
    """2048 + 1 is 2048 in half; in float32 it is not."""
    x = np.asarray([[2048, 1, 2, 3]], np.float16)
    steps = ("Add", 1.0), ("Sub", 2048.0)
    assert emulate(chain(tmp_path / "half.onnx", *steps), x)[0, 0] == 0
    wide = chain(tmp_path / "wide.onnx", *steps, kind=FLOAT)
    found = EmulatedSession(wide).run({"x": x.astype(np.float32)})["y"]
    assert (found.dtype, found[0, 0]) == (np.float32, 1)


def test_types_names_and_files_are_those_of_the_graph(tmp_path: Path) -> None:
    path = chain(tmp_path / "m.onnx", ("Relu", None), ("Identity", None))
    given = write_tensor("x", np.asarray([[-1, 2, -3, 4]], np.float16), tmp_path / "x.bin")
    with emulated_checker(path) as session:
        ((file,), (again,)) = session.outputs([[given], [given]], tmp_path)
    assert (file.name, file.dtype, file.shape) == ("y", "float16", (1, 4))
    np.testing.assert_array_equal(file.read(), [[0, 2, 0, 4]])
    np.testing.assert_array_equal(again.read(), file.read())


@pytest.mark.parametrize("operator", ["ReduceMean", "GlobalAveragePool"])
def test_the_sum_behind_a_mean_overflows(operator: str, tmp_path: Path) -> None:
    """A mean of 100 over 1024 values is 100, and the sum is 102,400."""
    path = tmp_path / "mean.onnx"
    attributes = {"axes": [2, 3]} if operator == "ReduceMean" else {}
    graph = helper.make_graph(
        [helper.make_node(operator, ["x"], ["y"], **attributes)],
        "mean",
        [helper.make_tensor_value_info("x", HALF, [1, 1, 32, 32])],
        [helper.make_tensor_value_info("y", HALF, [1, 1, 1, 1])],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    assert np.isinf(emulate(path, np.full((1, 1, 32, 32), 100))).all()
    np.testing.assert_array_equal(emulate(path, np.full((1, 1, 32, 32), 10)), 10)


def test_axes_may_be_a_node_of_their_own_and_must_not_be_computed(tmp_path: Path) -> None:
    """As other exporters write a mean from opset 18 on."""
    path = tmp_path / "mean.onnx"

    def write(*axes: onnx.NodeProto) -> None:
        graph = helper.make_graph(
            [*axes, helper.make_node("ReduceMean", ["x", "axes"], ["y"])],
            "mean",
            [helper.make_tensor_value_info("x", HALF, [1, 1, 32, 32])],
            [helper.make_tensor_value_info("y", HALF, [1, 1, 1, 1])],
        )
        onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8), path)

    constant = numpy_helper.from_array(np.asarray([2, 3], np.int64))
    write(helper.make_node("Constant", [], ["axes"], value=constant))
    assert np.isinf(emulate(path, np.full((1, 1, 32, 32), 100))).all()
    np.testing.assert_array_equal(emulate(path, np.full((1, 1, 32, 32), 10)), 10)
    write(helper.make_node("Shape", ["x"], ["axes"], start=0, end=2))
    with pytest.raises(UsageError, match="the values of 'axes', which are computed"):
        emulate(path, np.zeros((1, 1, 32, 32)))


def test_what_may_be_half_and_would_go_unrounded_is_refused(tmp_path: Path) -> None:
    path = chain(tmp_path / "m.onnx", ("Relu", None), ("Relu", None))
    model = onnx.load(path)
    model.graph.node[0].op_type, model.graph.node[0].domain = "Gelu", "com.microsoft"
    model.opset_import.append(helper.make_opsetid("com.microsoft", 1))
    onnx.save(model, path)
    with pytest.raises(UsageError, match=r"in which type 'step/Relu_0' \(Gelu\) gives its result"):
        emulate(path, np.zeros((1, 4)))


def norm_graph(path: Path, operator: str) -> Path:
    shape, count = [1, 64, 8], 8 if operator == "LayerNormalization" else 64
    constants = [
        numpy_helper.from_array(np.linspace(0.5, 1.5, count).astype(np.float16), "scale"),
        numpy_helper.from_array(np.linspace(-1, 1, count).astype(np.float16), "bias"),
    ]
    graph = helper.make_graph(
        [helper.make_node(operator, ["x", "scale", "bias"], ["y"])],
        "norm",
        [helper.make_tensor_value_info("x", HALF, shape)],
        [helper.make_tensor_value_info("y", HALF, shape)],
        constants,
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return path


@pytest.mark.parametrize("operator", ["LayerNormalization", "InstanceNormalization"])
def test_a_norm_in_half_is_written_out_right_and_overflows_in_its_squares(
    operator: str, tmp_path: Path
) -> None:
    path = norm_graph(tmp_path / "norm.onnx", operator)
    x = np.random.default_rng(0).standard_normal((1, 64, 8)).astype(np.float16)
    wide = torch.from_numpy(x.astype(np.float32))
    scale, bias = (
        torch.from_numpy(numpy_helper.to_array(each).astype(np.float32))
        for each in onnx.load(path).graph.initializer
    )
    expected = (
        torch.nn.functional.layer_norm(wide, (8,), scale, bias)
        if operator == "LayerNormalization"
        else torch.nn.functional.instance_norm(wide, weight=scale, bias=bias)
    )
    np.testing.assert_allclose(emulate(path, x), expected.numpy(), atol=0.01)
    # Squares of 300 add up to more than 65,504: what is infinite divides to zero, and the norm is its bias.
    large = emulate(path, x * 300)
    assert np.abs(large - expected.numpy()).max() > 1


def test_onnx_runtime_that_does_not_round_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vitbench.export.rounding._Writer._put", _identity_instead_of_casts)
    fp16_emulated._prove_rounding.cache_clear()
    with pytest.raises(VitbenchError, match="does not round"):
        fp16_emulated._prove_rounding()
    monkeypatch.undo()
    fp16_emulated._prove_rounding.cache_clear()
    fp16_emulated._prove_rounding()


def _identity_instead_of_casts(
    self: object, operator: str, x: str, output: str, **attributes: object
) -> None:
    """What a runtime makes of casts to half that it takes for needless; only the last output is half."""
    if operator == "Cast" and attributes["to"] == HALF and output != "y":
        nodes = [helper.make_node("Identity", [x], [f"{output}~kept"])]
    elif operator == "Cast" and attributes["to"] == FLOAT and output == "large~":
        nodes = [helper.make_node("Identity", ["large~kept"], [output])]
    else:
        nodes = [helper.make_node(operator, [x], [output], **attributes)]
    self.nodes.extend(nodes)  # type: ignore[attr-defined]


def test_what_cannot_be_emulated_or_run_is_refused(tmp_path: Path) -> None:
    body = helper.make_graph(
        [helper.make_node("Identity", ["x"], ["b"])],
        "body",
        [],
        [helper.make_tensor_value_info("b", HALF, [1])],
    )
    graph = helper.make_graph(
        [helper.make_node("If", ["c"], ["y"], then_branch=body, else_branch=body)],
        "branches",
        [helper.make_tensor_value_info("x", HALF, [1]), helper.make_tensor_value_info("c", 9, [])],
        [helper.make_tensor_value_info("y", HALF, [1])],
    )
    with pytest.raises(UsageError, match="branches or functions"):
        rounding_graph(helper.make_model(graph))
    session = EmulatedSession(chain(tmp_path / "m.onnx", ("Relu", None)))
    with pytest.raises(ToolError, match="failed while it emulated fp16"):
        session.run({"x": np.zeros((1, 5), np.float16)})


def attention_outputs(
    network: torch.nn.Module, path: Path, side: tuple[int, int]
) -> tuple[np.ndarray, EmulatedSession]:
    shape = (1, 32, *side)
    model = export_onnx(network, shape, path, dtype=torch.float16)
    session = EmulatedSession(path, island_entries(model))
    x = 30 * np.random.RandomState(0).standard_normal(shape).astype(np.float32)
    return session.run({"input": x.astype(np.float16)})["features"], session


def test_linear_attention_over_8192_tokens_passes_with_its_islands_and_overflows_without(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The map of 1024x2048 at stride 16, with activations as large as those of a trained network."""
    spec = spec_at("attention-2x16", (64, 128))
    x = 30 * np.random.RandomState(0).standard_normal((1, 32, 64, 128)).astype(np.float32)
    with torch.inference_mode():
        expected = half_network(spec).float()(torch.from_numpy(x)).numpy()
    found, session = attention_outputs(half_network(spec), tmp_path / "with.onnx", (64, 128))
    verdict = compare([({"features": expected}, {"features": found})], "fp16")
    assert verdict.passed, verdict.reason
    (peak,) = session.peaks.values()
    assert 50 < peak < 1000
    broken = without_islands(half_network(spec), monkeypatch)
    found, _ = attention_outputs(broken, tmp_path / "without.onnx", (64, 128))
    assert not np.isfinite(found).all()
    assert not compare([({"features": expected}, {"features": found})], "fp16").passed


def test_a_norm_of_large_activations_passes_with_its_island_and_fails_without(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """256 channels of some hundreds: the squares that a SAM encoder's last norm adds up."""

    class Normed(torch.nn.Module):
        output_names = ("features",)

        def __init__(self) -> None:
            super().__init__()
            self.norm = LayerNorm(256)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.norm(x)

    x = 300 * np.random.RandomState(0).standard_normal((1, 16, 256)).astype(np.float32)
    network = Normed().eval().requires_grad_(False)
    expected = network(torch.from_numpy(x)).numpy()

    def verdict(name: str) -> bool:
        export_onnx(network.half(), x.shape, tmp_path / name, dtype=torch.float16)
        found = EmulatedSession(tmp_path / name).run({"input": x.astype(np.float16)})
        return compare([({"features": expected}, found)], "fp16").passed

    assert verdict("with.onnx")
    without_islands(network, monkeypatch)
    assert not verdict("without.onnx")
