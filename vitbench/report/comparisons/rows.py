"""One row per comparison: its ratio, and both sides with every figure that a report shows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from vitbench.report.comparisons.profiles import SideProfile, from_flat_profile
from vitbench.report.rows import Row, from_flat

if TYPE_CHECKING:
    from vitbench.records.comparison import Comparison


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """One side of a comparison: the row of its record, and what follows from the time that was compared.

    `time_ms` is that time: latency, its compute part, or the time of an image at the best throughput;
    `low_ms` and `high_ms` are its 95 % interval. `gmacs_per_s` and `ns_per_kmac` count the MACs of the
    architecture; `macs_per_byte` and `ran_gmacs_per_s` those of the graph that ran, as `gbytes_per_s` counts
    the bytes that its layers read and write (counted in the graph, not seen on the device's bus). `profile`
    says where the time goes, where that was asked for.
    """

    label: str
    row: Row
    time_ms: float | None
    low_ms: float | None
    high_ms: float | None
    gmacs_per_s: float | None
    ns_per_kmac: float | None
    macs_per_byte: float | None
    ran_gmacs_per_s: float | None
    gbytes_per_s: float | None
    profile: SideProfile | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A way of computing a side: the median of its blocks in ms, whether it passed parity, was chosen."""

    formulation: str
    time_ms: float | None
    fastest_ms: float | None
    slowest_ms: float | None
    blocks: int
    parity_passed: bool
    parity_reason: str | None
    chosen: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Versus:
    """A comparison as reports show it.

    `ratio` is the second side's time over the first's, `speed_up` 1 / ratio. Ends of an interval are None
    where there are too few pairs for any. `tokens` is the grid (height, width).
    """

    id: str
    created_utc: str
    vitbench_version: str
    study: str
    title: str
    part: str
    tokens: tuple[int, int] | None
    status: str
    reasons: tuple[str, ...]
    simulated: bool
    seed: int
    value_is: str
    mismatch: tuple[str, ...]
    macs_ratio: float
    ratio: float | None
    ratio_low: float | None
    ratio_high: float | None
    speed_up: float | None
    speed_up_low: float | None
    speed_up_high: float | None
    confidence: float | None
    pairs: int
    pairs_taken: int
    pairs_invalid: int
    log_ratios: tuple[float, ...]
    sides: tuple[Side, Side]
    candidates: tuple[tuple[Candidate, ...], tuple[Candidate, ...]]
    timings: Mapping[str, float]

    @property
    def count(self) -> int | None:
        """How many tokens."""
        return None if self.tokens is None else self.tokens[0] * self.tokens[1]

    @property
    def labels(self) -> tuple[str, str]:
        """What the sides are called."""
        return self.sides[0].label, self.sides[1].label

    @property
    def target(self) -> str:
        """Where it was measured; both names where the sides differ."""
        return " and ".join(dict.fromkeys(side.row.target for side in self.sides))


def from_comparisons(comparisons: Sequence[Comparison]) -> list[Versus]:
    """Rows of comparisons at hand, in their order."""
    from vitbench.records.index import flatten_comparison

    return [from_flat_comparison(flatten_comparison(comparison)) for comparison in comparisons]


def from_flat_comparison(flat: Mapping[str, Any]) -> Versus:
    """Row of a comparison's flat mapping (`vitbench.records.index.flatten_comparison`)."""
    tokens = flat["row.tokens"]
    first, second = (
        _side(label, side, profile, flat["value_is"])
        for label, side, profile in zip(flat["row.labels"], flat["sides"], flat["profiles"], strict=True)
    )
    sides = (first, second)
    one, other = (tuple(map(_candidate, side)) for side in flat["candidates"])
    return Versus(
        **{name: flat[name] for name in _PLAIN},
        **{name: flat[f"row.{name}"] for name in ("study", "title", "part", "macs_ratio")},
        **_ratio(flat),
        tokens=None if tokens is None else (tokens[0], tokens[1]),
        reasons=_reasons(flat, sides),
        mismatch=tuple(flat["mismatch"]),
        log_ratios=tuple(flat["log_ratios"]),
        pairs_taken=len(flat["log_ratios"]) + flat["pairs_invalid"],
        sides=sides,
        candidates=(one, other),
        timings={name: flat[f"timings.{name}"] for name in TIMINGS},
    )


_PLAIN = (
    *("id", "created_utc", "vitbench_version", "status", "simulated"),
    *("seed", "value_is", "pairs_invalid"),
)
TIMINGS = ("wall_s", "building_s", "loading_s", "warmup_s", "timed_s", "waiting_s")


def _side(label: str, flat: Mapping[str, Any], profile: Mapping[str, Any] | None, value_is: str) -> Side:
    row = from_flat(flat)
    time, low, high = _time(row, value_is)
    per_s = None if not time else 1e3 / time
    # Counts are of a whole inference; the time of one image is compared where throughput is.
    share = 1 / row.batch if row.metric == "throughput" else 1.0
    traffic = row.bytes_read + row.bytes_written
    return Side(
        label=label,
        row=row,
        time_ms=time,
        low_ms=low,
        high_ms=high,
        gmacs_per_s=None if per_s is None else row.macs * share * per_s / 1e9,
        ns_per_kmac=None if time is None or not row.macs else time * 1e6 / (row.macs * share / 1e3),
        macs_per_byte=row.macs_artifact / traffic if traffic else None,
        ran_gmacs_per_s=None if per_s is None else row.macs_artifact * share * per_s / 1e9,
        gbytes_per_s=None if per_s is None else traffic * share * per_s / 1e9,
        profile=from_flat_profile(profile),
    )


def _time(row: Row, value_is: str) -> tuple[float | None, float | None, float | None]:
    """The time that was compared, with its interval where that is known of this very figure."""
    if row.metric == "throughput":
        best = (row.throughput_img_s, row.throughput_high_img_s, row.throughput_low_img_s)
        time, low, high = (None if not value else 1e3 / value for value in best)
        return time, low, high
    if value_is == "latency":
        return row.latency_ms, row.ci_low_ms, row.ci_high_ms
    # The interval is that of the latency wherever there is one.
    return (row.compute_ms, None, None) if row.latency_ms else (row.compute_ms, row.ci_low_ms, row.ci_high_ms)


def _ratio(flat: Mapping[str, Any]) -> dict[str, Any]:
    ratio, low, high = (flat.get(f"ratio.{name}") for name in ("ratio", "low", "high"))
    # Too few pairs for an interval: its ends are 0 and infinite.
    if not low or high is None or high == float("inf"):
        low = high = None
    return {
        "ratio": ratio,
        "ratio_low": low,
        "ratio_high": high,
        "speed_up": 1 / ratio if ratio else None,
        "speed_up_low": 1 / high if high else None,
        "speed_up_high": 1 / low if low else None,
        "confidence": flat.get("ratio.confidence"),
        "pairs": flat.get("ratio.pairs") or 0,
    }


def _reasons(flat: Mapping[str, Any], sides: Sequence[Side]) -> tuple[str, ...]:
    """Why the status is what it is: the comparison's own words, then those of its sides that it has not."""
    own = tuple(flat["reasons"])
    if flat["status"] == "valid":
        return own
    said = "; ".join(own)
    of_sides = [
        f"{side.label}: {reason}" for side in sides for reason in side.row.reasons if reason not in said
    ]
    return (*own, *of_sides)


def _candidate(data: Mapping[str, Any]) -> Candidate:
    from statistics import median

    medians, parity = data["block_medians_ms"], data["parity"]
    return Candidate(
        formulation=", ".join(f"{kind} as {way}" for kind, way in data["formulation"].items()),
        time_ms=median(medians) if medians else None,
        fastest_ms=min(medians, default=None),
        slowest_ms=max(medians, default=None),
        blocks=len(medians),
        parity_passed=parity["passed"],
        parity_reason=parity["reason"],
        chosen=data["chosen"],
    )
