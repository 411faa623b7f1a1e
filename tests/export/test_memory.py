"""The estimate of what an export takes, and the refusal of what does not fit."""

import pytest

from tests.support.models import on_meta, spec_of
from vitbench.catalog.specs import Workload
from vitbench.counting import count_model, count_module
from vitbench.errors import UsageError
from vitbench.export.memory import needed_bytes, refuse_what_does_not_fit


@pytest.mark.parametrize(("name", "side"), [("b0", 64), ("b0", 512), ("l1", 224)])
def test_the_estimate_covers_one_inference_of_the_reference_beside_its_weights(name: str, side: int) -> None:
    counts = count_model(spec_of(name, side))
    reference = count_module(on_meta(name, side), (1, 3, side, side))
    assert needed_bytes(counts) >= 4 * 4 * reference.params + reference.peak_activation_bytes


def test_what_does_not_fit_is_refused_with_both_figures() -> None:
    spec = spec_of("b0", 1024)
    counts = count_model(spec)
    needed = needed_bytes(counts)
    workload = Workload(model=spec, batch=1, precision="fp32", weights="seeded:0")
    refuse_what_does_not_fit(workload, counts, needed)
    with pytest.raises(UsageError) as caught:
        refuse_what_does_not_fit(workload, counts, needed - 1)
    figure = f"{needed / 1e9:,.1f} GB"
    assert f"needs about {figure} of memory, and {figure} are available" in caught.value.message
