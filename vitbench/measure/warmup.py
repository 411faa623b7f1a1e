"""When a process has warmed up."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from vitbench.measure.plan import Pace
from vitbench.stats.robust import theil_sen_slope

STEADY_WINDOWS = 3
JUDGED_WINDOWS = STEADY_WINDOWS + 1
MEDIAN_CHANGE = 0.01
QUARTILE_CHANGE = 0.05
DRIFT = 0.01


def is_steady(total_ns: Sequence[int], window: int) -> bool:
    """Whether the last three windows of iterations, each against the one before it, stopped changing.

    For each of them |median / median before - 1| <= 1 % and |upper quartile / upper quartile before - 1|
    <= 5 %; and the Theil-Sen slope over the three, times their length, is within 1 % of their median.
    The first of them needs a window before it, so this is False for fewer than four windows.

    Args:
        total_ns: iterations of the warm-up so far, in the order they ran; windows are counted from the end.
        window: iterations a window.
    """
    if len(total_ns) < JUDGED_WINDOWS * window:
        return False
    recent = np.asarray(total_ns[-JUDGED_WINDOWS * window :], dtype=np.float64)
    parts = recent.reshape(JUDGED_WINDOWS, window)
    medians, quartiles = np.percentile(parts, (50, 75), axis=1)
    for each, most in ((medians, MEDIAN_CHANGE), (quartiles, QUARTILE_CHANGE)):
        if np.abs(each[1:] / each[:-1] - 1).max() > most:
            return False
    judged = recent[window:]
    return abs(theil_sen_slope(judged)) * len(judged) <= DRIFT * float(np.median(judged))


def warmup_ended(total_ns: Sequence[int], elapsed_s: float, pace: Pace) -> bool | None:
    """None to go on, True when steady, False at the cap. The cap wins over the minima.

    Args:
        total_ns: iterations so far.
        elapsed_s: the time they took, on the device's clock.
        pace: what the warm-up follows.
    """
    enough = len(total_ns) >= pace.min_iterations and elapsed_s >= pace.min_s
    if enough and is_steady(total_ns, pace.window):
        return True
    return False if elapsed_s >= pace.cap_s else None
