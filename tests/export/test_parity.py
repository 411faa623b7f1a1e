from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.export.tiny import KEY, manifest
from vitbench.errors import ToolError
from vitbench.export.cache import Artifact, ArtifactCache
from vitbench.export.inputs import made_inputs
from vitbench.export.manifest import InputEntry, Manifest, ParityEntry, TensorEntry
from vitbench.export.parity import check, compare, timed_inputs
from vitbench.records.schema import Parity
from vitbench.runtime.tensors import TensorFile, write_tensor

Array = NDArray[Any]
SHAPE = (3, 8, 8)


def outputs(seed: int, shape: tuple[int, ...] = (1, 10)) -> Array:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def compared(
    expected: Sequence[Array], actual: Sequence[Array], precision: Any = "fp32", name: str = "logits"
) -> Parity:
    pairs = (({name: wanted}, {name: got}) for wanted, got in zip(expected, actual, strict=True))
    return compare(pairs, precision)


def test_equal_outputs_pass() -> None:
    expected = [outputs(seed) for seed in range(3)]
    found = compared(expected, expected)
    assert found.passed
    assert (found.max_diff, found.inputs, found.finite, found.reason) == (0.0, 3, True, None)
    assert found.cosine == pytest.approx(1)
    assert (found.argmax_agreement, found.argmax_counted) == (1.0, 3)


@pytest.mark.parametrize(("share", "passed"), [(0.9e-4, True), (1.1e-4, False)])
def test_fp32_is_held_to_one_ten_thousandth_of_the_largest_magnitude_of_all_inputs(
    share: float, passed: bool
) -> None:
    expected = [np.ones((1, 10)), np.full((1, 10), -20.0)]
    actual = [expected[0].copy(), expected[1]]
    actual[0][0, 3] += share * 20
    found = compared(expected, actual)
    assert found.passed is passed
    assert found.max_diff == pytest.approx(share)
    assert (found.reason is None) is passed
    assert found.tolerance == 1e-4


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_value_that_is_not_finite_fails(bad: float) -> None:
    expected = [outputs(0), outputs(1)]
    actual = [expected[0], expected[1].copy()]
    actual[1][0, 4] = bad
    found = compared(expected, actual)
    assert not found.passed
    assert not found.finite
    assert found.max_diff == 0
    assert found.reason == "1 output values are not finite"


def test_nothing_finite_has_no_difference_and_survives_json() -> None:
    found = compared([outputs(0)], [np.full((1, 10), np.nan)])
    assert not found.passed
    assert found.max_diff is None
    assert Parity.model_validate_json(found.model_dump_json()) == found


def test_nothing_compared_does_not_pass() -> None:
    found = compare([], "fp32")
    assert not found.passed
    assert found.reason == "nothing was compared"


def test_empty_outputs_are_nothing_compared() -> None:
    empty = np.zeros((1, 0, 4))
    found = compared([empty], [empty])
    assert not found.passed
    assert found.reason == "nothing was compared: every output is empty"
    beside = compare([({"a": empty, "b": outputs(0)}, {"a": empty, "b": outputs(0)})], "fp16")
    assert (beside.passed, beside.max_diff) == (True, 0.0)


@pytest.mark.parametrize("shape", [(), (1,), (4, 1), (0, 5)])
@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_logits_without_a_choice_of_classes_decide_nothing(shape: tuple[int, ...], precision: str) -> None:
    values = np.asarray(outputs(0, shape))
    found = compare(
        [({"logits": values, "map": outputs(1)}, {"logits": values, "map": outputs(1)})], precision
    )
    assert found.passed, found.reason
    assert (found.argmax_agreement, found.argmax_counted) == (None, 0)


def test_an_output_of_zeros_matches_only_zeros() -> None:
    zeros = np.zeros((1, 10))
    assert compared([zeros], [zeros]).passed
    assert not compared([zeros], [zeros + 1e-3]).passed


@pytest.mark.parametrize(
    ("actual", "told"),
    [({}, "output 'logits' is missing"), ({"logits": outputs(0, (1, 11))}, "has shape")],
)
def test_outputs_of_another_network_are_an_error(actual: dict[str, Array], told: str) -> None:
    with pytest.raises(ToolError, match=told):
        compare([({"logits": outputs(0)}, actual)], "fp32")


def test_the_worst_of_several_outputs_counts() -> None:
    expected = {"a": np.array([[1.0, 2.0]]), "b": np.array([[100.0, 200.0]])}
    actual = {"a": np.array([[1.0, 2.001]]), "b": expected["b"] + 0.001}
    found = compare([(expected, actual)], "fp32")
    assert not found.passed
    assert found.max_diff == pytest.approx(0.0005)


def test_fp16_allows_two_per_cent() -> None:
    expected = [outputs(seed, (1, 1000)) for seed in range(4)]
    near = [values * np.float32(1.015) for values in expected]
    far = [values * np.float32(1.025) for values in expected]
    assert compared(expected, near, "fp16").passed
    assert not compared(expected, near, "fp32").passed
    found = compared(expected, far, "fp16")
    assert not found.passed
    assert found.tolerance == 2e-2


