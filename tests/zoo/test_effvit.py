"""The networks against the original's checkpoints and outputs."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from tests.support.models import images, on_meta, relative_difference, seeded, spec_of
from vitbench import zoo
from vitbench.errors import UsageError
from vitbench.zoo.attention import ReluAttention

DATA = Path(__file__).parents[1] / "data"
FIXTURES = sorted((DATA / "parity").glob("*.json"), key=lambda path: path.stem)


# No fixture is fine enough to see these.
@pytest.mark.parametrize(
    ("name", "eps"), [("b1", 1e-5), ("l1", 1e-7), ("b3-backbone", 1e-5), ("l0-backbone", 1e-7)]
)
def test_epsilons(name: str, eps: float) -> None:
    parts = list(on_meta(name).modules())
    assert {part.eps for part in parts if isinstance(part, (nn.BatchNorm2d, nn.LayerNorm))} == {eps}
    guards = [part.eps for part in parts if isinstance(part, ReluAttention)]
    assert guards
    assert set(guards) == {1e-15}


@pytest.mark.parametrize("name", ["b0-backbone", "l0-backbone"])
def test_a_backbone_returns_its_last_stage_and_keeps_the_maps_of_all(name: str) -> None:
    spec = spec_of(name, 64)
    module = seeded(name, 64)
    x = images(64)
    maps = module.maps(x)
    sides = [
        (len(width), *size)
        for width, *size in ((range(tensor.shape[1]), *tensor.shape[2:]) for tensor in maps)
    ]
    assert sides == [(width, 64 >> i, 64 >> i) for i, width in enumerate(spec.hyper["width"], start=1)]
    assert torch.equal(module(x), maps[-1])
    assert module.output_names == ("features",)


def test_a_classifier_maps_rectangles_and_batches_to_logits() -> None:
    module = seeded("b0")
    x = torch.cat([images(96, seed=1), images(96, seed=2)])[:, :, :64]
    assert module.output_names == ("logits",)
    assert module(x).shape == (2, 1000)
    assert relative_difference(module(x[1:]), module(x)[1:]) < 1e-5


def test_building_takes_no_memory_on_the_meta_device() -> None:
    module = on_meta("l3")
    assert all(tensor.is_meta for tensor in module.state_dict().values())
    assert not module.training


def test_unknown_builder_names_the_known_ones() -> None:
    spec = spec_of("b0").model_copy(update={"builder": "nothing"})
    with pytest.raises(UsageError, match="no builder 'nothing'") as caught:
        zoo.create(spec)
    assert "effvit" in str(caught.value.hint)


def test_a_package_can_add_a_builder(monkeypatch: pytest.MonkeyPatch) -> None:
    class Point:
        name = "elsewhere"

        def load(self) -> Any:
            return lambda spec: nn.Linear(3, len(spec.hyper["width"]))

    monkeypatch.setattr(zoo, "entry_points", lambda group: [Point()] if group == "vitbench.families" else [])
    module = zoo.create(spec_of("b0").model_copy(update={"builder": "elsewhere"}))
    assert isinstance(module, nn.Linear)
    assert module.out_features == 5


@pytest.mark.parametrize(
    ("update", "message"),
    [
        ({"task": "pose", "hyper": spec_of("b0-backbone").hyper}, "no task 'pose'"),
        ({"attention": "hard"}, "unknown attention kind 'hard'"),
        ({"attention": None, "default_attention": None}, "effvit-b0 has no attention kind"),
        ({"hyper": spec_of("b0").hyper | {"dim": 24}}, "dim 24 do not divide a stage of width 64"),
    ],
)
def test_a_spec_that_does_not_fit_is_refused(update: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message), torch.device("meta"):
        zoo.create(spec_of("b0").model_copy(update=update))


@pytest.mark.parametrize(
    ("update", "problem"),
    [
        ({"design": "x"}, "design: input should be 'b', 'l' or 'xl'"),
        ({"dim": "x"}, "dim: input should be a valid integer"),
        ({"dim": True}, "dim: input should be a valid integer"),
        ({"dim": 16.0}, "dim: input should be a valid integer"),
        ({"dim": 0}, "dim: input should be greater than 0"),
        ({"classes": -1}, "classes: input should be greater than 0"),
        ({"classes": 10**12}, "classes: input should be less than or equal to 1048576"),
        ({"head": [1024]}, "head: .* at least 2 items"),
        ({"head": [1024, 1280, 1]}, "head: .* at most 2 items"),
        ({"width": [8, 16, 32, 64]}, "width: design b has 5 stages, and here are 4"),
        ({"design": "xl"}, "width: design xl has 6 stages, and here are 5; depth: "),
        ({"width": [8, 16, 0, 64, 128]}, r"width\.2: input should be greater than 0"),
        ({"width": 8}, "width: input should be a valid tuple"),
        ({"depth": [1, 2, 2, 2, 2, 2]}, "depth: design b has 5 stages, and here are 6"),
        ({"depth": [1, 2, 2, -1, 2]}, r"depth\.3: input should be greater than or equal to 0"),
        ({"heads": 3}, "heads: extra inputs are not permitted"),
        ({"dim": 0, "heads": 3}, "dim: .*; heads: "),
    ],
    ids=str,
)
def test_a_hyper_parameter_that_does_not_fit_is_named(update: dict[str, Any], problem: str) -> None:
    spec = spec_of("b0").model_copy(update={"hyper": spec_of("b0").hyper | update})
    with (
        pytest.raises(UsageError, match=f"hyper-parameters of effvit-b0 do not fit.*; {problem}"),
        torch.device("meta"),
    ):
        zoo.create(spec)


def test_missing_hyper_parameters_are_named_by_task() -> None:
    spec = spec_of("b0").model_copy(update={"hyper": {"design": "b"}})
    with pytest.raises(UsageError, match=r"width: field required; .*classes: field required"):
        zoo.create(spec)
    backbone = spec_of("b0").model_copy(update={"task": "backbone"})
    with pytest.raises(UsageError, match="head: extra inputs are not permitted") as caught:
        zoo.create(backbone)
    assert "task 'backbone' takes design, width, depth, dim;" in str(caught.value.hint)
