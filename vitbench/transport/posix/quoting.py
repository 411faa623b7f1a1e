"""Words for the shell of the device."""

from __future__ import annotations

from collections.abc import Sequence

from vitbench.errors import UsageError


def quote(word: str) -> str:
    """Write one word so that a POSIX shell reads exactly it, whatever characters it holds.

    Every word is quoted, harmless ones too: a bare `if` is a keyword, a bare `A=b` an assignment.

    Raises:
        UsageError: the word holds what no program's argument can hold.
    """
    try:
        encoded = word.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        encoded = b"\0"
    if b"\0" in encoded:
        raise UsageError(
            f"{word!r} cannot be passed to a program on the device",
            "rename it: it holds a character that no argument can hold",
        )
    return "'" + word.replace("'", "'\\''") + "'"


def command_line(argv: Sequence[str]) -> str:
    """A program and its arguments as one line for the shell."""
    return " ".join(quote(word) for word in argv)
