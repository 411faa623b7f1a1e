"""The record of a paired comparison: two sides, the pairs they were measured in, and their ratio."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from vitbench.records.profile import Profile
from vitbench.records.schema import ID_PATTERN, SCHEMA_VERSION, Block, Parity, Part, Record, Status

ValueIs = Literal["latency", "compute"]


class Candidate(Part):
    """One way of computing a side, timed on the device before the comparison; the chosen one is compared.

    `formulation` says how each kind of part is computed. `block_medians_ms` are of short fresh processes, all
    candidates in turn; empty where the candidate failed parity and so cannot be chosen.
    """

    formulation: dict[str, str]
    digest: str
    parity: Parity
    block_medians_ms: tuple[float, ...]
    chosen: bool


class Pair(Part):
    """Two blocks next to each other in time: `blocks` are indices of the first and the second side's blocks.

    `first` is the side that ran first. `log_ratio` = log(datum of the second side / datum of the first);
    where the blocks took turns, the Hodges-Lehmann estimate over log ratios of the medians of their turns.
    `invalid` names the external witness against either block; the pair is then in no ratio.
    """

    first: Literal[0, 1]
    blocks: tuple[int, int]
    log_ratio: float
    invalid: str | None = None


class FinishedPair(Part):
    """A pair with its blocks, as it is kept while the comparison goes on."""

    pair: Pair
    blocks: tuple[Block, Block]


class Ratio(Part):
    """Time of the second side over that of the first: Hodges-Lehmann, exact signed-rank interval.

    Above 1 the second side is slower. `confidence` is the exact one of the interval, at least 0.95; ends are
    infinite where there are too few pairs for any.
    """

    ratio: float
    low: float
    high: float
    confidence: float
    pairs: int


class Timings(Part):
    """Where the wall time of a comparison went, in seconds.

    `building_s`: making artifacts that were not in the cache. `loading_s`: processes, until their model is
    loaded. `warmup_s`: iterations up to the steady state, or the cap. `timed_s`: timed iterations.
    `waiting_s`: for a device to cool down or to come back.
    """

    wall_s: float
    building_s: float
    loading_s: float
    warmup_s: float
    timed_s: float
    waiting_s: float


class StudyRow(Part):
    """Which row of a study a comparison is.

    `study` is shared by all comparisons of one run of the command. `part`: the attention block alone at the
    same width (`block`), at matched MACs (`matched`), whole networks with the kind swapped (`network`), or
    whatever was named (`models`). `tokens` is the grid of the block; `macs_ratio` = MACs of the second side
    over those of the first.
    """

    study: str
    title: str
    part: Literal["block", "matched", "network", "models"]
    labels: tuple[str, str]
    tokens: tuple[int, int] | None
    macs_ratio: float


class Comparison(Part):
    """One paired comparison in one immutable document.

    `value_is` says what was compared: the wall clock of a request, its compute part where copies cannot be
    timed, or the time of an image at the best throughput. `mismatch` lists fields of the protocol that differ
    between the sides and that the user allowed to. Blocks of the sides are in the order they ran. `profiles`
    say where the time of each side goes, None where that was not asked for or cannot be told; making them is
    not in `timings`.
    """

    schema_version: int = SCHEMA_VERSION
    kind: Literal["compare"] = "compare"
    id: Annotated[str, Field(pattern=ID_PATTERN)]
    created_utc: str
    vitbench_version: str
    simulated: bool
    status: Status
    reasons: tuple[str, ...] = ()
    seed: int
    value_is: ValueIs
    mismatch: tuple[str, ...] = ()
    row: StudyRow
    sides: tuple[Record, Record]
    candidates: tuple[tuple[Candidate, ...], tuple[Candidate, ...]] = ((), ())
    pairs: tuple[Pair, ...]
    ratio: Ratio | None
    timings: Timings
    profiles: tuple[Profile | None, Profile | None] = (None, None)
