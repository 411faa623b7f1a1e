"""Super resolution: a design of our own."""

import torch
from torch.nn import functional as F

from tests.support.models import images, on_meta, relative_difference, seeded, spec_of
from vitbench.catalog.lookup import find_variant


def test_it_is_labelled_as_no_network_of_the_paper() -> None:
    for variant in ("sr", "sr-w0.75"):
        family, spec = find_variant("effvit", variant)
        assert spec.design == "vitbench"
        assert spec.published
        assert {figure.note for figure in spec.published} == {"sr-design"}
    assert "of another network" in family.notes["sr-design"].lower()


def test_it_runs_at_the_benchmarks_resolution_and_doubles_it() -> None:
    assert spec_of("sr").resolution == (160, 240)
    module = on_meta("sr")
    assert module(torch.empty((2, 3, 160, 240), device="meta")).shape == (2, 3, 320, 480)
    assert module.output_names == ("output",)


def test_a_silent_head_leaves_the_bicubic_image() -> None:
    module = seeded("sr-w0.75", 64)
    last = module.head.output_ops[0].op_list[-1].conv
    last.weight.zero_()
    last.bias.zero_()
    x = images(64)
    bicubic = F.interpolate(x, scale_factor=2, mode="bicubic", align_corners=False)
    assert relative_difference(module(x), bicubic) < 1e-6


def test_detail_is_shuffled_to_its_own_place() -> None:
    """One value of the head's map goes to one of the 4x4 pixels it stands for."""
    module = seeded("sr", 64)
    detail = torch.zeros(1, 48, 32, 32)
    detail[0, 16 + 4 * 2 + 1, 5, 7] = 1  # second channel, row 2, column 1 of its square
    placed = module.shuffle(detail).nonzero().tolist()
    assert placed == [[0, 1, 5 * 4 + 2, 7 * 4 + 1]]


def test_the_first_attention_is_at_stride_8() -> None:
    module = on_meta("sr")
    attends = [
        any("context_module" in name for name, _ in step.named_modules()) for step in module.backbone.steps()
    ]
    assert attends == [False, False, True, True]
