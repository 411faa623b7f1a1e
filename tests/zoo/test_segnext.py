"""SegNeXt: its own fixtures, the decomposition, and what fixtures do not see."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

from tests.support.fill import fixture_input, fixture_weights
from tests.support.graphs import check_exported
from tests.support.models import relative_difference
from tests.support.references import DATA, sampled
from vitbench import build, catalog, zoo
from vitbench.counting import count_module
from vitbench.errors import UsageError
from vitbench.zoo.deploy import to_deploy
from vitbench.zoo.init import seed_weights
from vitbench.zoo.segnext import MatrixDecomposition
from vitbench.zoo.weights import load_reference_state_dict

SPEC = catalog.resolve_model("segnext-t-cityscapes", resolution=(64, 96))
SHAPE = (1, 3, 64, 96)


@pytest.fixture(scope="module")
def module() -> nn.Module:
    network = zoo.create(SPEC)
    seed_weights(network, 0)
    return network


def images(batch: int = 1, seed: int = 0) -> torch.Tensor:
    return torch.randn((batch, *SHAPE[1:]), generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("variant", ["t", "b"])
def test_stages_and_fused_map_are_those_of_the_original(variant: str) -> None:
    """Behind the fused map the original draws at random, and has no outputs to compare."""
    fixture: dict[str, Any] = json.loads((DATA / "parity" / f"segnext_{variant}.json").read_text())
    shape = tuple(fixture["input_shape"])
    network = build(fixture["model"], resolution=shape[2:], deploy=False)
    weights = fixture_weights(network)
    total = sum(
        float(np.abs(value.astype(np.float64)).sum())
        for value in weights.values()
        if isinstance(value, np.ndarray)
    )
    assert total == pytest.approx(fixture["fill_check"]["abs_sum"], rel=1e-7)
    load_reference_state_dict(network, weights)
    assert [each["name"] for each in fixture["outputs"]] == [
        "stage1",
        "stage2",
        "stage3",
        "stage4",
        "squeeze",
    ]
    with torch.inference_mode():
        for form in (network, to_deploy(network)):
            maps = form.backbone.maps(fixture_input(shape))
            outputs = [*maps, form.decode_head.squeeze(maps[1:])]
            for output, expected in zip(outputs, fixture["outputs"], strict=True):
                assert list(output.shape) == expected["shape"]
                difference = np.abs(sampled(output) - np.array(expected["values"])).max()
                assert difference <= 1e-5 * expected["absmax"], expected["name"]


def decompose(x: NDArray[np.float64], bases: NDArray[np.float64]) -> NDArray[np.float64]:
    """The decomposition of one map (D, P), with the codes as (P, rank), as the original has them."""
    codes = np.exp(x.T @ bases)
    codes /= codes.sum(axis=1, keepdims=True)
    for _ in range(7):
        codes = codes * (x.T @ bases) / (codes @ (bases.T @ bases) + 1e-6)
        bases = bases * (x @ codes) / (bases @ (codes.T @ codes) + 1e-6)
    codes = codes * (x.T @ bases) / (codes @ (bases.T @ bases) + 1e-6)
    return bases @ codes.T


@pytest.mark.parametrize("formulation", MatrixDecomposition.formulations)
def test_decomposition_against_numpy(formulation: str) -> None:
    ham = MatrixDecomposition(12, 4).double()
    ham.formulation = formulation
    x = torch.rand(3, 12, 40, generator=torch.Generator().manual_seed(0)).double()
    drawn = ham.drawn[0].numpy()
    bases = drawn / np.sqrt((drawn**2).sum(axis=0))
    expected = np.stack([decompose(each, bases) for each in x.numpy()])
    assert relative_difference(ham(x), torch.from_numpy(expected)) < 1e-12


def test_decomposition_approximates_what_it_is_given() -> None:
    """A map of rank 2 comes nearer than its mean, and steps bring it nearer than the start."""
    draw = np.random.RandomState(1)
    x = torch.from_numpy(draw.uniform(size=(1, 12, 2)) @ draw.uniform(size=(1, 2, 40)))
    ham = MatrixDecomposition(12, 4).double()
    assert float((ham(x) - x).norm()) < 0.3 * float((x - x.mean()).norm())


def test_decomposition_of_nothing_is_finite() -> None:
    ham = MatrixDecomposition(12, 4)
    for formulation in ham.formulations:
        ham.formulation = formulation
        assert ham(torch.zeros(1, 12, 40)).abs().max() == 0


def test_bases_are_fixed_and_in_no_checkpoint() -> None:
    with torch.device("meta"):
        network = zoo.create(SPEC)
    ham = network.decode_head.hamburger.ham
    assert ham.drawn.device.type == "cpu"
    assert torch.equal(ham.drawn, MatrixDecomposition(256, 16).drawn)
    assert ham.drawn.shape == (1, 256, 16)
    assert 0 <= float(ham.drawn.min()) < 0.01 < 0.99 < float(ham.drawn.max()) < 1
    assert not ham.state_dict()


def test_every_product_of_the_decomposition_counts_as_attention() -> None:
    channels, rank, pixels = 12, 4, 40
    ham = MatrixDecomposition(channels, rank)
    counts = count_module(ham, (2, channels, pixels))
    expected = 2 * (17 * channels * rank * pixels + 15 * (channels + pixels) * rank**2)
    assert (counts.macs, counts.macs_attention) == (expected, expected)
    ham.formulation = "constant-start"
    fewer = count_module(ham, (2, channels, pixels), folded=True)
    # One product of bases and map is not repeated, one of the bases with themselves is a constant.
    assert fewer.macs == expected - 2 * channels * rank * pixels - 2 * channels * rank**2


def test_epsilons_groups_and_gelu(module: nn.Module) -> None:
    norms = (nn.BatchNorm2d, nn.LayerNorm, nn.GroupNorm)
    assert {part.eps for part in module.modules() if isinstance(part, norms)} == {1e-5}
    assert {part.num_groups for part in module.modules() if isinstance(part, nn.GroupNorm)} == {32}
    assert {part.approximate for part in module.modules() if isinstance(part, nn.GELU)} == {"none"}


def test_inference_form_is_the_same_function_in_every_formulation(module: nn.Module) -> None:
    x = images(2).double()
    network = zoo.create(SPEC)
    network.load_state_dict(module.state_dict())
    with torch.inference_mode():
        expected = network.double()(x)
        deployed = to_deploy(network)
        # Those of the blocks, whose input goes past them as well.
        assert sum(isinstance(part, nn.BatchNorm2d) for part in deployed.modules()) == 2 * (3 + 3 + 5 + 2)
        assert zoo.formulations(deployed) == {
            "fusion": "slices",
            "bilinear": "resize",
            "nmf": "constant-start",
        }
        for chosen in ({}, {"fusion": "concat"}, {"nmf": "products"}, {"bilinear": "matmul"}):
            zoo.set_formulation(deployed, chosen)
            assert relative_difference(deployed(x), expected) < 1e-9


def test_an_image_does_not_see_its_neighbours_in_the_batch(module: nn.Module) -> None:
    x = images(2)
    with torch.inference_mode():
        both, alone = module(x), module(x[1:])
    assert both.shape == (2, 19, 8, 12)
    assert relative_difference(both[1:], alone) < 1e-5


@pytest.mark.parametrize("name", ["t-cityscapes", "b-ade20k"])
def test_outputs_follow_the_input(name: str) -> None:
    network = zoo.create(catalog.resolve_model(f"segnext-{name}", resolution=SHAPE[2:]))
    seed_weights(network, 0)
    with torch.inference_mode():
        first, second = network(images(seed=0)), network(images(seed=1))
    assert 0.5 < float(first.std()) < 5
    assert relative_difference(second, first) > 0.2


def test_exported_graph_computes_and_counts_the_same(tmp_path: Path) -> None:
    small = SPEC.model_copy(update={"hyper": {**SPEC.hyper, "depth": [1, 1, 1, 1]}})
    check_exported(small, tmp_path / "model.onnx")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"head": 80}, "no multiple of 32"),
        ({"width": [33, 64, 160, 256]}, "odd number"),
        ({"rank": 0}, "rank"),
        ({"expand": [8, 8, 4]}, "expand"),
        ({"heads": [1]}, "heads"),
    ],
)
def test_bad_hyper_parameters_are_refused(changes: dict[str, object], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        zoo.create(SPEC.model_copy(update={"hyper": {**SPEC.hyper, **changes}}))
