"""SAM's image encoders: what the fixture at 1024 x 1024 does not see."""

import math
from pathlib import Path
from typing import Any

import onnx
import pytest
import torch
from torch import nn

from tests.export.ort import run
from tests.support.models import images, relative_difference
from vitbench import catalog, zoo
from vitbench.catalog import ModelSpec
from vitbench.counting import count_model, count_module, count_onnx
from vitbench.errors import UsageError
from vitbench.export.onnx import export_onnx
from vitbench.zoo.deploy import to_deploy
from vitbench.zoo.init import seed_weights
from vitbench.zoo.sam_vit import RelativeAttention

TINY = {"width": 48, "depth": 3, "heads": 3, "global_blocks": [1]}


def tiny(size: tuple[int, int]) -> ModelSpec:
    return catalog.resolve_model("sam-vit-b", resolution=size).model_copy(update={"hyper": TINY})


def seeded(size: tuple[int, int]) -> nn.Module:
    module = zoo.create(tiny(size))
    seed_weights(module, 0)
    return module


@pytest.mark.parametrize("size", [(256, 256), (64, 240)])
def test_the_inference_form_computes_the_same_in_float64(size: tuple[int, int]) -> None:
    module = seeded(size).double()
    x = images(256).double()[:, :, : size[0], : size[1]]
    out = module(x)
    assert out.shape == (1, 256, size[0] // 16, size[1] // 16)
    assert relative_difference(to_deploy(module)(x), out) < 1e-12
    assert relative_difference(module(images(256, seed=1).double()[:, :, : size[0], : size[1]]), out) > 0.1


def test_a_batch_is_its_images() -> None:
    module = seeded((256, 256))
    x = torch.cat([images(256, seed=1), images(256, seed=2)])
    assert relative_difference(module(x)[1:], module(x[1:])) < 1e-5


def test_attention_is_that_of_the_definition_on_a_rectangle() -> None:
    height, width, dim = 2, 3, 4
    part = RelativeAttention(2 * dim, 2, (height, width)).double().eval().requires_grad_(False)
    seed_weights(part, 0)
    x = torch.randn(1, height * width, 2 * dim, dtype=torch.float64)
    query, key, value = part.qkv(x)[0].reshape(height * width, 3, 2, dim).unbind(1)
    expected = torch.zeros(height * width, 2, dim, dtype=torch.float64)
    for head in range(2):
        for one in range(height * width):
            scores = []
            for other in range(height * width):
                rows = part.rel_pos_h[one // width - other // width + height - 1]
                columns = part.rel_pos_w[one % width - other % width + width - 1]
                seen = key[other, head] / math.sqrt(dim) + rows + columns
                scores.append(query[one, head] @ seen)
            expected[one, head] = torch.stack(scores).softmax(0) @ value[:, head]
    wanted = part.proj(expected.reshape(1, height * width, 2 * dim))
    torch.testing.assert_close(part(x), wanted)
    torch.testing.assert_close(to_deploy(part)(x), wanted)


def test_exported_graph_computes_the_same_and_has_the_same_counts(tmp_path: Path) -> None:
    module, x, shape = seeded((448, 448)), images(448), (1, 3, 448, 448)
    deployed = to_deploy(module)
    path = tmp_path / "model.onnx"
    export_onnx(deployed, shape, path)
    assert relative_difference(torch.from_numpy(run(path, x.numpy())), module(x)) < 1e-5
    counts, graph = count_module(deployed, shape, folded=True), count_onnx(onnx.load(path))
    assert (graph.macs, graph.macs_attention) == (counts.macs, counts.macs_attention)
    assert graph.bytes_read == pytest.approx(counts.bytes_read, rel=0.05)
    assert graph.bytes_written == pytest.approx(counts.bytes_written, rel=0.05)


def test_positions_are_attention_where_they_are_gathered_and_linear_where_they_stand() -> None:
    module = seeded((224, 224))  # one window, and the same map for the block that sees all of it
    shape, pixels, width = (1, 3, 224, 224), 14 * 14, 48
    products = 3 * 2 * pixels * pixels * width
    positions = 3 * pixels * (14 + 14) * width
    gathered, standing = count_module(module, shape), count_module(to_deploy(module), shape)
    assert gathered.macs == standing.macs
    assert gathered.macs_attention == products + positions
    assert standing.macs_attention == products


def test_a_global_block_of_the_largest_holds_two_maps_of_weights_at_most() -> None:
    weights = 16 * 4096 * 4096 * 4
    peak = count_model(catalog.resolve_model("sam-vit-h")).peak_activation_bytes
    assert 2 * weights < peak < 2.5 * weights


def test_epsilons() -> None:
    norms = [part for part in seeded((32, 32)).modules() if isinstance(part, nn.LayerNorm)]
    assert len(norms) == 2 * 3 + 2
    assert {norm.eps for norm in norms} == {1e-6}


@pytest.mark.parametrize(
    ("update", "problem"),
    [
        ({"heads": 5}, "5 heads do not divide a width of 48"),
        ({"global_blocks": [1, 3]}, "global_blocks name block 3 of 3"),
        ({"global_blocks": [-1]}, r"global_blocks\.0: input should be greater than or equal to 0"),
        ({"width": 0}, "width: input should be greater than 0"),
        ({"window": 7}, "window: extra inputs are not permitted"),
    ],
    ids=str,
)
def test_a_hyper_parameter_that_does_not_fit_is_named(update: dict[str, Any], problem: str) -> None:
    spec = tiny((64, 64)).model_copy(update={"hyper": TINY | update})
    with pytest.raises(UsageError, match=f"hyper-parameters of sam-vit-b do not fit.*; {problem}"):
        zoo.create(spec)
