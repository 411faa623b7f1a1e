"""Does an artifact compute what its reference computes? Comparison, and the check on a device.

Inputs are made of images: 16 seeded ones (fewer for a large network, see `inputs.seeded_images`), then one
that was built to drive a normaliser to zero, for a network that has one. A batch larger than 1 packs several
images into an input and is filled up with further seeded images, so that every place of the batch is seen.
"""

from __future__ import annotations

import math
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

import numpy as np

from vitbench.errors import ToolError
from vitbench.export.cache import Artifact
from vitbench.export.inputs import Array, made_inputs, zero_inputs
from vitbench.export.manifest import InputEntry
from vitbench.records.schema import Parity, Reference
from vitbench.runtime.tensors import TensorFile, write_tensor

FP32_TOLERANCE = 1e-4
FP16_TOLERANCE = 2e-2
FP16_COSINE = 0.999
FP16_AGREEMENT = 0.99
DECISIONS = "logits"  # the output whose axis 1 holds classes, two or more

Precision = Literal["fp32", "fp16"]


class OutputsSession(Protocol):
    """The part of an agent session that parity needs: run the loaded model on sets of inputs."""

    def outputs(self, inputs: Sequence[Sequence[TensorFile]], out_dir: Path) -> list[list[TensorFile]]:
        """Outputs for each set of inputs, as files in `out_dir`."""


@dataclass
class _Running:
    """What is kept of one output while its inputs pass by."""

    decides: bool
    difference: float = 0.0
    absmax: float = 0.0
    cosine: float = 1.0
    finite: int = 0
    not_finite: int = 0
    agreed: int = 0
    counted: int = 0

    def add(self, expected: Array, actual: Array) -> None:
        wanted, got = expected.astype(np.float64), actual.astype(np.float64)
        finite = np.isfinite(got)
        self.finite += int(finite.sum())
        self.not_finite += int(finite.size - finite.sum())
        self.absmax = max(self.absmax, float(np.abs(wanted).max(initial=0.0)))
        self.difference = max(self.difference, float(np.abs(got - wanted)[finite].max(initial=0.0)))
        if finite.size and finite.all():
            self.cosine = min(self.cosine, _cosine(wanted, got))
            decides = self.decides and wanted.ndim > 1 and wanted.shape[1] > 1
            agreed, counted = _agreement(wanted, got) if decides else (0, 0)
            self.agreed, self.counted = self.agreed + agreed, self.counted + counted


def compare(
    pairs: Iterable[tuple[Mapping[str, Array], Mapping[str, Array]]],
    precision: Precision,
    *,
    normaliser_min: float | None = None,
    reference: Reference = "pytorch",
) -> Parity:
    """Compare outputs with their reference, input by input; nothing is kept of an input that has passed.

    fp32: max |difference| / absmax <= 1e-4. fp16: that ratio <= 2e-2; cosine of the outputs, each with
    its mean removed, >= 0.999 for every input; and the argmax over the classes of `logits` equal in 99 %
    of the places where the two largest values of the reference are further apart than twice the root mean
    square of the difference. (Twice the *largest* difference would make the argmax equal by itself.)
    Always: every value finite.

    Args:
        pairs: for each input, reference outputs and the artifact's outputs by name. The largest difference
            and absmax of an output are taken over all inputs; the worst output counts.
        normaliser_min: smallest normaliser that the inputs reach, for the record.
        reference: whose outputs the reference ones are, for the record.

    Raises:
        ToolError: an output is missing or of another shape, so another network ran.
    """
    running: dict[str, _Running] = {}
    inputs = 0
    for expected, actual in pairs:
        inputs += 1
        for name, wanted in expected.items():
            got = actual.get(name)
            if got is None or got.shape != wanted.shape:
                found = "is missing" if got is None else f"has shape {got.shape}, not {wanted.shape}"
                raise ToolError(
                    f"output '{name}' {found}", "the runtime ran another network than the exported one"
                )
            running.setdefault(name, _Running(name == DECISIONS)).add(wanted, got)
    verdict = _verdict(running, inputs, precision)
    return verdict.model_copy(update={"normaliser_min": normaliser_min, "reference": reference})


