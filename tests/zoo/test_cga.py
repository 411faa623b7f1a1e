"""EfficientViT of Microsoft: what the fixtures at 224 x 224 do not see."""

from pathlib import Path
from typing import Any

import onnx
import pytest
import torch
from torch import Tensor, nn

from tests.export.ort import run
from tests.support.models import images, relative_difference
from vitbench import catalog, zoo
from vitbench.catalog import ModelSpec
from vitbench.counting import count_model, count_module, count_onnx
from vitbench.errors import UsageError
from vitbench.export.onnx import export_onnx
from vitbench.zoo.cascade import CascadedGroupAttention, WindowAttention, offset_indices
from vitbench.zoo.deploy import to_deploy
from vitbench.zoo.init import seed_weights


def spec_of(name: str, size: tuple[int, int] | None = None) -> ModelSpec:
    return catalog.resolve_model(f"cga-{name}", resolution=size)


def seeded(name: str, size: tuple[int, int] | None = None) -> nn.Module:
    module = zoo.create(spec_of(name, size))
    seed_weights(module, 0)
    return module


@pytest.mark.parametrize(("name", "size"), [("m0", (224, 224)), ("m1", (96, 160)), ("m5", (64, 64))])
def test_folding_changes_nothing_in_float64(name: str, size: tuple[int, int]) -> None:
    module = seeded(name, size).double()
    x = images(224).double()[:, :, : size[0], : size[1]]
    deployed = to_deploy(module)
    assert relative_difference(deployed(x), module(x)) < 1e-9
    assert not any(isinstance(part, (nn.BatchNorm2d, nn.BatchNorm1d)) for part in deployed.modules())


def test_exported_graph_computes_the_same_and_looks_no_bias_up(tmp_path: Path) -> None:
    spec = spec_of("m0")
    module = zoo.create(spec.model_copy(update={"hyper": spec.hyper | {"depth": [1, 1, 1]}}))
    seed_weights(module, 0)
    x = images(224)
    deployed = to_deploy(module)
    path = tmp_path / "model.onnx"
    model = export_onnx(deployed, (1, 3, 224, 224), path)
    assert relative_difference(torch.from_numpy(run(path, x.numpy())), module(x)) < 1e-5
    assert "Gather" not in {node.op_type for node in model.graph.node}
    counts, graph = count_module(deployed, (1, 3, 224, 224), folded=True), count_onnx(onnx.load(path))
    assert (graph.macs, graph.macs_attention) == (counts.macs, counts.macs_attention)
    assert graph.bytes_read == pytest.approx(counts.bytes_read, rel=0.05)
    assert graph.bytes_written == pytest.approx(counts.bytes_written, rel=0.05)


def test_seeded_weights_do_not_blow_rounding_up() -> None:
    module, x = seeded("m0"), images(224)
    single = module(x)
    assert relative_difference(single.double(), module.double()(x.double())) < 1e-5
    assert relative_difference(single, module.float()(images(224, seed=1))) > 0.05


def test_epsilons_are_the_defaults() -> None:
    norms = [part for part in seeded("m0").modules() if isinstance(part, nn.modules.batchnorm._BatchNorm)]
    assert {norm.eps for norm in norms} == {1e-5}


def test_offsets_are_numbered_by_rows_then_columns_apart() -> None:
    indices = offset_indices(3)
    for first in range(9):
        for second in range(9):
            rows, columns = abs(first // 3 - second // 3), abs(first % 3 - second % 3)
            assert indices[first, second] == 3 * rows + columns


class _Mean(nn.Module):
    """A stand-in for attention: every pixel becomes the mean of its window."""

    def forward(self, x: Tensor) -> Tensor:
        return x.mean(dim=(2, 3), keepdim=True).expand(x.shape)


@pytest.mark.parametrize("size", [(4, 4), (8, 4), (6, 9), (3, 2)])
def test_windows_are_whole_and_padded_below_and_right(size: tuple[int, int]) -> None:
    part = WindowAttention(8, 2, (3, 3), 4)
    part.attn = _Mean()
    x = torch.randn(2, 8, *size)
    out = part(x)
    assert out.shape == x.shape
    for row in range(0, size[0], 4):
        for column in range(0, size[1], 4):
            window = x[:, :, row : row + 4, column : column + 4]
            mean = window.sum(dim=(2, 3), keepdim=True) / 16
            torch.testing.assert_close(
                out[:, :, row : row + 4, column : column + 4], mean.expand(window.shape)
            )


def test_every_head_sees_its_part_and_the_head_before() -> None:
    part = CascadedGroupAttention(12, 3, (3, 3, 3), 4).eval().requires_grad_(False)
    seed_weights(part, 0)
    x = torch.randn(1, 12, 4, 4)
    outputs: list[Tensor] = []
    part.proj[0].register_forward_pre_hook(lambda _, inputs: outputs.append(inputs[0]))
    for changed in range(3):
        y = x.clone()
        y[:, 4 * changed : 4 * changed + 4] += 1
        part(x), part(y)
        before, after = outputs[-2:]
        same = [torch.equal(a, b) for a, b in zip(before.chunk(3, 1), after.chunk(3, 1), strict=True)]
        assert same == [head < changed for head in range(3)]


def test_a_checkpoint_fits_at_every_resolution() -> None:
    with torch.device("meta"):
        small, large = (zoo.create(spec_of("m4", (side, side))) for side in (112, 512))
    shapes = [{key: value.shape for key, value in module.state_dict().items()} for module in (small, large)]
    assert shapes[0] == shapes[1]
    assert large(torch.empty(1, 3, 512, 512, device="meta")).shape == (1, 1000)


@pytest.mark.parametrize(("name", "params_m", "macs_g"), [("m3", 6.9, 0.263), ("m5", 12.4, 0.522)])
def test_variants_without_reference_counts_are_as_published(
    name: str, params_m: float, macs_g: float
) -> None:
    counts = count_model(spec_of(name))
    assert round(counts.params_deploy / 1e6, 1) == params_m
    assert round(counts.macs / 1e9, 3) == macs_g


@pytest.mark.parametrize(
    ("update", "problem"),
    [
        ({"width": [60, 128, 192]}, "the first width, 60, must be a multiple of 8"),
        ({"heads": [4, 3, 4]}, "3 heads do not divide a stage of width 128"),
        ({"kernels": [5, 5, 5]}, "3 kernels are too few for 4 heads"),
        ({"kernels": [5, 5, 5, 4]}, "kernels must be odd"),
        ({"depth": [1, 2]}, "depth: .* at least 3 items"),
        ({"window": 7}, "window: extra inputs are not permitted"),
    ],
    ids=str,
)
def test_a_hyper_parameter_that_does_not_fit_is_named(update: dict[str, Any], problem: str) -> None:
    spec = spec_of("m0").model_copy(update={"hyper": spec_of("m0").hyper | update})
    with pytest.raises(UsageError, match=f"hyper-parameters of cga-m0 do not fit.*; {problem}"):
        zoo.create(spec)
