"""Which flags a given build of the tool knows: from what it answers to `--help`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from vitbench.benchmark_model.lines import split
from vitbench.benchmark_model.refusals import NoResult, Reason, diagnose, last_lines

Dialect = Literal["tflite", "litert"]

HELP = "--help"
_FLAG = re.compile(r"^\s*--(?P<name>[a-z]\w*)=(?P<default>\S*)\s+(?:u?int\d*|bool|float|double|string)\b")
# Every build of either tool, back to TensorFlow 1.12, has these.
ESSENTIAL = ("graph", "num_runs", "num_threads", "warmup_runs")
# LiteRT's tool chooses an accelerator; TFLite's applies delegates.
_LITERT = ("use_cpu", "use_npu")


@dataclass(frozen=True)
class Flags:
    """The flags of one build with their defaults, and which of the two tools it is."""

    dialect: Dialect
    defaults: Mapping[str, str]

    def knows(self, flag: str) -> bool:
        """Whether the build has a flag, given without its dashes."""
        return flag in self.defaults


def read_help(text: str, returncode: int | None = None) -> Flags:
    """Read the answer to `--help`, which the tool gives on stderr and with status 1.

    Args:
        text: what was printed, both streams.
        returncode: exit status, to tell why there is no listing.

    Raises:
        NoResult: it is no listing of flags: the program could not be started, or is something else.
    """
    lines = split(text).all
    defaults = {match["name"]: match["default"] for match in filter(None, map(_FLAG.match, lines))}
    failure = diagnose(lines, returncode) if not defaults else None
    # A failure that nothing explains is what the listing itself looks like.
    if failure is not None and failure.reason is not Reason.FAILED:
        raise failure
    missing = [flag for flag in ESSENTIAL if flag not in defaults]
    if missing:
        raise NoResult(
            Reason.NO_PROGRAM,
            f"the program is no benchmark_model: its {HELP} does not list --{missing[0]}",
            "name a benchmark_model of TensorFlow Lite or LiteRT",
            tail=last_lines(lines),
        )
    litert = any(flag in defaults for flag in _LITERT)
    return Flags("litert" if litert else "tflite", defaults)
