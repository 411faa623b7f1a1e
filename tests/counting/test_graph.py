"""The counter of ONNX graphs, on graphs written by hand."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from vitbench.counting import UnsupportedOperators, count_onnx
from vitbench.errors import UsageError

Shapes = dict[str, tuple[int, ...]]


def graph(
    nodes: list[onnx.NodeProto], inputs: Shapes, parameters: Shapes | None = None, output: str = "y"
) -> onnx.ModelProto:
    """A model of these nodes; the shape of the output is left to inference."""
    return helper.make_model(
        helper.make_graph(
            nodes,
            "hand-made",
            [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in inputs.items()],
            [helper.make_tensor_value_info(output, TensorProto.FLOAT, None)],
            [
                numpy_helper.from_array(np.zeros(shape, np.float32), name)
                for name, shape in (parameters or {}).items()
            ],
        ),
        opset_imports=[helper.make_opsetid("", 18), helper.make_opsetid("com.microsoft", 1)],
    )


def node(operator: str, **attributes: Any) -> onnx.NodeProto:
    """A node from x and w to y."""
    return helper.make_node(operator, ["x", "w"], ["y"], **attributes)


@pytest.mark.parametrize(
    ("operation", "x", "w", "macs"),
    [
        (node("Conv", group=4, strides=[2, 2], pads=[1] * 4), (1, 8, 10, 10), (12, 2, 3, 3), 12 * 25 * 18),
        (node("ConvTranspose", group=2, strides=[2, 2]), (1, 6, 5, 5), (6, 2, 2, 2), 150 * 8),
        (node("Gemm", transB=1), (5, 7), (3, 7), 105),
        (node("Gemm", transA=1), (7, 5), (7, 3), 105),
        (node("MatMul"), (2, 4, 5, 7), (7, 3), 8 * 105),
        (node("MatMul"), (7,), (7,), 7),
        (node("Einsum", equation="bij, kj -> bik"), (2, 5, 4), (6, 4), 240),
    ],
    ids=lambda value: value.op_type if isinstance(value, onnx.NodeProto) else None,
)
def test_macs_and_traffic_of_one_node(
    operation: onnx.NodeProto, x: tuple[int, ...], w: tuple[int, ...], macs: int
) -> None:
    counts = count_onnx(graph([operation], {"x": x}, {"w": w}))
    assert (counts.macs, counts.macs_attention) == (macs, 0)
    assert counts.params == int(np.prod(w))
    assert counts.bytes_read == 4 * int(np.prod(x) + np.prod(w))
    both = count_onnx(graph([operation], {"x": x, "w": w}))
    products = ("Gemm", "MatMul", "Einsum")
    assert (both.macs, both.macs_attention) == (macs, macs if operation.op_type in products else 0)
    assert both.params == 0


def test_a_rearranged_parameter_is_still_one() -> None:
    nodes = [
        helper.make_node("Constant", [], ["shape"], value_ints=[4, 6]),
        helper.make_node("Reshape", ["w", "shape"], ["a"]),
        helper.make_node("Transpose", ["a"], ["b"], perm=[1, 0]),
        helper.make_node("Identity", ["b"], ["c"]),
        helper.make_node("MatMul", ["c", "x"], ["d"]),
        helper.make_node("Transpose", ["d"], ["e"], perm=[1, 0]),
        helper.make_node("MatMul", ["d", "e"], ["y"]),
    ]
    counts = count_onnx(graph(nodes, {"x": (4, 5)}, {"w": (24,)}))
    assert (counts.macs, counts.macs_attention) == (6 * 4 * 5 + 6 * 5 * 6, 6 * 5 * 6)
    # The views, transpositions among them, move nothing; the two products read and write.
    assert counts.bytes_read + counts.bytes_written == 4 * (24 + 20 + 30) + 4 * (30 + 30 + 36)


def test_scalars_are_no_parameters() -> None:
    assert count_onnx(graph([node("Mul")], {"x": (3,)}, {"w": ()})).params == 0


def test_unknown_operators_are_all_named_with_their_domain() -> None:
    nodes = [
        helper.make_node("FusedMatMul", ["x", "x"], ["a"], domain="com.microsoft"),
        helper.make_node("NonMaxSuppression", ["a", "x"], ["y"]),
    ]
    with pytest.raises(UnsupportedOperators) as caught:
        count_onnx(graph(nodes, {"x": (3, 3)}))
    assert caught.value.operators == ("NonMaxSuppression", "com.microsoft::FusedMatMul")
    assert "hand-made" in caught.value.message


def test_an_einsum_of_three_operands_is_refused() -> None:
    three = helper.make_node("Einsum", ["x", "x", "x"], ["y"], equation="ij,jk,kl->il")
    with pytest.raises(UnsupportedOperators, match=r"Einsum\(ij,jk,kl->il\)"):
        count_onnx(graph([three], {"x": (3, 3)}))


def test_a_free_dimension_is_refused() -> None:
    model = graph([helper.make_node("Relu", ["x"], ["y"])], {"x": (2, 3)})
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_param = "batch"
    with pytest.raises(UsageError, match=r"'[xy]' of the ONNX graph has no static shape"):
        count_onnx(model)


def test_weights_in_a_file_of_their_own_are_not_needed(tmp_path: Path) -> None:
    model = graph([helper.make_node("MatMul", ["x", "w"], ["y"])], {"x": (5, 40)}, {"w": (40, 30)})
    path = tmp_path / "model.onnx"
    onnx.save(model, path, save_as_external_data=True, location="model.data", size_threshold=0)
    (tmp_path / "model.data").unlink()
    counts = count_onnx(path)
    assert (counts.macs, counts.params) == (5 * 40 * 30, 1200)


def test_files_that_are_no_graph(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"cannot read .*absent\.onnx: No such file"):
        count_onnx(tmp_path / "absent.onnx")
    path = tmp_path / "text.onnx"
    path.write_text("plain text")
    with pytest.raises(UsageError, match=r"text\.onnx is not an ONNX model"):
        count_onnx(path)
