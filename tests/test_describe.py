"""What is known of a model, beside what was published."""

from __future__ import annotations

import pytest

from vitbench import catalog, describe
from vitbench.catalog.specs import Published


@pytest.mark.parametrize(("size", "compared"), [(None, True), ((224, 224), True), ((288, 288), False)])
def test_macs_of_no_stated_resolution_are_of_the_published_one(
    size: tuple[int, int] | None, compared: bool
) -> None:
    spec = catalog.resolve_model("effvit-b1", resolution=size)
    family, variant = catalog.find_variant("effvit", "b1")
    figure = Published(params_m=9.0, macs_g=0.5, source=next(iter(family.sources)))
    silent = variant.model_copy(update={"published": (figure,)})
    (described,) = describe._published(spec, family, silent, {"params": 9_000_000, "macs": 10**9})
    assert described["params_difference"] == 0
    assert described["macs_difference"] == (1 if compared else None)
