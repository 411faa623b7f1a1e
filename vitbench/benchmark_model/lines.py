"""Lines of a log, whatever carried them here: a terminal, a pipe, or Android's log."""

from __future__ import annotations

import re
from dataclasses import dataclass

# No line of the tool is as long; what is would only keep the patterns busy.
LONGEST = 2000
CUT = " ..."
_ANSI = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-Z\\-_])")
_BREAK = re.compile(r"\r*\n|\r+")


@dataclass(frozen=True)
class Lines:
    """Whole lines, and what follows the last line break: an end that may have been cut anywhere."""

    whole: tuple[str, ...]
    rest: str

    @property
    def all(self) -> tuple[str, ...]:
        """Every line, the last one whether it is whole or not."""
        return (*self.whole, self.rest) if self.rest.strip() else self.whole


def split(text: str) -> Lines:
    """Cut a text into lines without escape sequences, whatever ends them.

    The end of a line that is far too long is lost, and shows as such.
    """
    *whole, rest = map(_shorten, _BREAK.split(_ANSI.sub("", text).replace("\0", "")))
    return Lines(tuple(line.rstrip() for line in whole), rest)


def together(stdout: str, stderr: str, returncode: int = 0) -> str:
    """Both streams of a program as one text.

    Where it went well, stdout with the figures comes last, so that a text that is cut stays one that is cut;
    where it failed, stderr with the reason.
    """
    if not stderr.strip():
        return stdout
    return f"{stderr}\n{stdout}" if returncode == 0 else f"{stdout}\n{stderr}"


def _shorten(line: str) -> str:
    return line if len(line) <= LONGEST else line[:LONGEST] + CUT
