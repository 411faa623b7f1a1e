"""The exporter for opset 17, against the other one and against PyTorch."""

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from torch import Tensor, nn

from tests.export.ort import run
from tests.support.halves import half_network, spec_at
from vitbench.catalog import Workload
from vitbench.counting import count_module, count_onnx
from vitbench.errors import ToolError, VitbenchError
from vitbench.export import formats
from vitbench.export.key import key_parts, make_key
from vitbench.export.onnx import export_onnx
from vitbench.export.onnx17 import export_onnx17, module_of
from vitbench.export.tracing import WithoutComputing

REPOSITORY = Path(__file__).parents[2]
SHAPE = (2, 3, 8, 8)


class Various(nn.Module):
    """What is written out at opset 17 (both GELUs, LayerNorm), and every kind of product."""

    output_names = ("logits",)

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.stem = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.GELU())
        self.up = nn.ConvTranspose2d(8, 8, 2, 2, groups=2)
        self.norm = nn.LayerNorm(8)
        self.head = nn.Linear(8, 5)
        self.register_buffer("table", torch.ones(8), persistent=False)
        self.requires_grad_(False)

    def forward(self, x: Tensor) -> Tensor:
        x = self.up(self.stem(x)).flatten(2).transpose(1, 2)
        x = self.norm(x + self.table)
        x = torch.matmul(torch.matmul(x, x.transpose(1, 2)).softmax(-1), x)
        return self.head(nn.functional.gelu(x, approximate="tanh").mean(dim=1))


@pytest.fixture(scope="module")
def various(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, onnx.ModelProto]:
    path = tmp_path_factory.mktemp("various") / "model.onnx"
    return path, export_onnx17(Various().eval(), SHAPE, path)


def test_the_graph_is_at_opset_17_and_computes_what_the_module_computes(
    various: tuple[Path, onnx.ModelProto],
) -> None:
    path, model = various
    assert [(entry.domain, entry.version) for entry in model.opset_import] == [("", 17)]
    x = torch.randn(SHAPE, generator=torch.Generator().manual_seed(1))
    np.testing.assert_allclose(run(path, x.numpy()), Various()(x).numpy(), rtol=1e-5, atol=1e-6)


def test_what_tensorrt_8_5_does_not_know_is_written_out(various: tuple[Path, onnx.ModelProto]) -> None:
    _, model = various
    operators = {node.op_type for node in model.graph.node}
    assert not operators & {"LayerNormalization", "Gelu", "GroupNormalization"}
    names = [node.name for node in model.graph.node]
    assert len(set(names)) == len(names)
    assert {"stem.0/Conv", "up/ConvTranspose", "norm/Sqrt", "head/Gemm"} <= set(names)
    assert not any(node.metadata_props or node.doc_string for node in model.graph.node)


def test_the_counters_see_operators_that_were_written_out_as_one(
    various: tuple[Path, onnx.ModelProto],
) -> None:
    module, graph = count_module(Various().eval(), SHAPE), count_onnx(various[1])
    assert (graph.macs, graph.macs_attention) == (module.macs, module.macs_attention)
    assert graph.bytes_read == pytest.approx(module.bytes_read, rel=0.01)
    assert graph.bytes_written == pytest.approx(module.bytes_written, rel=0.01)


def test_another_process_writes_the_same_bytes(various: tuple[Path, onnx.ModelProto], tmp_path: Path) -> None:
    script = f"""
        import pathlib
        from tests.export.test_onnx17 import SHAPE, Various
        from vitbench.export.onnx17 import export_onnx17
        export_onnx17(Various().eval(), SHAPE, pathlib.Path({str(tmp_path / "again.onnx")!r}))
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)],
        cwd=REPOSITORY,
        env=os.environ | {"PYTHONHASHSEED": "1234", "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=240,
        check=True,
    )
    assert (tmp_path / "again.onnx").read_bytes() == various[0].read_bytes()
    assert (done.stdout, done.stderr) == ("", "")


def test_a_trace_that_computes_nothing_records_what_one_that_computes_does(tmp_path: Path) -> None:
    class Computing(WithoutComputing):
        def __torch_function__(self, func, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
            return func(*args, **(kwargs or {}))

    export_onnx17(Various().eval(), SHAPE, tmp_path / "fast.onnx")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("vitbench.export.onnx17.WithoutComputing", Computing)
        export_onnx17(Various().eval(), SHAPE, tmp_path / "slow.onnx")
    assert (tmp_path / "fast.onnx").read_bytes() == (tmp_path / "slow.onnx").read_bytes()


def test_large_weights_go_to_a_file_of_their_own(tmp_path: Path) -> None:
    export_onnx17(Various().eval(), SHAPE, tmp_path / "model.onnx", embedded_limit_bytes=100)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["model.onnx", "model.onnx.data"]


def test_a_padding_in_words_is_refused_instead_of_lost(tmp_path: Path) -> None:
    module = nn.Sequential(nn.Conv2d(3, 3, 3, padding="same")).eval()
    module.output_names = ("features",)  # type: ignore[assignment]
    with pytest.raises(ToolError, match="padding 'same'"):
        export_onnx17(module, SHAPE, tmp_path / "model.onnx")


def test_the_dynamo_exporter_asked_for_17_is_refused(tmp_path: Path) -> None:
    with pytest.raises(VitbenchError, match=r"opsets \{'': 18\}, not 17 alone"):
        export_onnx(Various().eval(), SHAPE, tmp_path / "model.onnx", opset=17)


def test_the_format_is_part_of_the_key() -> None:
    workload = Workload(model=spec_at("effvit-b0"), precision="fp16")
    both = [
        key_parts(workload, target_runtime="tensorrt", runtime_version="1", format_name=name)
        for name in ("onnx", "onnx17")
    ]
    assert [parts["exporter"]["opset"] for parts in both] == [formats.OPSET, 17]
    assert make_key(both[0]) != make_key(both[1])


@pytest.mark.parametrize(
    ("name", "module"),
    [
        ("/stages/stages.0/conv/Conv", "stages.0.conv"),
        ("/network.7/network.7.0/token_mixer/MatMul_1", "network.7.0.token_mixer"),
        ("/backbone/input_stem/op_list.0/conv/Conv", "backbone.input_stem.op_list.0.conv"),
        ("/Add_3", ""),
        ("", ""),
    ],
)
def test_names_of_traced_nodes(name: str, module: str) -> None:
    assert module_of(name) == module


def test_both_exporters_name_the_products_of_attention_alike(tmp_path: Path) -> None:
    spec = spec_at("effvit-b0", (32, 32))
    network, inputs = half_network(spec), spec.batched_inputs()
    graphs = [
        export(network, inputs, tmp_path / f"{export.__name__}.onnx", dtype=torch.float16).graph
        for export in (export_onnx, export_onnx17)
    ]
    first, second = (
        [node.name for node in graph.node if node.op_type in ("MatMul", "Conv") and "context" in node.name]
        for graph in graphs
    )
    assert first == second
    assert first
