"""The exporter, on networks small enough to read."""

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import numpy_helper
from torch import Tensor, nn

from tests.export.ort import run
from vitbench.errors import ToolError, VitbenchError
from vitbench.export.formats import OPSET
from vitbench.export.onnx import export_onnx
from vitbench.export.onnx_graph import shape_of
from vitbench.export.quiet import quiet

REPOSITORY = Path(__file__).parents[2]
SHAPE = (2, 3, 8, 8)


class Small(nn.Module):
    """Convolutions with and without bias, constants that can be folded, the same constant twice."""

    output_names = ("logits",)

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.stem = nn.Conv2d(3, 6, 3, padding=1)
        self.mix = nn.Conv2d(6, 6, 1, bias=False)
        self.head = nn.Linear(6, 5)
        self.register_buffer("table", torch.arange(6.0).reshape(1, 6, 1, 1))
        self.requires_grad_(False)

    def forward(self, x: Tensor) -> Tensor:
        x = nn.functional.hardswish(self.stem(x))
        first, second = self.mix(x).split(3, dim=1)
        x = torch.cat([second, first], dim=1) + (self.table * 2 + 1) + (self.table * 2 + 1)
        return self.head(nn.functional.gelu(x, approximate="tanh").mean(dim=(2, 3)))


class Dividing(nn.Module):
    """A quotient whose guard is a small addition."""

    output_names = ("features",)

    def forward(self, x: Tensor) -> Tensor:
        weights = nn.functional.relu(x)
        return weights / (weights.sum(dim=1, keepdim=True) + 1e-15)


class Branching(nn.Module):
    """What no exporter can write: the path depends on a value."""

    output_names = ("logits",)

    def forward(self, x: Tensor) -> Tensor:
        return x + 1 if x.sum() > 0 else x - 1


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, onnx.ModelProto]:
    path = tmp_path_factory.mktemp("small") / "model.onnx"
    return path, export_onnx(Small().eval(), SHAPE, path)


def test_signature_and_opset(small: tuple[Path, onnx.ModelProto]) -> None:
    _, model = small
    assert [(entry.domain, entry.version) for entry in model.opset_import] == [("", OPSET)]
    assert [(tensor.name, shape_of(tensor)) for tensor in model.graph.input] == [("input", SHAPE)]
    assert [(tensor.name, shape_of(tensor)) for tensor in model.graph.output] == [("logits", (2, 5))]


def test_the_graph_computes_what_the_module_computes(small: tuple[Path, onnx.ModelProto]) -> None:
    path, _ = small
    x = torch.randn(SHAPE, generator=torch.Generator().manual_seed(1))
    np.testing.assert_allclose(run(path, x.numpy()), Small()(x).numpy(), rtol=1e-5, atol=1e-6)


def test_the_graph_is_clean(small: tuple[Path, onnx.ModelProto]) -> None:
    _, model = small
    graph = model.graph
    operators = [node.op_type for node in graph.node]
    assert sorted(operators) == sorted(
        ["Conv", "HardSwish", "Conv", "Split", "Concat", "Add", "Add", "Gelu", "ReduceMean", "Gemm"]
    )
    used = {name for node in graph.node for name in node.input}
    assert {tensor.name for tensor in graph.initializer} <= used
    values = [numpy_helper.to_array(tensor).tobytes() for tensor in graph.initializer]
    assert len(values) == len(set(values))
    made = {name for node in graph.node for name in node.output}
    assert made <= used | {tensor.name for tensor in graph.output}
    assert [len(node.input) for node in graph.node if node.op_type == "Conv"] == [3, 2]
    assert model.functions == []
    assert not any(node.doc_string or node.metadata_props for node in graph.node)


def test_nodes_are_named_after_their_module(small: tuple[Path, onnx.ModelProto]) -> None:
    _, model = small
    names = [node.name for node in model.graph.node]
    assert len(set(names)) == len(names)
    assert [node.name for node in model.graph.node if node.op_type in ("Conv", "Gemm")] == [
        "stem/Conv",
        "mix/Conv",
        "head/Gemm",
    ]


def test_another_process_writes_the_same_bytes_and_prints_nothing(
    small: tuple[Path, onnx.ModelProto], tmp_path: Path
) -> None:
    script = f"""
        import logging, pathlib, sys, warnings
        logging.basicConfig(level=logging.INFO)
        warnings.simplefilter("error")
        from tests.export.test_onnx import SHAPE, Small
        from vitbench.export.onnx import export_onnx
        export_onnx(Small().eval(), SHAPE, pathlib.Path({str(tmp_path / "again.onnx")!r}))
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)],
        cwd=REPOSITORY,
        env=os.environ | {"PYTHONHASHSEED": "1234", "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    assert (tmp_path / "again.onnx").read_bytes() == small[0].read_bytes()
    assert done.stdout == ""
    assert done.stderr == ""


def test_large_weights_go_to_a_file_of_their_own(small: tuple[Path, onnx.ModelProto], tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    export_onnx(Small().eval(), SHAPE, path, embedded_limit_bytes=100)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["model.onnx", "model.onnx.data"]
    assert path.stat().st_size < small[0].stat().st_size
    x = np.random.default_rng(0).standard_normal(SHAPE).astype(np.float32)
    np.testing.assert_array_equal(run(path, x), run(small[0], x))


def test_a_small_epsilon_survives_which_the_exporters_optimisation_drops(tmp_path: Path) -> None:
    zeros = np.zeros((1, 3, 2, 2), np.float32)
    export_onnx(Dividing(), zeros.shape, tmp_path / "ours.onnx")
    np.testing.assert_array_equal(run(tmp_path / "ours.onnx", zeros), zeros)
    with quiet():
        torch.onnx.export(
            Dividing(),
            (torch.from_numpy(zeros),),
            tmp_path / "optimised.onnx",
            input_names=["input"],
            optimize=True,
            verbose=False,
        )
    assert np.isnan(run(tmp_path / "optimised.onnx", zeros)).all()


def test_what_cannot_be_exported_is_a_tool_error_with_the_exporters_words(tmp_path: Path) -> None:
    with pytest.raises(ToolError, match="the ONNX exporter of torch") as caught:
        export_onnx(Branching(), SHAPE, tmp_path / "model.onnx")
    assert "data-dependent" in caught.value.tail
    assert not (tmp_path / "model.onnx").exists()


def test_a_free_dimension_is_refused() -> None:
    free = onnx.helper.make_tensor_value_info("logits", onnx.TensorProto.FLOAT, ["batch", 5])
    with pytest.raises(VitbenchError, match="'logits' of the exported graph has no static shape"):
        shape_of(free)
