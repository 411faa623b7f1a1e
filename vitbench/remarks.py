"""What is said on standard error, beside the data on standard output."""

from __future__ import annotations

import contextlib
import sys


def remark(text: str, *, end: str = "\n") -> None:
    """Print text on standard error.

    Where that is full, or nobody reads it, nothing is lost but the text: what a command found, and its exit
    code, must not hang on a remark.
    """
    with contextlib.suppress(OSError):
        sys.stderr.write(text + end)
        sys.stderr.flush()
