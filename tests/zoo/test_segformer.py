"""SegFormer: what the original's fixtures do not see."""

from pathlib import Path

import pytest
import torch
from torch import nn

from tests.support.graphs import check_exported
from tests.support.models import relative_difference
from vitbench import catalog, zoo
from vitbench.counting import count_module
from vitbench.errors import UsageError
from vitbench.zoo.deploy import to_deploy
from vitbench.zoo.init import seed_weights

SPEC = catalog.resolve_model("segformer-b0-cityscapes", resolution=(64, 96))
SHAPE = (1, 3, 64, 96)


@pytest.fixture(scope="module")
def module() -> nn.Module:
    network = zoo.create(SPEC)
    seed_weights(network, 0)
    return network


def images(batch: int = 1, seed: int = 0) -> torch.Tensor:
    return torch.randn((batch, *SHAPE[1:]), generator=torch.Generator().manual_seed(seed))


def test_norms_inside_embeddings_and_reductions_have_another_epsilon(module: nn.Module) -> None:
    epsilons: dict[float, set[str]] = {1e-5: set(), 1e-6: set()}
    for name, part in module.backbone.named_modules():
        if isinstance(part, nn.LayerNorm):
            epsilons[part.eps].add(name)
    inner = {f"patch_embed{stage}.norm" for stage in (1, 2, 3, 4)}
    inner |= {f"block{stage}.{block}.attn.norm" for stage in (1, 2, 3) for block in (0, 1)}
    outer = {f"norm{stage}" for stage in (1, 2, 3, 4)}
    outer |= {
        f"block{stage}.{block}.norm{which}" for stage in (1, 2, 3, 4) for block in (0, 1) for which in (1, 2)
    }
    assert epsilons == {1e-5: inner, 1e-6: outer}


def test_gelu_is_exact(module: nn.Module) -> None:
    kinds = {part.approximate for part in module.modules() if isinstance(part, nn.GELU)}
    assert kinds == {"none"}


def test_inference_form_is_the_same_function_in_every_formulation(module: nn.Module) -> None:
    x = images(2).double()
    network = zoo.create(SPEC)
    network.load_state_dict(module.state_dict())
    with torch.inference_mode():
        expected = network.double()(x)
        deployed = to_deploy(network)
        assert not any(isinstance(part, nn.BatchNorm2d) for part in deployed.modules())
        assert zoo.formulations(deployed) == {
            "sra-softmax": "products",
            "fusion": "slices",
            "bilinear": "resize",
        }
        for chosen in ({}, {"sra-softmax": "fused", "fusion": "concat", "bilinear": "matmul"}):
            zoo.set_formulation(deployed, chosen)
            assert relative_difference(deployed(x), expected) < 1e-9


def test_an_image_does_not_see_its_neighbours_in_the_batch(module: nn.Module) -> None:
    x = images(2)
    with torch.inference_mode():
        both, alone = module(x), module(x[1:])
    assert both.shape == (2, 19, 16, 24)
    assert relative_difference(both[1:], alone) < 1e-5


def test_outputs_follow_the_input(module: nn.Module) -> None:
    with torch.inference_mode():
        first, second = module(images(seed=0)), module(images(seed=1))
    assert 0.5 < float(first.std()) < 5
    assert relative_difference(second, first) > 0.2


def test_exported_graph_computes_and_counts_the_same(tmp_path: Path) -> None:
    small = SPEC.model_copy(update={"hyper": {**SPEC.hyper, "depth": [1, 1, 1, 1]}})
    check_exported(small, tmp_path / "model.onnx")


def test_the_unused_classifier_is_a_parameter_and_no_more(module: nn.Module) -> None:
    assert module.decode_head.conv_seg.weight.shape == (19, 128, 1, 1)
    module.decode_head.conv_seg.register_forward_hook(lambda *_: pytest.fail("it ran"))
    with torch.inference_mode():
        module(images())


def test_slices_spare_three_quarters_of_a_coarse_level() -> None:
    with torch.device("meta"):
        network = zoo.create(SPEC)
    counts = {}
    for name in ("concat", "slices"):
        zoo.set_formulation(network, {"fusion": name})
        counts[name] = count_module(network, SHAPE).macs
    fine, channels = 16 * 24, 256
    spared = fine - fine // 4 + fine - fine // 16 + fine - fine // 64
    assert counts["concat"] - counts["slices"] == spared * channels**2


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"heads": [1, 2, 5, 7]}, "do not divide"),
        ({"heads": [1, 2, 5]}, "heads"),
        ({"reduction": [8, 4, 2, 0]}, "reduction"),
        ({"head": None}, "head"),
        ({"ratio": 4}, "ratio"),
    ],
)
def test_bad_hyper_parameters_are_refused(changes: dict[str, object], words: str) -> None:
    spec = SPEC.model_copy(update={"hyper": {**SPEC.hyper, **changes}})
    with pytest.raises(UsageError, match=words):
        zoo.create(spec)


def test_other_attention_and_other_tasks_are_refused() -> None:
    with pytest.raises(UsageError, match="relu"):
        zoo.create(SPEC.model_copy(update={"attention": "relu"}))
    with pytest.raises(UsageError, match="cls"):
        zoo.create(SPEC.model_copy(update={"task": "cls"}))


def test_resolutions_are_those_of_the_published_protocols() -> None:
    resolutions = {
        name: catalog.resolve_model(f"segformer-{name}").resolution
        for name in ("b4-ade20k", "b5-ade20k", "b5-cityscapes")
    }
    assert resolutions == {"b4-ade20k": (512, 512), "b5-ade20k": (640, 640), "b5-cityscapes": (1024, 2048)}
