"""The client program as a process: every call has a time limit, none goes through a shell."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from typing import IO

GRACE_S = 5.0


@dataclass(frozen=True)
class Answer:
    """What one call of the client program ended with; `timed_out` when it was stopped."""

    code: int
    out: bytes
    err: bytes
    timed_out: bool = False

    @property
    def text(self) -> str:
        """Standard output."""
        return self.out.decode(errors="replace")

    @property
    def complaint(self) -> str:
        """Everything it said, for messages: errors first, since some programs write them to either stream."""
        return "\n".join(
            stream.decode(errors="replace").strip() for stream in (self.err, self.out) if stream.strip()
        )


def converse(
    argv: Sequence[str],
    timeout_s: float,
    *,
    grace_s: float = GRACE_S,
    source: IO[bytes] | None = None,
    sink: IO[bytes] | None = None,
) -> Answer:
    """Run a program with an input that stays open and empty until time is up; stop it `grace_s` later.

    The input ends with this process too, however that ends.

    Args:
        argv: the program and its arguments.
        timeout_s: how long it may take.
        grace_s: how long it may take to end once its input has.
        source: a file it reads instead of the open input.
        sink: a file it writes to, whose content then is no part of the answer.

    Raises:
        OSError: it cannot be started.
    """
    reader, lifeline = os.pipe()
    with os.fdopen(lifeline, "wb", buffering=0) as line:
        try:
            process = subprocess.Popen(
                list(argv),
                stdin=source or reader,
                stdout=sink or subprocess.PIPE,
                stderr=subprocess.PIPE,
            )
        finally:
            os.close(reader)
        with process:
            try:
                try:
                    out, err = process.communicate(timeout=timeout_s)
                    return Answer(process.returncode, out or b"", err)
                except subprocess.TimeoutExpired:
                    line.close()
                out, err = _end(process, grace_s)
                return Answer(process.returncode, out or b"", err, timed_out=True)
            except BaseException:
                process.kill()
                process.wait()  # leaving the block does not, after Ctrl-C
                raise


def _end(process: subprocess.Popen[bytes], grace_s: float) -> tuple[bytes, bytes]:
    try:
        return process.communicate(timeout=grace_s)
    except subprocess.TimeoutExpired:
        process.kill()
        return process.communicate()


def last_line(text: str) -> str:
    """The last line that says something."""
    return next((line.strip() for line in reversed(text.splitlines()) if line.strip()), "")
