"""Find the artifact of a baseline: at hand, on its shelf, or rebuilt from the commit it was made of."""

from __future__ import annotations

import time
from dataclasses import dataclass

from vitbench.errors import MeasurementInvalid, UsageError
from vitbench.export import Artifact, ArtifactCache
from vitbench.export.manifest import DamagedArtifact
from vitbench.gate.baseline import BaselineCell
from vitbench.gate.request import GateRequest
from vitbench.gate.shelf import Missing, Shelf
from vitbench.pipeline.bench import Bench
from vitbench.pipeline.rebuild import CannotRebuild, rebuild


@dataclass(frozen=True)
class Found:
    """The artifact of a baseline, and what a reader should know of where it came from."""

    artifact: Artifact
    notes: tuple[str, ...] = ()


def find_reference(saved: BaselineCell, request: GateRequest, candidate: Artifact, bench: Bench) -> Found:
    """The artifact of a baseline, byte for byte.

    Looked for as the candidate's own (nothing that runs has changed), in the cache, on the shelf, and rebuilt
    from the commits that the baseline is pinned to.

    Raises:
        MeasurementInvalid: it is nowhere; the message says what was tried.
    """
    if candidate.digest == saved.digest:
        return Found(candidate)
    if (cached := _cached(saved, bench.cache)) is not None:
        return Found(cached)
    try:
        if saved.archive is None:
            raise Missing("the baseline names no archive of it")
        return Found(Shelf(request.shelf).get(saved.digest, saved.archive, bench.scratch()))
    except (Missing, UsageError) as missing:
        why = str(missing)
    bench.progress.stage(saved.label, "rebuilding the artifact of the baseline")
    begin = time.perf_counter()
    try:
        built = rebuild(saved, saved.sources or request.baseline.sources, bench.scratch())
    except CannotRebuild as refusal:
        raise MeasurementInvalid(
            f"the artifact of the baseline of {saved.label} is missing: {why}; "
            f"it cannot be rebuilt: {refusal}",
            "bring its archive back (--artifacts says where from), or save the baseline anew",
        ) from None
    finally:
        bench.spent.building_s += time.perf_counter() - begin
    return Found(built, (f"the artifact of the baseline was rebuilt: {why}",))


def _cached(saved: BaselineCell, cache: ArtifactCache) -> Artifact | None:
    if saved.key is None:
        return None
    try:
        found = cache.get(saved.key)
    except DamagedArtifact:
        return None
    return found if found is not None and found.digest == saved.digest else None
