"""The errors a user can meet, each with the exit code and the next step."""

from __future__ import annotations

from collections.abc import Iterable
from enum import IntEnum

from vitbench.text import clean_lines


class ExitCode(IntEnum):
    """Exit codes of the whole command line."""

    OK = 0
    REGRESSION = 1
    USAGE = 2
    INCONCLUSIVE = 3
    UNREACHABLE = 4
    TOOL = 5
    BUG = 101
    INTERRUPTED = 130


def worst(codes: Iterable[int], *, allow_inconclusive: bool = False) -> int:
    """The highest of the exit codes of several cells; 0 of none. With `allow_inconclusive` a 3 is a 0.

    Code by code: what is allowed must not hide the 2 of another cell, which is less than a 3.
    """
    allowed = {ExitCode.INCONCLUSIVE} if allow_inconclusive else set()
    return max((int(code) for code in codes if code not in allowed), default=int(ExitCode.OK))


class VitbenchError(Exception):
    """What happened, and what to do next.

    Args:
        message: what happened and to what, lower case, no full stop.
        hint: the next step, or None when there is none to give.
    """

    exit_code = ExitCode.BUG

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def explain(self) -> str:
        """The message, the last lines of a tool that failed, and the next step, as a user reads them.

        What would steer a terminal is replaced: all three may quote files and programs.
        """
        lines = [clean_lines(f"error: {self.message}")]
        if tail := getattr(self, "tail", ""):
            lines += ["", *(f"  | {line}" for line in clean_lines(tail).splitlines())]
        if self.hint:
            lines += ["", clean_lines(f"hint: {self.hint}")]
        return "\n".join(lines)


class UsageError(VitbenchError):
    """Wrong arguments, configuration, or a file that cannot be read or written."""

    exit_code = ExitCode.USAGE


class TargetUnreachable(VitbenchError):
    """The link to the device is missing or was lost.

    Args:
        transient: True where trying again can help (a dropped link), False where it cannot.
    """

    exit_code = ExitCode.UNREACHABLE

    def __init__(self, message: str, hint: str | None = None, *, transient: bool = False) -> None:
        super().__init__(message, hint)
        self.transient = transient


class ToolError(VitbenchError):
    """A program on the device failed; `tail` holds its last lines."""

    exit_code = ExitCode.TOOL

    def __init__(self, message: str, hint: str | None = None, *, tail: str = "") -> None:
        super().__init__(message, hint)
        self.tail = tail


class OutOfMemory(ToolError):
    """The device has not enough memory for what it was to run."""


class ParityError(VitbenchError):
    """The artifact does not compute what the PyTorch module computes."""

    exit_code = ExitCode.INCONCLUSIVE


class MeasurementInvalid(VitbenchError):
    """A measurement was taken but cannot be trusted."""

    exit_code = ExitCode.INCONCLUSIVE


def of_system(error: OSError) -> UsageError:
    """What the system refused and no command has words for: a full disk, a directory that is gone."""
    what = f"{error.filename}: " if error.filename else ""
    return UsageError(
        f"cannot go on: {what}{error.strerror or error}",
        "mend that, for example by making room or by writing elsewhere",
    )
