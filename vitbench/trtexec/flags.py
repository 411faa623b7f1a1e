"""What a given trtexec is: its version and the flags it knows, from what it answers to `--help`."""

from __future__ import annotations

import re
from dataclasses import dataclass

from vitbench.benchmark_model.lines import split
from vitbench.benchmark_model.refusals import last_lines
from vitbench.trtexec.refusals import NoResult, Reason, diagnose
from vitbench.trtexec.version import Version, find_version

HELP = "--help"
# What the imitation of the tests says of itself, so that nothing it tells is taken for a measurement.
STAND_IN = "vitbench stand-in"
OLDEST = Version(8, 0)
_FLAG = re.compile(r"^\s*--(?P<name>[A-Za-z]\w*)")
ESSENTIAL = ("onnx", "saveEngine", "loadEngine", "exportTimes", "iterations", "exposeDMA")


@dataclass(frozen=True)
class Tool:
    """A trtexec on a device. `simulated`: whether it is an imitation, whose figures are none."""

    program: str
    version: Version
    flags: frozenset[str]
    simulated: bool = False

    def knows(self, flag: str) -> bool:
        """Whether it has a flag, given without its dashes."""
        return flag in self.flags


def read_help(program: str, text: str, returncode: int | None = None) -> Tool:
    """Read the answer to `--help`.

    Args:
        program: its path on the device.
        text: what was printed, both streams.
        returncode: exit status, to tell why there is no listing.

    Raises:
        NoResult: the program could not be started, is something else, or is of TensorRT 7 or older.
    """
    lines = split(text).all
    flags = frozenset(match["name"] for match in filter(None, map(_FLAG.match, lines)))
    missing = [flag for flag in ESSENTIAL if flag not in flags]
    if missing and (returncode or not flags):
        raise diagnose(lines, returncode)
    if missing:
        raise NoResult(
            Reason.NO_PROGRAM,
            f"{program} is no trtexec: its {HELP} does not list --{missing[0]}",
            "name the path of trtexec as the target's option `trtexec`",
            tail=last_lines(lines),
        )
    version = find_version(lines)
    if version is None or version < OLDEST:
        told = "no version of its own" if version is None else f"TensorRT {version}"
        raise NoResult(
            Reason.OLD_LAYOUT,
            f"{program} is too old: it tells {told}, and vitbench reads TensorRT 8 and newer",
            "update the board's TensorRT (JetPack)",
            tail=last_lines(lines),
        )
    return Tool(program, version, flags, any(STAND_IN in line for line in lines))
