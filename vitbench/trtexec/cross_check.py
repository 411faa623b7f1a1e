"""Do two programs that time one network agree?"""

from __future__ import annotations

LIMIT = 0.05


def cross_check(parts_ms: float, trtexec_ms: float) -> str | None:
    """Compare the sum of the parts of a request with what trtexec calls its latency.

    Args:
        parts_ms: copy in, computing and copy out as vitbench timed them, in ms.
        trtexec_ms: the same of trtexec, on one stream and without overlap.

    Returns:
        A warning for the record where the two are more than 5 % apart; None where they agree.
    """
    if trtexec_ms <= 0 or parts_ms <= 0:
        return f"trtexec and vitbench cannot be compared: {trtexec_ms:.4g} and {parts_ms:.4g} ms"
    ratio = parts_ms / trtexec_ms
    if abs(ratio - 1) <= LIMIT:
        return None
    return (
        f"trtexec disagrees: it takes {trtexec_ms:.4g} ms for copies and computing, vitbench "
        f"{parts_ms:.4g} ms ({ratio - 1:+.1%}, where {LIMIT:.0%} is allowed)"
    )
