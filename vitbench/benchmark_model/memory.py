"""The peak of the tool's memory, where its log tells one."""

from __future__ import annotations

import re
from collections.abc import Sequence

_NUMBER = r"\d+(?:\.\d*)?(?:e[+-]?\d+)?"
_PEAKS = (
    re.compile(
        rf"overall peak memory footprint \(MB\) via periodic monitoring:\s*(?P<mb>{_NUMBER})$", re.IGNORECASE
    ),
    re.compile(rf"\bpeak memory:\s*(?P<mb>{_NUMBER}) MB$", re.IGNORECASE),
    # TF 2.2 to 2.4: the growth of the largest resident size since the tool began.
    re.compile(
        rf"^(?:.*[:\]]\s*)?peak memory footprint \(MB\):.*\boverall=(?P<mb>{_NUMBER})$", re.IGNORECASE
    ),
)


def peak_memory_mb(lines: Sequence[str]) -> float | None:
    """Largest resident size, in units of 2**20 bytes; None where the log does not tell.

    What newer tools call the memory footprint is the growth at the end, and no peak.
    """
    for pattern in _PEAKS:
        for line in lines:
            if (match := pattern.search(line)) and float(match["mb"]) > 0:
                return float(match["mb"])
    return None
