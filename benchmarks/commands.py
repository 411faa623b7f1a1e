"""Two commands timed in turn, as whole processes."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Sequence
from statistics import median


def wall_s(command: Sequence[str]) -> float:
    """Wall-clock seconds of one run of a command; its output is read and thrown away.

    Raises:
        subprocess.CalledProcessError: the command failed.
    """
    start = time.perf_counter()
    subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, check=True)
    return time.perf_counter() - start


def median_ratio(command: Sequence[str], against: Sequence[str], runs: int) -> tuple[float, float, float]:
    """Time two commands in turn.

    Args:
        command, against: the two command lines.
        runs: counted runs of each, after one uncounted run of each.

    Returns:
        Median seconds of `command`, median seconds of `against`, and their ratio.
    """
    for uncounted in (command, against):
        wall_s(uncounted)
    pairs = [(wall_s(command), wall_s(against)) for _ in range(runs)]
    ours, theirs = (median(side) for side in zip(*pairs, strict=True))
    return ours, theirs, ours / theirs


def print_verdict(name: str, ours: float, theirs: float, ratio: float, limit: float) -> bool:
    """Print one comparison in a line and say whether it keeps its limit."""
    kept = ratio <= limit
    print(
        f"{name}: {ours * 1e3:.0f} ms against {theirs * 1e3:.0f} ms, "
        f"ratio {ratio:.2f} (limit {limit:g}): {'ok' if kept else 'TOO SLOW'}"
    )
    return kept
