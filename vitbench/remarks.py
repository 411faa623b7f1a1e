"""What is said on standard error, beside the data on standard output."""

from __future__ import annotations

import contextlib
import io
import sys


def remark(text: str, *, end: str = "\n") -> None:
    """Print text on standard error.

    Where that is full, or nobody reads it, nothing is lost but the text: what a command found, and its exit
    code, must not hang on a remark.
    """
    Remarks().write(text + end)


class Remarks(io.TextIOBase):
    """Standard error as it is now, for code of others that prints: it takes everything, as `remark` does."""

    def __init__(self) -> None:
        self._stream = sys.stderr

    def writable(self) -> bool:
        """Always."""
        return True

    def isatty(self) -> bool:
        """Whether standard error is a terminal."""
        return self._stream.isatty()

    def fileno(self) -> int:
        """The descriptor of standard error.

        Raises:
            OSError: it has none.
        """
        return self._stream.fileno()

    def write(self, text: str, /) -> int:
        """Print text; the number of its characters."""
        with contextlib.suppress(OSError):
            self._stream.write(text)
            self._stream.flush()
        return len(text)
