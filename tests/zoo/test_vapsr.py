"""VapSR: what the original's fixtures do not see."""

from typing import Any

import pytest
from torch import nn

from tests.support.restorers import seeded, spec_of
from vitbench import zoo
from vitbench.errors import UsageError

SIZE = (16, 24)


def test_constants() -> None:
    parts = list(seeded(spec_of("vapsr-x4", SIZE)).modules())
    assert {part.eps for part in parts if isinstance(part, nn.LayerNorm)} == {1e-5}
    assert {part.negative_slope for part in parts if isinstance(part, nn.LeakyReLU)} == {0.1}
    assert {part.approximate for part in parts if isinstance(part, nn.GELU)} == {"none"}


def test_only_the_small_network_has_groups() -> None:
    groups = {
        name: zoo.create(spec_of(name, SIZE)).conv_body.groups
        for name in ("vapsr-x2", "vapsr-x4", "vapsr-s-x4")
    }
    assert groups == {"vapsr-x2": 1, "vapsr-x4": 1, "vapsr-s-x4": 2}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"groups": 5}, "5 groups do not divide the 48 channels"),
        ({"scale": 8}, "scale"),
        ({"inner": 0}, "inner"),
        ({"heads": 1}, "heads"),
    ],
)
def test_bad_hyper_parameters_are_refused(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        zoo.create(spec_of("vapsr-x2", SIZE, **changes))


def test_another_task_is_refused() -> None:
    with pytest.raises(UsageError, match="restoration"):
        zoo.create(spec_of("vapsr-x2", SIZE).model_copy(update={"task": "restoration"}))
