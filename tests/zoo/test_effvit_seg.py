"""Segmentation networks."""

import pytest
import torch
from torch import nn

from tests.support.models import on_meta, spec_of
from vitbench import catalog, zoo


@pytest.mark.parametrize(("name", "eps"), [("b2-ade20k", 1e-5), ("l2-cityscapes", 1e-7)])
def test_epsilons(name: str, eps: float) -> None:
    assert {part.eps for part in on_meta(name).modules() if isinstance(part, nn.BatchNorm2d)} == {eps}


@pytest.mark.parametrize(("name", "classes"), [("b0-cityscapes", 19), ("l1-ade20k", 150)])
def test_logits_come_at_stride_8_of_a_rectangle(name: str, classes: int) -> None:
    spec = catalog.resolve_model(f"effvit-{name}:96x160")
    with torch.device("meta"):
        module = zoo.create(spec)
    assert module(torch.empty((2, 3, 96, 160), device="meta")).shape == (2, classes, 12, 20)
    assert module.output_names == ("logits",)


def test_segmentation_runs_at_the_benchmarks_resolution_unless_told() -> None:
    assert spec_of("b1-cityscapes").resolution == (1024, 2048)
    assert spec_of("b1-ade20k").resolution == (512, 512)
