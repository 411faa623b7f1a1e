"""The exact gates: what needs no statistics. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from vitbench.records.gate import Check
from vitbench.records.schema import ArtifactPart, Block, Counts, GraphFacts, Parity
from vitbench.text import count_words

# Formats whose bytes are a function of the network and its exporter.
SIZED_FORMATS = ("onnx", "onnx17", "tflite")
# A page more or less of a process says nothing.
LEAST_MB = 2.0


@dataclass(frozen=True)
class Facts:
    """What is exactly known of one side."""

    counts: Counts
    artifact: ArtifactPart | None
    parity: Parity | None


def compare_facts(baseline: Facts, candidate: Facts) -> tuple[Check, ...]:
    """Compare the sides: growth fails, shrinking is told, and what cannot be compared says why.

    Bytes are compared only where both graphs were written by the same exporter, in a format whose bytes
    depend on nothing else.
    """
    checks = [
        _growth("params", baseline.counts.params_deploy, candidate.counts.params_deploy, ""),
        _growth("macs", baseline.counts.macs_artifact, candidate.counts.macs_artifact, ""),
    ]
    if baseline.artifact is not None and candidate.artifact is not None:
        checks += [
            _bytes(baseline.artifact, candidate.artifact),
            *_graphs(baseline.artifact.graph, candidate.artifact.graph),
        ]
    if candidate.parity is not None:
        checks.append(_parity(baseline.parity, candidate.parity))
    return tuple(checks)


def compare_memory(baseline: Sequence[Block], candidate: Sequence[Block], tolerance: float) -> Check | None:
    """Compare the median of the blocks' peak memory; None where it is known of neither side.

    Growth fails beyond the tolerance (a fraction), and beyond 2 MB.
    """
    peaks = [
        [block.peak_memory_mb for block in blocks if block.peak_memory_mb is not None]
        for blocks in (baseline, candidate)
    ]
    if not any(peaks):
        return None
    if not all(peaks):
        return _one_sided("memory", only_candidate=not peaks[0])
    before, after = (float(median(each)) for each in peaks)
    return Check(
        name="memory",
        baseline=f"{before:.1f} MB",
        candidate=f"{after:.1f} MB",
        passed=after <= max(before * (1 + tolerance), before + LEAST_MB),
        note=(f"{after / before - 1:+.1%}, " if before else "") + f"{tolerance:.0%} is tolerated",
    )


def failed(checks: Sequence[Check]) -> list[Check]:
    """The checks that fail."""
    return [check for check in checks if check.passed is False]


def _growth(name: str, before: int, after: int, unit: str) -> Check:
    change = f"{after - before:+,}" + (f" ({after / before - 1:+.2%})" if before else "")
    return Check(
        name=name,
        baseline=f"{before:,}{unit}",
        candidate=f"{after:,}{unit}",
        passed=after <= before,
        note=None if after == before else change,
    )


def _bytes(before: ArtifactPart, after: ArtifactPart) -> Check:
    check = _growth("bytes", before.bytes, after.bytes, "")
    if before.format != after.format or before.format not in SIZED_FORMATS:
        return check.model_copy(update={"passed": None, "note": f"not compared: {after.format}"})
    if before.exporter != after.exporter:
        why = f"not compared: written by {before.exporter}, then by {after.exporter}"
        return check.model_copy(update={"passed": None, "note": why})
    return check


def _graphs(before: GraphFacts | None, after: GraphFacts | None) -> list[Check]:
    if before is None and after is None:
        return []
    if before is None or after is None:
        return [_one_sided(name, only_candidate=before is None) for name in ("fallback", "partitions")]
    outside = [sum(each.outside.values()) for each in (before, after)]
    fallback = _growth("fallback", outside[0], outside[1], " operators")
    more = {
        name: count - before.outside.get(name, 0)
        for name, count in after.outside.items()
        if count > before.outside.get(name, 0)
    }
    if more:
        # Of one kind more fell back; where in all there are fewer, that is told and no failure.
        told = f"fell back: {count_words(more)}"
        fallback = fallback.model_copy(update={"passed": outside[1] < outside[0], "note": told})
    return [fallback, _growth("partitions", before.partitions, after.partitions, "")]


def _one_sided(name: str, *, only_candidate: bool) -> Check:
    """A check that cannot be made, as one side does not tell: said, not left out."""
    told = ("not known", "known") if only_candidate else ("known", "not known")
    return Check(
        name=name,
        baseline=told[0],
        candidate=told[1],
        passed=None,
        note=f"not compared: not known of the {'baseline' if only_candidate else 'candidate'}",
    )


def _parity(before: Parity | None, after: Parity) -> Check:
    return Check(
        name="parity",
        baseline="passed" if before is not None and before.passed else "not known",
        candidate="passed" if after.passed else "failed",
        passed=after.passed,
        note=None if after.passed else after.reason or "its outputs are not those of its reference",
    )
