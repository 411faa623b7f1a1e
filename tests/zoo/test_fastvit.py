"""FastViT: what the original's fixtures do not see."""

import csv
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from tests.support.forms import check_graph, network
from tests.support.models import images, relative_difference
from vitbench import catalog, zoo
from vitbench.catalog.files import builtin_directory
from vitbench.counting import count_module
from vitbench.errors import UsageError
from vitbench.zoo.deploy import in_form, merge_branches, to_deploy
from vitbench.zoo.fastvit import AttentionBlock
from vitbench.zoo.weights import load_reference_state_dict

ROWS = [
    row
    for row in csv.DictReader((builtin_directory("models") / "reference_counts.csv").read_text().splitlines())
    if row["macs_deploy"] and row["model"].startswith(("fastvit", "mobileone"))
]
SMALL = {"width": [32, 64, 128, 256], "depth": [1, 1, 2, 2]}
# Counted on the original with its norms folded forward by hand.
FOLDED = {"sa24": 21497448, "ma36": 43977792}


def parameters(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


@pytest.fixture(scope="module")
def attentive() -> nn.Module:
    return network("fastvit-sa12", 64, **SMALL)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row['model']}-{row['resolution']}")
def test_counts_with_branches_merged(row: dict[str, str]) -> None:
    side = int(row["resolution"].split("x")[0])
    module = network(row["model"], side, meta=True)
    deployed = to_deploy(module)
    merge_branches(module)
    assert parameters(module) == int(row["params_reparam"] or row["params_deploy"])
    for form in (module, deployed):
        assert count_module(form, (1, 3, side, side)).macs == int(row["macs_deploy"])


@pytest.mark.parametrize("variant", FOLDED)
def test_parameters_with_every_norm_folded(variant: str) -> None:
    deployed = to_deploy(network(f"fastvit-{variant}", meta=True))
    assert parameters(deployed) == FOLDED[variant]
    assert not any(isinstance(part, nn.BatchNorm2d) for part in deployed.modules())


def test_every_form_is_the_same_function() -> None:
    module = network("fastvit-sa12", 64, **SMALL).double()
    x = images(64, 2).double()
    with torch.inference_mode():
        expected = module(x)
        merged = in_form(module, "reparam")
        kept = [name for name, part in merged.named_modules() if isinstance(part, nn.BatchNorm2d)]
        assert {name.rsplit(".", 2)[-2] for name in kept if name.endswith(".bn")} == {"conv"}
        assert [name for name in kept if not name.endswith(".bn")] == [
            "network.7.0.norm",
            "network.7.1.norm",
        ]
        for form in (merged, in_form(module, "deploy")):
            assert relative_difference(form(x), expected) < 1e-9


def test_formulations_are_one_function(attentive: nn.Module) -> None:
    x = images(64)
    with torch.inference_mode():
        for module in (attentive, to_deploy(attentive)):
            expected = module(x)
            assert zoo.formulations(module) == {"softmax": "products"}
            zoo.set_formulation(module, {"softmax": "fused"})
            assert relative_difference(module(x), expected) < 1e-5
            zoo.set_formulation(module, {"softmax": "products"})


def test_a_checkpoint_of_merged_branches_merges_the_network_first() -> None:
    source, target = (network("fastvit-t8", 64, **SMALL) for _ in range(2))
    merge_branches(source)
    for tensor in source.state_dict().values():
        if tensor.is_floating_point():
            tensor.mul_(0.9)
    load_reference_state_dict(target, source.state_dict())
    x = images(64)
    assert list(target.state_dict()) == list(source.state_dict())
    with torch.inference_mode():
        assert torch.equal(target(x), source(x))
        assert relative_difference(to_deploy(target)(x), source(x)) < 1e-5


def test_exported_graph_computes_and_counts_the_same(attentive: nn.Module, tmp_path: Path) -> None:
    check_graph(to_deploy(attentive), 64, tmp_path)


def test_epsilons_and_activations(attentive: nn.Module) -> None:
    parts = list(attentive.modules())
    assert {part.eps for part in parts if isinstance(part, nn.BatchNorm2d)} == {1e-5}
    assert {part.approximate for part in parts if isinstance(part, nn.GELU)} == {"none"}
    # Three of the stem, one behind each large kernel, one in each of 6 blocks, one of the head.
    assert sum(isinstance(part, nn.GELU) for part in parts) == 3 + 3 + 6 + 1


def test_the_norm_before_attention_does_not_reach_the_residual() -> None:
    block = AttentionBlock(32, 2).double().eval().requires_grad_(False)
    for tensor in block.state_dict().values():
        if tensor.is_floating_point():
            tensor.uniform_(0.5, 1.5)
    block.token_mixer.proj.weight.zero_()
    block.token_mixer.proj.bias.zero_()
    block.convffn.fc2.weight.zero_()
    block.convffn.fc2.bias.zero_()
    x = torch.randn(1, 32, 4, 4, dtype=torch.float64)
    assert torch.equal(block(x), x)
    block.fold_()
    assert torch.equal(block(x), x)
    assert block.token_mixer.qkv.bias is not None


def test_outputs_follow_the_input(attentive: nn.Module) -> None:
    with torch.inference_mode():
        first, second = (attentive(images(64, seed=seed)) for seed in (0, 1))
    assert 0.05 < float(first.std()) < 5
    assert relative_difference(second, first) > 0.05


def test_a_resolution_may_be_a_rectangle(attentive: nn.Module) -> None:
    with torch.inference_mode():
        assert attentive(images(96)[:, :, :64]).shape == (1, 1000)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"mixers": ["repmixer", "repmixer", "repmixer", "pool"]}, r"mixers\.3"),
        ({"mixers": ["attention"] * 4, "width": [48, 96, 192, 384]}, "width 48 .* no multiple of 32"),
        ({"width": [48, 96, 192, 400]}, "width 400 is no multiple of the width 192 before it"),
        ({"width": [64, 128, 256]}, "width"),
        ({"expand": 0}, "expand"),
        ({"heads": 4}, "heads"),
    ],
    ids=str,
)
def test_bad_hyper_parameters_are_refused(changes: dict[str, Any], words: str) -> None:
    spec = catalog.resolve_model("fastvit-t8")
    with pytest.raises(UsageError, match=words), torch.device("meta"):
        zoo.create(spec.model_copy(update={"hyper": {**spec.hyper, **changes}}))


def test_other_tasks_and_kinds_are_refused() -> None:
    spec = catalog.resolve_model("fastvit-t8")
    with pytest.raises(UsageError, match="no task 'seg'"):
        zoo.create(spec.model_copy(update={"task": "seg"}))
    with pytest.raises(UsageError, match="relu"):
        catalog.resolve_model("fastvit-sa12+relu")


def test_forms_and_resolution_are_the_published_ones() -> None:
    specs = [catalog.resolve_model(f"fastvit-t8{form}:256x256") for form in ("", "@reparam", "@train")]
    assert [spec.form for spec in specs] == ["deploy", "reparam", "train"]
    assert catalog.resolve_model("fastvit-ma36").resolution == (256, 256)
