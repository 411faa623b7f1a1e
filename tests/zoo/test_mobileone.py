"""MobileOne: what the original's fixtures do not see."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from tests.support.forms import check_graph, network
from tests.support.models import images, relative_difference
from vitbench import catalog, zoo
from vitbench.errors import UsageError
from vitbench.zoo.deploy import merge_branches, to_deploy
from vitbench.zoo.reparam import MobileOneBlock
from vitbench.zoo.weights import load_reference_state_dict

SMALL = {"stem": 16, "width": [16, 32, 64, 128], "depth": [1, 1, 3, 1]}
EXCITED = {**SMALL, "excited": [0, 0, 2, 1]}
FEW = pytest.mark.parametrize(("variant", "hyper"), [("s0", SMALL), ("s4", EXCITED)])


@FEW
def test_inference_form_is_the_same_function(variant: str, hyper: dict[str, Any]) -> None:
    module = network(f"mobileone-{variant}", 64, **hyper).double()
    x = images(64).double()
    with torch.inference_mode():
        assert relative_difference(to_deploy(module)(x), module(x)) < 1e-9


def test_merging_leaves_nothing_to_fold() -> None:
    module = network("mobileone-s4", meta=True)
    deployed = to_deploy(module)
    merge_branches(module)
    assert list(module.state_dict()) == list(deployed.state_dict())


def test_last_blocks_of_s4_are_excited_in_both_layers() -> None:
    module = network("mobileone-s4", meta=True)
    excited = {name for name, part in module.named_modules() if getattr(part, "se", None) is not None}
    assert excited == {*(f"stage3.{index}" for index in range(10, 20)), "stage4.0", "stage4.1"}


def test_stem_has_one_convolution_where_layers_have_four() -> None:
    module = network("mobileone-s0", meta=True)
    counts = {
        name: len(part.rbr_conv) for name, part in module.named_modules() if isinstance(part, MobileOneBlock)
    }
    assert counts.pop("stage0") == 1
    assert set(counts.values()) == {4}


def test_a_checkpoint_of_merged_branches_merges_the_network_first() -> None:
    source, target = (network("mobileone-s0", 64, **SMALL) for _ in range(2))
    merge_branches(source)
    source.linear.bias.add_(1)
    load_reference_state_dict(target, source.state_dict())
    with torch.inference_mode():
        assert torch.equal(target(images(64)), source(images(64)))


def test_exported_graph_computes_and_counts_the_same(tmp_path: Path) -> None:
    check_graph(to_deploy(network("mobileone-s4", 64, **EXCITED)), 64, tmp_path)


@pytest.mark.parametrize("variant", ["s0", "s4"])
def test_outputs_follow_the_input(variant: str) -> None:
    module = network(f"mobileone-{variant}", 64)
    with torch.inference_mode():
        first, second = (module(images(64, seed=seed)) for seed in (0, 1))
    assert 0.1 < float(first.std()) < 100
    # A hundred times the tolerance of parity and more.
    assert relative_difference(second, first) > 0.02


def test_epsilons() -> None:
    parts = network("mobileone-s0", meta=True).modules()
    assert {part.eps for part in parts if isinstance(part, nn.BatchNorm2d)} == {1e-5}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"excited": [0, 0, 11, 1]}, "11 excited pairs of layers are more than the stage's 10"),
        ({"depth": [2, 0, 10, 1]}, "a stage has no layers"),
        ({"branches": 0}, "branches"),
        ({"stem": None}, "stem"),
        ({"width": [48, 128, 256]}, "width"),
        ({"dim": 32}, "dim"),
    ],
    ids=str,
)
def test_bad_hyper_parameters_are_refused(changes: dict[str, Any], words: str) -> None:
    spec = catalog.resolve_model("mobileone-s0")
    with pytest.raises(UsageError, match=words), torch.device("meta"):
        zoo.create(spec.model_copy(update={"hyper": {**spec.hyper, **changes}}))


def test_it_has_no_third_form() -> None:
    with pytest.raises(UsageError, match="reparam"):
        catalog.resolve_model("mobileone-s0@reparam")
