"""The estimate of what an export takes, and the refusal of what does not fit."""

from dataclasses import replace

import pytest

from tests.support.models import on_meta, spec_of
from vitbench.catalog.specs import Workload
from vitbench.counting import count_model, count_module
from vitbench.errors import UsageError
from vitbench.export.memory import needed_bytes, refuse_what_does_not_fit


def workload_of(name: str, side: int, batch: int = 1) -> Workload:
    return Workload(model=spec_of(name, side), batch=batch)


@pytest.mark.parametrize(("name", "side"), [("b0", 64), ("b0", 512), ("l1", 224), ("b0+softmax", 512)])
def test_the_estimate_covers_one_inference_of_the_reference_beside_its_weights(name: str, side: int) -> None:
    counts = count_model(spec_of(name, side))
    reference = count_module(on_meta(name, side), (1, 3, side, side))
    assert counts.peak_reference_bytes == reference.peak_activation_bytes
    needed = needed_bytes(counts, workload_of(name, side))
    assert needed >= 4 * 4 * reference.params + reference.peak_activation_bytes


def test_gradients_take_what_is_computed_before_the_normaliser_of_one_crop() -> None:
    """Seen on b1 at 512x1024: 0.86 GB where 0.53 GB are computed before it."""
    small, large = (count_model(spec_of("b1", side)) for side in (1024, 2048))
    assert small.before_normaliser_bytes > 2 * small.peak_reference_bytes
    assert large.before_normaliser_bytes == 4 * small.before_normaliser_bytes
    assert count_model(spec_of("b1+softmax", 1024)).before_normaliser_bytes == 0
    without_gradients = replace(small, before_normaliser_bytes=0)
    more = needed_bytes(small, workload_of("b1", 1024)) - needed_bytes(
        without_gradients, workload_of("b1", 1024)
    )
    assert more == round(1.5 * (small.before_normaliser_bytes - small.peak_reference_bytes))
    for side, batch in ((2048, 1), (1024, 4)):
        workload = workload_of("b1", side, batch)
        counts = replace(count_model(workload.model, batch), peak_activation_bytes=0, peak_reference_bytes=0)
        assert needed_bytes(counts, workload) == needed_bytes(small, workload_of("b1", 1024))


def test_weights_in_a_file_of_their_own_are_never_there_four_times() -> None:
    workload, counts = workload_of("b0", 64), count_model(spec_of("b0", 64))
    inside, outside = (replace(counts, params=params) for params in (470_000_000, 480_000_000))
    assert needed_bytes(inside, workload) - needed_bytes(counts, workload) == 16 * (
        470_000_000 - counts.params
    )
    assert needed_bytes(outside, workload) < needed_bytes(inside, workload)


def test_what_does_not_fit_is_refused_with_both_figures() -> None:
    spec = spec_of("b0", 1024)
    counts = count_model(spec)
    workload = Workload(model=spec)
    needed = needed_bytes(counts, workload)
    refuse_what_does_not_fit(workload, counts, needed)
    with pytest.raises(UsageError) as caught:
        refuse_what_does_not_fit(workload, counts, needed - 1)
    figure = f"{needed / 1e9:,.1f} GB"
    assert f"needs about {figure} of memory, and {figure} are available" in caught.value.message
