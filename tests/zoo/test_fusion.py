"""EfficientViT's dense networks: what segmentation, SAM's encoder and super resolution share."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from tests.export.ort import run
from tests.support.models import KINDS, images, relative_difference, spec_of
from vitbench import zoo
from vitbench.catalog import ModelSpec
from vitbench.counting import count_module, count_onnx
from vitbench.errors import UsageError
from vitbench.export.onnx import export_onnx
from vitbench.zoo.blocks import hardswish
from vitbench.zoo.deploy import to_deploy
from vitbench.zoo.effvit import Style
from vitbench.zoo.fusion import FusionHead, HeadHyper
from vitbench.zoo.init import seed_weights
from vitbench.zoo.resample import Resize

# The smallest backbones of every design, and heads that are small as well.
SMALL: dict[str, dict[str, Any]] = {
    "b0-cityscapes": {"depth": (0, 1, 1, 1, 1)},
    "l1-ade20k": {
        "width": (8, 16, 32, 32, 32),
        "depth": (1, 1, 1, 1, 1),
        "head": {"width": 16, "depth": 1, "expand": 4, "block": "fmb", "final": 2},
    },
    "sam-l0": {
        "width": (8, 16, 32, 32, 32),
        "depth": (1, 1, 1, 1, 1),
        "head": {"width": 16, "depth": 1, "expand": 1, "block": "fmb"},
    },
    "sam-xl0": {
        "width": (8, 16, 32, 32, 32, 32),
        "depth": (0, 1, 1, 1, 1, 1),
        "head": {"width": 16, "depth": 1, "expand": 4, "block": "fmb"},
    },
    "sr-w0.75": {"depth": (0, 1, 1, 1)},
}


def small(name: str, side: int = 128) -> ModelSpec:
    """The spec of a network with fewer channels and blocks; `name` may end in kinds."""
    spec = spec_of(name, side)
    return spec.model_copy(update={"hyper": spec.hyper | SMALL[spec.variant]})


def built(name: str, side: int = 128) -> nn.Module:
    """That network in train form, with seeded weights."""
    module = zoo.create(small(name, side))
    seed_weights(module, 0)
    return module


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", SMALL)
def test_inference_form_is_the_same_function_with_every_attention(name: str, kind: str) -> None:
    side = 256 if kind == "window-softmax" else 128  # at 128, a stage of stride 64 has no room for windows
    module = built(f"{name}+{kind}", side).double()
    x = images(side).double()
    output = module(x)
    assert output.isfinite().all()
    assert relative_difference(to_deploy(module)(x), output) < 1e-9


@pytest.mark.parametrize("name", [name for name in SMALL if name != "l1-ade20k"])
def test_the_graph_is_the_same_function_and_both_counters_agree(name: str, tmp_path: Path) -> None:
    module = to_deploy(built(name, 64))
    path, x = tmp_path / "small.onnx", images(64, batch=2)
    model = export_onnx(module, tuple(x.shape), path)
    output = torch.from_numpy(run(path, x.numpy()))
    assert [each.name for each in model.graph.output] == list(module.output_names)
    assert relative_difference(output, module(x)) < 1e-5
    counts, graph = count_module(module, tuple(x.shape)), count_onnx(model)
    assert (graph.macs, graph.macs_attention) == (counts.macs, counts.macs_attention)
    assert graph.bytes_read == pytest.approx(counts.bytes_read, rel=0.05)
    assert graph.bytes_written == pytest.approx(counts.bytes_written, rel=0.05)
    assert "Resize" not in {node.op_type for node in model.graph.node}


@pytest.mark.parametrize("name", SMALL)
def test_seeded_networks_depend_on_their_input(name: str) -> None:
    module = built(name)
    first, second = module(images(128, seed=1)), module(images(128, seed=2))
    assert 1e-2 < first.std() < 1e2
    assert relative_difference(first, second) > 0.1


@pytest.mark.parametrize("name", ["b0-cityscapes", "sam-xl0"])
def test_upsampling_is_bicubic_unless_asked_for_otherwise(name: str) -> None:
    bicubic, bilinear = built(name), built(f"{name}+bilinear")
    modes = [
        {part.kind for part in module.modules() if isinstance(part, Resize)} for module in (bicubic, bilinear)
    ]
    assert modes == [{"bicubic"}, {"bilinear"}]
    assert bicubic.state_dict().keys() == bilinear.state_dict().keys()
    x = images(128)
    assert relative_difference(bilinear(x), bicubic(x)) > 1e-3


def test_a_head_sums_projected_and_resized_maps() -> None:
    """Against the same sum with resizing before the projection: the two commute."""
    style = Style(hardswish, 1e-5, "relu", 16)
    hyper = HeadHyper(width=6, depth=0, expand=1, block="mb")
    sizes = [(8, 12), (4, 6), (2, 3)]
    head = FusionHead(
        hyper,
        style,
        channels=(3, 4, 5),
        sizes=sizes,
        stages=(-1, -2, -3),
        target=(8, 12),
        mode="bicubic",
        outputs=7,
    ).eval()
    seed_weights(head, 0)
    assert not isinstance(head.input_ops[2], type(head.input_ops[0]))
    generator = torch.Generator().manual_seed(0)
    maps = [torch.randn((2, c, *size), generator=generator) for c, size in zip((3, 4, 5), sizes, strict=True)]
    expected = 0
    for layer, tensor in zip(head.input_ops, reversed(maps), strict=True):
        project = layer.op_list[0] if hasattr(layer, "op_list") else layer
        resized = F.interpolate(tensor, size=(8, 12), mode="bicubic", align_corners=False)
        expected = expected + project(resized)
    with torch.inference_mode():
        assert relative_difference(head(maps), head.output_ops[0](expected)) < 1e-5


@pytest.mark.parametrize(
    ("name", "update", "problem"),
    [
        ("b0-cityscapes", {"head": {"width": 32}}, "head.depth: field required"),
        ("b0-cityscapes", {"head": {"width": 0, "depth": 1, "expand": 4, "block": "mb"}}, "head.width: "),
        ("b0-cityscapes", {"head": {"width": 8, "depth": 1, "expand": 4, "block": "res"}}, "head.block: "),
        ("b0-cityscapes", {"classes": 0}, "classes: "),
        ("sam-l0", {"classes": 3}, "classes: extra inputs"),
        ("sam-xl0", {"depth": [1, 2, 2, 2, 2]}, "depth: design xl has 6 stages"),
        ("sr", {"scale": 1}, "scale: "),
        ("sr", {"width": [32, 64, 128]}, "width: .* at least 4 items"),
        ("sr", {"design": "b"}, "design: extra inputs"),
    ],
)
def test_a_hyper_parameter_that_does_not_fit_is_named(
    name: str, update: dict[str, Any], problem: str
) -> None:
    spec = spec_of(name)
    spec = spec.model_copy(update={"hyper": spec.hyper | update})
    with pytest.raises(UsageError, match=f"do not fit .*{problem}"), torch.device("meta"):
        zoo.create(spec)


@pytest.mark.parametrize("name", ["b0-cityscapes", "sam-l0", "sr"])
def test_another_task_or_no_attention_is_refused(name: str) -> None:
    spec = spec_of(name)
    with pytest.raises(UsageError, match="has no task 'cls'"):
        zoo.create(spec.model_copy(update={"task": "cls"}))
    with pytest.raises(UsageError, match="has no attention kind"):
        zoo.create(spec.model_copy(update={"attention": None, "default_attention": None}))
