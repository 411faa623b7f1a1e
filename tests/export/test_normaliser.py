from pathlib import Path

import numpy as np
import pytest
import torch

from tests.export.ort import run
from tests.support.models import seeded
from vitbench import catalog, zoo
from vitbench.export import normaliser
from vitbench.export.normaliser import ZeroImage, build_zero_image
from vitbench.export.onnx import export_onnx
from vitbench.zoo.attention import ReluAttention
from vitbench.zoo.deploy import to_deploy
from vitbench.zoo.init import seed_weights


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


def smallest(network: torch.nn.Module, zero: ZeroImage) -> float:
    """Smallest normaliser of a network for the image, by a way of its own."""
    seen: list[torch.Tensor] = []
    part = network.get_submodule(zero.module)
    handle = part.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    network(torch.from_numpy(zero.image)[None])
    handle.remove()
    return float(part.normaliser(seen[0]).min())  # type: ignore[operator]


@pytest.mark.parametrize(
    ("name", "side"), [("b0", 224), ("b1+relu-single", 96), ("b2", 64), ("l1", 160), ("b1", 512)]
)
def test_the_normaliser_is_exactly_zero_in_both_forms(name: str, side: int) -> None:
    network = seeded(name, side)
    zero = build_zero_image(network, (3, side, side), 32, seed=0)
    assert zero is not None
    assert zero.image.shape == (3, side, side)
    assert zero.image.dtype == np.float32
    assert zero.normaliser_min == 0.0
    assert smallest(network, zero) == 0.0
    assert smallest(to_deploy(network), zero) == 0.0
    assert smallest(network.double(), ZeroImage(zero.image.astype(np.float64), zero.module, 0.0)) == 0.0  # type: ignore[arg-type]


@pytest.mark.parametrize("grid", [(7, 7), (3, 5), (28, 28)])
@pytest.mark.parametrize("kind", ["relu", "relu-single"])
def test_a_map_of_features_gets_there_too(kind: str, grid: tuple[int, int]) -> None:
    network = zoo.create(catalog.resolve_model(f"attention-4x8+{kind}", resolution=grid))
    seed_weights(network, 0)
    zero = build_zero_image(network, (32, *grid), 1, seed=0)
    assert zero is not None
    assert (zero.image.shape, zero.module) == ((32, *grid), "attention")
    assert zero.normaliser_min == smallest(network, zero) == smallest(to_deploy(network), zero) == 0.0


def test_it_is_still_an_image_and_aims_at_the_first_attention() -> None:
    network = seeded("b0", 96)
    zero = build_zero_image(network, (3, 96, 96), 32, seed=0)
    assert zero is not None
    first = next(name for name, part in network.named_modules() if hasattr(part, "normaliser"))
    assert zero.module == first
    assert float(zero.image.std()) == pytest.approx(1, abs=0.05)
    assert float(np.abs(zero.image).max()) < 6
    assert not network._forward_pre_hooks
    assert not network.get_submodule(first)._forward_pre_hooks


def test_a_random_image_does_not_get_there() -> None:
    network = seeded("b0", 96)
    zero = build_zero_image(network, (3, 96, 96), 32, seed=0)
    assert zero is not None
    random = np.random.RandomState(0).standard_normal((3, 96, 96)).astype(np.float32)
    assert smallest(network, ZeroImage(random, zero.module, 0.0)) > 0


def test_the_same_seed_gives_the_same_image() -> None:
    network = seeded("b0", 64)
    first, again, other = (build_zero_image(network, (3, 64, 64), 32, seed) for seed in (0, 0, 1))
    assert first is not None
    assert again is not None
    assert other is not None
    np.testing.assert_array_equal(first.image, again.image)
    assert not np.array_equal(first.image, other.image)
    assert other.normaliser_min == 0.0


def test_networks_that_do_not_divide_have_no_such_image() -> None:
    assert build_zero_image(seeded("b0+softmax", 64), (3, 64, 64), 32, seed=0) is None


def test_giving_up_is_told_by_the_minimum(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(normaliser, "STEPS", 1)
    zero = build_zero_image(seeded("b0", 64), (3, 64, 64), 32, seed=0)
    assert zero is not None
    assert zero.normaliser_min > 0


@pytest.mark.parametrize("formulation", ReluAttention.formulations)
def test_every_formulation_stays_finite_and_right_where_it_divides_zero_by_zero(
    formulation: str, tmp_path: Path
) -> None:
    network = seeded("b0", 64)
    zero = build_zero_image(network, (3, 64, 64), 32, seed=0)
    assert zero is not None
    expected = network(torch.from_numpy(zero.image)[None]).numpy()
    deployed = to_deploy(network)
    zoo.set_formulation(deployed, {"relu": formulation})
    path = tmp_path / "model.onnx"
    export_onnx(deployed, (1, 3, 64, 64), path)
    got = run(path, zero.image[None])
    assert np.abs(got - expected).max() <= 1e-4 * np.abs(expected).max()
