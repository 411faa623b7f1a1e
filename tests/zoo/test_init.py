"""Seeded weights."""

import hashlib
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from tests.support.models import images, relative_difference, seeded
from vitbench.zoo.init import seed_weights

DIGEST = """
import hashlib
from tests.support.models import seeded
for key, tensor in sorted(seeded("b0").state_dict().items()):
    print(key, hashlib.sha256(tensor.numpy().tobytes()).hexdigest())
"""


def test_another_process_fills_the_same_values() -> None:
    here = [
        f"{key} {hashlib.sha256(tensor.numpy().tobytes()).hexdigest()}"
        for key, tensor in sorted(seeded("b0").state_dict().items())
    ]
    done = subprocess.run(
        [sys.executable, "-c", DIGEST],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parents[2],
    )
    assert done.stdout.splitlines() == here


def test_values_do_not_depend_on_the_order_of_construction() -> None:
    forward, backward = (
        nn.ModuleDict({name: nn.Conv2d(3, 4, 3) for name in order}) for order in (("a", "b"), ("b", "a"))
    )
    seed_weights(forward, 5)
    seed_weights(backward, 5)
    for key, tensor in forward.state_dict().items():
        assert torch.equal(backward.state_dict()[key], tensor)
    assert not torch.equal(forward["a"].weight, forward["b"].weight)


def test_seeds_differ() -> None:
    first, second = (seeded("b0", seed=seed).state_dict() for seed in (0, 1))
    same = [key for key in first if torch.equal(first[key], second[key])]
    assert same == [key for key in first if key.endswith("num_batches_tracked")]


def test_norm_statistics_are_random_and_integers_kept() -> None:
    class Derived(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.norm = nn.BatchNorm2d(64)
            self.layer_scale = nn.Parameter(torch.ones(64))
            self.register_buffer("index", torch.arange(4))

    module = Derived()
    module.norm.num_batches_tracked.fill_(7)
    seed_weights(module, 0)
    for tensor in (module.norm.weight, module.norm.running_var):
        assert 0.5 <= tensor.min() < 0.7 < 1.3 < tensor.max() <= 1.5
    assert module.norm.running_mean.std() > 0.05
    assert 0.1 <= module.layer_scale.min() < 0.15 < 0.25 < module.layer_scale.max() <= 0.3
    assert torch.equal(module.index, torch.arange(4))
    assert module.norm.num_batches_tracked == 0


@pytest.mark.parametrize(
    "name",
    ["b0", "b1", "b2", "b3", "l0-backbone", "b1+softmax", "b1+relu-single", "b1+sra-softmax", "b3+softmax"],
)
def test_outputs_follow_the_input_and_stay_tame(name: str) -> None:
    module = seeded(name, 96)
    backbone = getattr(module, "backbone", module)
    x = torch.cat([images(96, seed=1), images(96, seed=2)])
    for tensor in backbone.maps(x):
        assert 0.05 < tensor.square().mean().sqrt() < 20
    first, second = module(x)
    assert (first - second).std() > 0.03 * first.std()
    assert first.std() > 0.1


@pytest.mark.parametrize("name", ["b1", "b1+softmax"])
def test_outputs_are_no_chaos_of_rounding(name: str) -> None:
    module, x = seeded(name, 64), images(64)
    assert relative_difference(module(x).double(), module.double()(x.double())) < 1e-5


def test_a_layer_that_closes_a_branch_without_a_norm_is_small() -> None:
    class Block(nn.Module):
        closing = "last"

        def __init__(self) -> None:
            super().__init__()
            self.first, self.last = nn.Conv2d(64, 64, 1), nn.Conv2d(64, 64, 1)

    module = nn.Sequential(Block()).requires_grad_(False)
    seed_weights(module, 0)
    assert float(module[0].last.weight.std() / module[0].first.weight.std()) == pytest.approx(0.2, rel=0.1)
    assert float(module[0].last.bias.std()) == pytest.approx(0.1, rel=0.3)


def test_what_a_network_derives_is_not_seeded() -> None:
    class Block(nn.Module):
        derived = ("mask",)

        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("mask", torch.full((4,), -100.0))
            self.register_buffer("table", torch.full((4,), -100.0))

    module = nn.Sequential(Block())
    seed_weights(module, 0)
    assert (module[0].mask == -100).all()
    assert (module[0].table > -10).all()
