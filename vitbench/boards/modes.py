"""Power modes of a Jetson: which one lets it run fastest."""

from __future__ import annotations

import re
from collections.abc import Mapping

BEST = "MAXN"


def highest_mode(modes: Mapping[str, str]) -> tuple[str, str] | None:
    """Number and name of the highest power mode; None where the board does not list them.

    `MAXN`, of several the one that says more (`MAXN_SUPER`); else that of the most watts.

    Args:
        modes: names by number, as a board lists them.
    """
    unlimited = [mode for mode in modes.items() if mode[1].startswith(BEST)]
    if unlimited:
        return max(unlimited, key=lambda mode: len(mode[1]))
    return max(modes.items(), key=lambda mode: _watts(mode[1]), default=None)


def is_highest(mode: str, modes: Mapping[str, str]) -> bool:
    """Whether a mode is the highest; by its name alone where the board does not list them."""
    best = highest_mode(modes)
    return mode.startswith(BEST) if best is None else mode == best[1]


def _watts(name: str) -> float:
    """The watts in a name: `15W`, `MODE_30W_2CORE`; 0 without."""
    found = re.search(r"(\d+)W", name)
    return float(found[1]) if found else 0.0
