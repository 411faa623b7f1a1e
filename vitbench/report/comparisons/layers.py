"""The table of time by layer: what of each side is attention, and which operators take longest."""

from __future__ import annotations

from vitbench.report.comparisons.columns import where
from vitbench.report.comparisons.groups import Group
from vitbench.report.comparisons.profiles import SideProfile
from vitbench.report.numbers import MISSING, significant
from vitbench.report.sheet import SIMULATED, Sheet
from vitbench.text import clean

HEADERS = ("side", "layers ms", "attention ms", "attention", "core", "unattributed", "longest operators")
SHOWN = 3
PROFILED = (
    "each side in a process of its own that noted down the time of every layer ({runtimes}; {iterations} "
    "iterations), which slows layers down: read shares here, and times above"
)
WORDS = (
    "attention: the attention modules with their projections; core: what those modules compute between "
    "their projections; unattributed: layers that the runtime added or renamed, so that their module cannot "
    "be told"
)
ELSEWHERE = "a network from elsewhere does not say which of its layers are attention"


def layer_sheet(group: Group) -> Sheet | None:
    """Lay out the profile of every side that has one; None where none has."""
    found = [
        (where(row), side.label, side.profile) for row in group.rows for side in row.sides if side.profile
    ]
    if not found:
        return None
    profiles = [profile for _, _, profile in found]
    return Sheet(
        watermark=SIMULATED if all(row.simulated for row in group.rows) else None,
        lead=[],
        headers=["tokens" if group.rows[0].tokens else "HxW", *HEADERS],
        right=[False, False, True, True, True, True, True, False],
        cells=[[place, clean(label), *_figures(profile)] for place, label, profile in found],
        statuses=["" for _ in found],
        notes=_notes(profiles),
    )


def _notes(profiles: list[SideProfile]) -> list[str]:
    runtimes = " and ".join(dict.fromkeys(clean(profile.runtime) for profile in profiles))
    least, most = (pick(profile.iterations for profile in profiles) for pick in (min, max))
    iterations = f"{least}" if least == most else f"{least} to {most}"
    known = [profile.attention_ms is not None for profile in profiles]
    return [
        PROFILED.format(runtimes=runtimes, iterations=iterations),
        *([WORDS] if any(known) else []),
        *([ELSEWHERE] if not all(known) else []),
    ]


def _figures(profile: SideProfile) -> list[str]:
    shares = (profile.attention_share, profile.core_share, profile.unattributed_share)
    longest = [f"{clean(each.op_type)} {_percent(each.share)}" for each in profile.operators[:SHOWN]]
    return [
        significant(profile.total_ms),
        significant(profile.attention_ms),
        *map(_percent, shares),
        ", ".join(longest),
    ]


def _percent(share: float | None) -> str:
    return MISSING if share is None else f"{100 * share:.1f} %"
