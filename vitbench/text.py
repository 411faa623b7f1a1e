"""Text from elsewhere made safe for a terminal; imports nothing heavy, so that errors can use it."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping

# Characters that steer a terminal or reorder a line; names in a file or a record may come from anywhere.
_UNPRINTABLE = ("Cc", "Cf", "Cs", "Co", "Zl", "Zp")


def clean(text: str) -> str:
    """Text on one line, without characters that steer a terminal or turn the direction of writing."""
    if text.isascii() and text.isprintable():
        return text
    return "".join("?" if unicodedata.category(letter) in _UNPRINTABLE else letter for letter in text)


def clean_lines(text: str) -> str:
    """The same for text of several lines, which stay lines; tabs become spaces."""
    return "\n".join(clean(line.expandtabs()) for line in text.splitlines())


def count_words(counts: Mapping[str, int]) -> str:
    """`12 ADD, 3 CONV_2D`: the most frequent first."""
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return ", ".join(f"{number} {name}" for name, number in ordered)
