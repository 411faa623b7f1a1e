"""Exact counts of the catalog's networks; the two counters agree on them."""

import csv

import pytest

from tests.support.exported import dynamo_export
from tests.support.models import seeded, spec_of
from vitbench import catalog, zoo
from vitbench.catalog.files import builtin_directory
from vitbench.counting import count_model, count_module, count_onnx
from vitbench.errors import UsageError
from vitbench.zoo.deploy import to_deploy

ROWS = list(csv.DictReader((builtin_directory("models") / "reference_counts.csv").read_text().splitlines()))
COLUMNS = ("params", "params_deploy", "macs", "macs_attention")


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row['model']}-{row['resolution']}")
def test_counts_equal_the_reference_to_the_unit(row: dict[str, str]) -> None:
    spec = catalog.resolve_model(f"{row['model']}:{row['resolution']}")
    counts = count_model(spec)
    assert {column: getattr(counts, column) for column in COLUMNS} == {
        column: int(row[column]) for column in COLUMNS
    }


@pytest.mark.parametrize(
    ("name", "side", "optimize"),
    [
        ("b0", 224, False),
        ("b0", 128, True),
        ("l1-backbone", 64, False),
        ("b0+softmax", 64, False),
        ("b0+sra-softmax", 64, True),
        ("b0+relu-single", 64, False),
    ],
)
def test_module_and_graph_agree(name: str, side: int, optimize: bool) -> None:
    module = to_deploy(seeded(name, side))
    counts = count_module(module, (1, 3, side, side))
    graph = count_onnx(dynamo_export(module, (1, 3, side, side), optimize=optimize))
    assert (graph.macs, graph.macs_attention) == (counts.macs, counts.macs_attention)
    assert graph.params == counts.params
    # An export as it comes still has operators that move bytes for nothing; artifacts are held to 5 %.
    assert graph.bytes_read == pytest.approx(counts.bytes_read, rel=0.25)
    assert graph.bytes_written == pytest.approx(counts.bytes_written, rel=0.25)


@pytest.mark.parametrize("formulation", ["ones-pad", "ones-concat"])
def test_module_and_graph_agree_in_every_formulation(formulation: str) -> None:
    module = to_deploy(seeded("b0", 96))
    zoo.set_formulation(module, {"relu": formulation})
    counts = count_module(module, (2, 3, 96, 96))
    graph = count_onnx(dynamo_export(module, (2, 3, 96, 96), optimize=False))
    assert (graph.macs, graph.macs_attention) == (counts.macs, counts.macs_attention)


def test_reference_macs_are_of_the_textbook_and_artifact_macs_of_what_runs() -> None:
    counts = count_model(spec_of("b1"))
    assert counts.formulation == {"relu": "key-sum"}
    # Heads of 16 channels: the row of ones costs one more product a pixel in the first matmul; the second
    # has its row either way.
    tokens = {"stage 3": (3, 16, 196), "stage 4": (4, 32, 49)}
    rows_of_ones = sum(blocks * heads * pixels * 16 for blocks, heads, pixels in tokens.values())
    assert counts.macs - counts.macs_artifact == rows_of_ones


def test_train_form_runs_as_it_is() -> None:
    spec = spec_of("b0").model_copy(update={"form": "train"})
    counts = count_model(spec)
    assert counts.formulation == {"relu": "ones-pad"}
    assert counts.macs == counts.macs_artifact
    assert counts.bytes_read > count_model(spec_of("b0")).bytes_read


def test_a_batch_multiplies_macs_but_not_parameters() -> None:
    one, four = count_model(spec_of("b1")), count_model(spec_of("b1"), batch=4)
    assert four.params == one.params
    assert (four.macs, four.macs_attention) == (4 * one.macs, 4 * one.macs_attention)
    assert four.peak_activation_bytes == 4 * one.peak_activation_bytes
    assert four.bytes_written == 4 * one.bytes_written
    assert four.bytes_read < 4 * one.bytes_read


def test_memory_follows_the_resolution() -> None:
    small, large = (count_model(spec_of("b1", side)).peak_activation_bytes for side in (224, 2240))
    assert large == 100 * small
    # The widest moment: 64 channels at half resolution before and after the activation, and their input.
    assert small == 4 * (2 * 64 + 16) * 112**2 + 4 * 3 * 224**2


@pytest.mark.parametrize("kind", ["relu", "softmax"])
@pytest.mark.parametrize("side", [10**5, 10**6, 10**9, 10**18])
def test_absurd_resolutions_are_counted_or_refused_but_never_taken(kind: str, side: int) -> None:
    spec = spec_of("b1").model_copy(update={"resolution": (side, side), "attention": kind})
    if side == 10**5 or (side, kind) == (10**6, "relu"):
        assert count_model(spec).peak_activation_bytes > 2**40
    else:
        with pytest.raises(UsageError, match=rf"at {side}x{side} with batch 1 is too large .* GiB"):
            count_model(spec)
