"""PoolFormer, and MetaFormer-S12 with its token mixer exchanged: what the fixture does not see."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from tests.support.forms import check_graph, network
from tests.support.models import images, relative_difference
from vitbench import catalog, zoo
from vitbench.counting import count_model, count_module
from vitbench.errors import UsageError
from vitbench.zoo.deploy import to_deploy
from vitbench.zoo.metaformer import Pooling
from vitbench.zoo.reparam import RepMixer

KINDS = ("pool", "repmixer")
SMALL = {"width": [16, 32, 48, 64], "depth": [1, 1, 2, 1]}
# Published to two or three figures, by a counter that takes a GroupNorm for five operations an element.
PUBLISHED = {"s12": (12, 1.8), "s24": (21, 3.4), "s36": (31, 5.0), "m36": (56, 8.8), "m48": (73, 11.6)}


def test_pooling_leaves_the_outside_out() -> None:
    x = torch.randn(1, 2, 5, 4)
    inside = F.pad(torch.ones_like(x), [1] * 4)
    ones = torch.ones(2, 1, 3, 3)
    sums, counts = (F.conv2d(tensor, ones, groups=2) for tensor in (F.pad(x, [1] * 4), inside))
    torch.testing.assert_close(Pooling()(x), sums / counts - x)


@pytest.mark.parametrize("variant", PUBLISHED)
def test_published_figures_hold_with_norms_counted_as_their_counter_does(variant: str) -> None:
    spec = catalog.resolve_model(f"poolformer-{variant}")
    counts = count_model(spec)
    pixels = [(56 >> stage) ** 2 for stage in range(4)]
    stages = zip(spec.hyper["depth"], spec.hyper["width"], pixels, strict=True)
    normed = sum(2 * depth * width * size for depth, width, size in stages)
    params, macs = PUBLISHED[variant]
    assert round(counts.params / 1e6) == params
    assert counts.params_deploy == counts.params
    assert round((counts.macs + 5 * normed) / 1e9, 1) == macs


def test_with_pooling_it_is_poolformer() -> None:
    x = images(64)
    first, second = (network(name, 64) for name in ("metaformer-s12+pool", "poolformer-s12"))
    assert catalog.resolve_model("metaformer-s12+pool").name == "metaformer-s12"
    assert list(first.state_dict()) == list(second.state_dict())
    with torch.inference_mode():
        assert torch.equal(first(x), second(x))


def test_only_the_token_mixer_is_exchanged() -> None:
    pool, mixer = (network(f"metaformer-s12+{kind}", meta=True) for kind in KINDS)
    theirs = (".norm1.", ".layer_scale1.", ".token_mixer.")
    kept = [
        {key: value.shape for key, value in module.state_dict().items() if not any(t in key for t in theirs)}
        for module in (pool, mixer)
    ]
    assert kept[0] == kept[1]
    assert sum(isinstance(part, RepMixer) for part in mixer.modules()) == 12
    assert not any(isinstance(part, RepMixer | nn.BatchNorm2d) for part in pool.modules())


def test_repmixer_costs_nine_products_an_element_in_inference_form() -> None:
    spec = catalog.resolve_model("metaformer-s12")
    shape = (1, 3, *spec.resolution)
    pool, mixer = (to_deploy(network(f"metaformer-s12+{kind}", meta=True)) for kind in KINDS)
    stages = zip(spec.hyper["depth"], spec.hyper["width"], (56, 28, 14, 7), strict=True)
    elements = sum(depth * width * side**2 for depth, width, side in stages)
    assert count_module(mixer, shape).macs - count_module(pool, shape).macs == 9 * elements
    for part in mixer.modules():
        if isinstance(part, RepMixer):
            assert set(part.state_dict()) == {"reparam_conv.weight", "reparam_conv.bias"}


@pytest.mark.parametrize("kind", KINDS)
def test_inference_form_is_the_same_function(kind: str) -> None:
    module = network(f"metaformer-s12+{kind}", 64, **SMALL).double()
    x = images(64).double()
    with torch.inference_mode():
        assert relative_difference(to_deploy(module)(x), module(x)) < 1e-9


@pytest.mark.parametrize("kind", KINDS)
def test_exported_graph_computes_and_counts_the_same(kind: str, tmp_path: Path) -> None:
    check_graph(to_deploy(network(f"metaformer-s12+{kind}", 64, **SMALL)), 64, tmp_path)


@pytest.mark.parametrize("kind", KINDS)
def test_outputs_follow_the_input(kind: str) -> None:
    module = network(f"metaformer-s12+{kind}", 64)
    with torch.inference_mode():
        first, second = (module(images(64, seed=seed)) for seed in (0, 1))
    assert 0.1 < float(first.std()) < 5
    assert relative_difference(second, first) > 0.1


def test_epsilons_and_activations() -> None:
    module = network("poolformer-s12", meta=True)
    assert {part.eps for part in module.modules() if isinstance(part, nn.GroupNorm)} == {1e-5}
    assert module.head.norm.eps == 1e-6
    assert {part.approximate for part in module.modules() if isinstance(part, nn.GELU)} == {"none"}


@pytest.mark.parametrize("side", [224, 1024])
@pytest.mark.parametrize("kind", KINDS)
def test_the_study_runs_from_224_to_1024(kind: str, side: int) -> None:
    spec = catalog.resolve_model(f"metaformer-s12+{kind}:{side}x{side}")
    counts = count_module(network(f"metaformer-s12+{kind}", side, meta=True), (1, 3, *spec.resolution))
    assert counts.macs_attention == 0
    assert counts.macs > 1.8e9 * (side / 224) ** 2 * 0.99


@pytest.mark.parametrize(
    ("update", "words"),
    [
        ({"attention": "conv"}, "unknown token mixer 'conv'"),
        ({"task": "seg"}, "no task 'seg'"),
        ({"hyper": {"width": [64, 128, 320, 512]}}, "depth: field required"),
    ],
    ids=str,
)
def test_a_spec_that_does_not_fit_is_refused(update: dict[str, Any], words: str) -> None:
    spec = catalog.resolve_model("metaformer-s12").model_copy(update=update)
    with pytest.raises(UsageError, match=words):
        zoo.create(spec)
