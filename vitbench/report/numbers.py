"""Numbers as text, with as many digits as are known and no more."""

from __future__ import annotations

import math
import textwrap

MISSING = "-"
_MOST_DECIMALS = 6


def with_interval(value: float, low: float | None, high: float | None) -> str:
    """A value with the reach of its interval, both to the digits that two of the reach allow.

    27.4312 in [27.22, 27.64] is `27.43 ± 0.21`. Without an interval, or with an empty one: three digits.
    """
    half = reach(value, low, high)
    if half is None or half <= 0 or not math.isfinite(half):
        return significant(value)
    decimals = _decimals(half, 2)
    return f"{value:.{decimals}f} ± {half:.{decimals}f}"


def bracketed(value: float | None, low: float | None, high: float | None) -> str:
    """A value with both ends of its interval, to the digits that two of half its width allow.

    0.50312 in [0.4971, 0.5107] is `0.503 [0.497, 0.511]`: never more than three decimals, or than three
    digits of a value under 0.1. Without an interval: three digits alone.
    """
    if value is None or low is None or high is None or high <= low:
        return significant(value)
    decimals = min(_decimals((high - low) / 2, 2), max(3, _decimals(abs(value), 3)))
    return f"{value:.{decimals}f} [{low:.{decimals}f}, {high:.{decimals}f}]"


def reach(value: float, low: float | None, high: float | None) -> float | None:
    """The larger distance from the value to an end of its interval; None without an interval.

    Half the width of the interval where the value lies in its middle, more where it does not: the interval
    of a ratio is not symmetric. `value ± reach` always covers the interval.
    """
    return None if low is None or high is None else max(high - value, value - low)


def significant(value: float | None, digits: int = 3) -> str:
    """A value to some significant digits, never in powers of ten unless it is tiny; `-` for None."""
    if value is None:
        return MISSING
    if not math.isfinite(value):
        return str(value)
    if value != 0 and abs(value) < 10**-_MOST_DECIMALS * 10 ** (digits - 1):
        return f"{value:.{digits - 1}e}"
    return f"{value:.{_decimals(abs(value), digits)}f}"


def cells_wide(text: str) -> int:
    """Cells of a terminal that a text takes: two for a wide letter."""
    if text.isascii():
        return len(text)
    from rich.cells import cell_len

    return cell_len(text)


def wrap(text: str, width: int) -> list[str]:
    """Break text between words, and inside of a word only where it is too long for a line."""
    if cells_wide(text) <= width:
        return [text] if text else []
    return textwrap.wrap(text, width, break_on_hyphens=False)


def _decimals(value: float, digits: int) -> int:
    """Decimal places that show `digits` significant digits of a value."""
    if value == 0:
        return digits - 1
    # Rounding can carry into a new digit: 0.0996 to two digits is 0.10.
    rounded = float(f"{value:.{digits - 1}e}")
    return min(max(digits - 1 - math.floor(math.log10(rounded)), 0), _MOST_DECIMALS)
