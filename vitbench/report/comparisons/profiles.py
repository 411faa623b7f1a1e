"""Where the time of one side goes, as reports show it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Operator:
    """All layers of one operator: milliseconds of one inference, share of all layers, how many they are."""

    op_type: str
    ms: float
    share: float | None
    layers: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SideProfile:
    """Time by layer as `vitbench.records.profile.Profile` has it, with the shares of all layers, 0 to 1."""

    runtime: str
    iterations: int
    total_ms: float
    attention_ms: float | None
    attention_share: float | None
    core_ms: float | None
    core_share: float | None
    unattributed_ms: float | None
    unattributed_share: float | None
    operators: tuple[Operator, ...]


def from_flat_profile(flat: Mapping[str, Any] | None) -> SideProfile | None:
    """Profile of a side's flat mapping; None without one."""
    if flat is None:
        return None
    total_ms = flat["total_ms"]

    def share(ms: float | None) -> float | None:
        return None if ms is None or not total_ms else ms / total_ms

    parts = {name: flat[f"{name}_ms"] for name in ("attention", "core", "unattributed")}
    return SideProfile(
        runtime=flat["runtime"],
        iterations=flat["iterations"],
        total_ms=total_ms,
        **{f"{name}_ms": ms for name, ms in parts.items()},
        **{f"{name}_share": share(ms) for name, ms in parts.items()},
        operators=tuple(Operator(**item, share=share(item["ms"])) for item in flat["operators"]),
    )