def test_fp16_needs_the_direction_once_the_mean_is_removed() -> None:
    """A large offset hides a lost signal from the largest difference, not from the cosine."""
    signal = outputs(0, (1, 1000))
    noise = outputs(1, (1, 1000))
    expected, actual = 300 + signal, 300 + signal + noise
    found = compared([expected], [actual], "fp16", name="features")
    assert found.max_diff is not None
    assert found.max_diff < found.tolerance
    assert not found.passed
    assert found.reason is not None
    assert "cosine" in found.reason
    assert compared([expected], [expected + 1.0], "fp16", name="features").cosine == pytest.approx(1)


def test_fp16_counts_decisions_only_where_the_reference_is_clear() -> None:
    """200 places: 100 decided by 1.0 and 100 by 1e-4; every decision by 1e-4 is turned round."""
    expected = np.zeros((1, 2, 20, 10), np.float32)
    expected[:, 0, :10] = 1.0
    expected[:, 0, 10:] = 1e-4
    actual = expected.copy()
    actual[:, 0, 10:] = -1e-4
    found = compared([expected], [actual], "fp16")
    assert found.passed
    assert (found.argmax_counted, found.argmax_agreement) == (100, 1.0)


def test_fp16_decisions_that_flip_where_the_reference_is_clear_fail() -> None:
    """Few clear decisions flip: neither the largest difference nor the cosine sees it, the argmax does."""
    expected = np.zeros((1, 2, 100, 100), np.float32)
    expected[:, 0] = np.linspace(0.01, 0.02, 10_000).reshape(100, 100)
    expected[:, :, 0, 0] = 10.0
    actual = expected.copy()
    actual[:, 0, 50, :] *= -1
    actual[:, 0, 51, :50] *= -1
    found = compared([expected], [actual], "fp16")
    assert found.max_diff is not None
    assert found.max_diff < found.tolerance
    assert found.argmax_counted is not None
    assert found.argmax_counted > 9000
    assert found.argmax_agreement == pytest.approx(1 - 150 / found.argmax_counted)
    assert not found.passed
    assert found.reason is not None
    assert "decisions agree" in found.reason


def test_features_have_no_decisions() -> None:
    found = compared([outputs(0)], [outputs(0)], "fp16", name="features")
    assert (found.argmax_agreement, found.argmax_counted) == (None, 0)
    assert found.passed


class Doubling:
    """A session whose network doubles the mean of every channel, and that counts what lies on the disk."""

    def __init__(self, error: float = 0.0) -> None:
        self.error = error
        self.seen: list[Array] = []
        self.most_files = 0

    def outputs(self, inputs: Sequence[Sequence[TensorFile]], out_dir: Path) -> list[list[TensorFile]]:
        answers = []
        for (given,) in inputs:
            values = given.read()
            self.seen.append(values)
            result = self.network(values) + np.float32(self.error)
            answers.append([write_tensor("logits", result, out_dir / "answer.bin")])
        self.most_files = max(self.most_files, len(list(out_dir.iterdir())))
        return answers

    @staticmethod
    def network(values: Array) -> Array:
        return (2 * values.astype(np.float32).mean(axis=(2, 3))).astype(np.float32)


@pytest.fixture(params=["float32", "float16"])
def artifact(tmp_path: Path, request: pytest.FixtureRequest) -> Artifact:
    """A tiny artifact of a batch of 2, with an image built by hand."""
    dtype = str(request.param)
    built = np.full(SHAPE, 3, np.float32)
    entry = InputEntry(name="input", dtype=dtype, shape=(2, *SHAPE))

    def fill(directory: Path) -> Manifest:
        reference = {
            f"logits.{number}": Doubling.network(made["input"])
            for number, made in enumerate(made_inputs([entry], 9, 5, built, 16))
        }
        np.savez(directory / "reference.npz", **reference)
        np.save(directory / "built.npy", built)
        changes = {
            "inputs": (entry,),
            "outputs": (TensorEntry(name="logits", dtype="float32", shape=(2, 3)),),
            "precision": "fp32" if dtype == "float32" else "fp16",
            "parity": ParityEntry(
                seed=5,
                runs=9,
                images=18,
                reference_file="reference.npz",
                special_file="built.npy",
                special_index=16,
                normaliser_module="attention",
                normaliser_min=0.0,
            ),
        }
        return manifest(directory).model_copy(update=changes)

    return ArtifactCache(tmp_path).get_or_build(KEY, fill)


def test_check_runs_every_input_one_at_a_time(artifact: Artifact) -> None:
    session = Doubling()
    found = check(artifact, session)
    assert found.passed
    assert (found.inputs, found.normaliser_min) == (9, 0.0)
    assert len(session.seen) == 9
    assert {values.dtype.name for values in session.seen} == {artifact.manifest.inputs[0].dtype}
    np.testing.assert_array_equal(session.seen[8][0], np.full(SHAPE, 3))
    assert session.most_files == 2


def test_check_tells_a_wrong_network(artifact: Artifact) -> None:
    found = check(artifact, Doubling(error=0.5))
    assert not found.passed
    assert found.reason is not None
    assert "outputs differ by" in found.reason


def test_the_timed_input_is_the_first_of_the_comparison(artifact: Artifact, tmp_path: Path) -> None:
    (tensor,) = timed_inputs(artifact, tmp_path)
    spec = artifact.manifest.inputs[0]
    assert (tensor.name, tensor.dtype, tensor.shape) == (spec.name, spec.dtype, spec.shape)
    first = next(made_inputs([spec], 1, 5))["input"]
    np.testing.assert_array_equal(tensor.read(), first.astype(spec.dtype))