def _verdict(running: Mapping[str, _Running], inputs: int, precision: Precision) -> Parity:
    outputs = running.values()
    tolerance = FP32_TOLERANCE if precision == "fp32" else FP16_TOLERANCE
    # An output that is zero everywhere matches only zero.
    ratios = [
        each.difference / each.absmax if each.absmax else each.difference for each in outputs if each.finite
    ]
    max_diff = max(ratios, default=None)
    cosine = min((each.cosine for each in outputs), default=None)
    counted = sum(each.counted for each in outputs)
    agreement = sum(each.agreed for each in outputs) / counted if counted else None
    not_finite = sum(each.not_finite for each in outputs)
    reasons = []
    if not any(each.finite + each.not_finite for each in outputs):
        reasons.append("nothing was compared: every output is empty" if inputs else "nothing was compared")
    if not_finite:
        reasons.append(f"{not_finite} output values are not finite")
    if max_diff is not None and max_diff > tolerance:
        reasons.append(f"outputs differ by {max_diff:.2g} of their largest magnitude (limit {tolerance:g})")
    if precision == "fp16" and cosine is not None and cosine < FP16_COSINE:
        reasons.append(f"cosine of the outputs is {cosine:.5f} (limit {FP16_COSINE})")
    if precision == "fp16" and agreement is not None and agreement < FP16_AGREEMENT:
        reasons.append(f"{agreement:.1%} of {counted} decisions agree (limit {FP16_AGREEMENT:.0%})")
    return Parity(
        passed=not reasons,
        max_diff=max_diff,
        tolerance=tolerance,
        inputs=inputs,
        finite=not not_finite,
        normaliser_min=None,
        cosine=cosine,
        argmax_agreement=agreement,
        argmax_counted=counted,
        reason="; ".join(reasons) or None,
    )


def _cosine(wanted: Array, got: Array) -> float:
    first, second = (values.ravel() - values.mean() for values in (wanted, got))
    scale = float(np.linalg.norm(first) * np.linalg.norm(second))
    return float(first @ second) / scale if scale else float(np.array_equal(first, second))


def _agreement(wanted: Array, got: Array) -> tuple[int, int]:
    """Places whose argmax over axis 1 agrees, and places that are clear enough to be counted."""
    error = math.sqrt(float(np.mean((got - wanted) ** 2)))
    second, first = np.moveaxis(np.partition(wanted, -2, axis=1)[:, -2:], 1, 0)
    clear = first - second > 2 * error
    same = wanted.argmax(axis=1) == got.argmax(axis=1)
    return int((same & clear).sum()), int(clear.sum())


def timed_inputs(artifact: Artifact, directory: Path) -> list[TensorFile]:
    """Write the inputs of the first inference as raw files in a directory: what an artifact is timed on."""
    described = artifact.manifest.inputs
    (made,) = made_inputs(described, 1, artifact.manifest.parity.seed)
    return _write(described, made, directory)


def check(artifact: Artifact, session: OutputsSession) -> Parity:
    """Run an artifact that a session has loaded on the inputs of the comparison.

    One inference's inputs at a time travel to the device and back, so that memory and disk hold no more.

    Raises:
        ToolError: the runtime failed, or ran another network.
    """
    manifest, entry = artifact.manifest, artifact.manifest.parity
    special = np.load(artifact.path / entry.special_file) if entry.special_file else None
    given = made_inputs(manifest.inputs, entry.runs, entry.seed, special, entry.special_index)
    with (
        np.load(artifact.path / entry.reference_file) as reference,
        tempfile.TemporaryDirectory(prefix="vitbench-parity-") as scratch,
    ):

        def pairs() -> Iterator[tuple[dict[str, Array], dict[str, Array]]]:
            for number, made in enumerate(given):
                expected = {tensor.name: reference[f"{tensor.name}.{number}"] for tensor in manifest.outputs}
                yield expected, _run(session, manifest.inputs, made, Path(scratch))

        found = compare(
            pairs(), manifest.precision, normaliser_min=entry.normaliser_min, reference=entry.reference
        )
    zeros = zero_inputs(manifest.inputs)
    if not zeros or not found.passed:
        return found
    once = " once only" if len(zeros) == len(manifest.inputs) else ""
    note = f"compared{once} with zeros in {', '.join(zeros)}: which values may stand there is not known"
    return found.model_copy(update={"reason": note})


def _run(
    session: OutputsSession, described: Sequence[InputEntry], made: Mapping[str, Array], scratch: Path
) -> dict[str, Array]:
    given = _write(described, made, scratch)
    (files,) = session.outputs([given], scratch)
    outputs = {file.name: file.read() for file in files}
    for file in [*given, *files]:
        file.path.unlink()
    return outputs


def _write(described: Sequence[InputEntry], made: Mapping[str, Array], directory: Path) -> list[TensorFile]:
    """Write one inference's inputs, in the types that the graph takes."""
    return [
        write_tensor(each.name, made[each.name].astype(each.dtype), directory / f"input-{position}.bin")
        for position, each in enumerate(described)
    ]
