"""Which TensorRT a `trtexec` is of: from the banner that it prints first and last."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal, cast

from vitbench.benchmark_model.lines import CUT

Banner = Literal["RUNNING", "PASSED", "FAILED", "WAIVED"]

# Whoever kept a log may have put a time or a name before each line.
_BANNER = re.compile(
    r"(?:^|[\s|>\]])&&&& (?P<what>RUNNING|PASSED|FAILED|WAIVED) TensorRT\.trtexec\b"
    r"(?:\s*\[TensorRT v(?P<version>[\d.]+)\])?(?:\s*\[b(?P<build>\d+)\])?(?:\s*#\s*(?P<command>.*))?"
)
_LINE = re.compile(r"\bTensorRT version:\s*(?P<version>\d+(?:\.\d+){1,3})\s*$")


@dataclass(frozen=True, order=True)
class Version:
    """A version of TensorRT; `build` is None where it is not told, and decides nothing."""

    major: int
    minor: int
    patch: int = 0
    build: int | None = field(default=None, compare=False)

    def __str__(self) -> str:
        return f"{self.major}.{self.minor}.{self.patch}"


@dataclass(frozen=True)
class BannerLine:
    """One line of the form `&&&& PASSED TensorRT.trtexec [TensorRT v8601] # ...`.

    `version` is None where it is not told, as before TensorRT 8, or makes no sense. `command` is what follows
    the `#`: the command line, the same in all banners of a run.
    """

    what: Banner
    version: Version | None
    command: str = ""

    def may_be_of_run(self, other: BannerLine) -> bool:
        """Whether two banners may be of one run; long lines are cut, and those of a kept log broken."""
        known = [banner.version for banner in (self, other) if banner.version is not None]
        first, second = (banner.command.removesuffix(CUT).strip() for banner in (self, other))
        return len(set(known)) <= 1 and (first.startswith(second) or second.startswith(first))


def read_banner(line: str) -> BannerLine | None:
    """Read a banner; None where the line is none."""
    match = _BANNER.search(line)
    if match is None:
        return None
    build = int(match["build"]) if match["build"] else None
    version = None if match["version"] is None else parse_version(match["version"], build)
    return BannerLine(cast(Banner, match["what"]), version, match["command"] or "")


def parse_version(text: str, build: int | None = None) -> Version | None:
    """Read a version as a banner writes it, or with dots; None where it is neither.

    Before 10.0 a banner has four digits, major, minor and two of the patch: 8601 is 8.6.1, 8410 is 8.4.10.
    From 10.0 on it has six, two of each: 100300 is 10.3.0.
    """
    if "." in text:
        parts = text.split(".")
        if not 2 <= len(parts) <= 4 or not all(part.isdecimal() for part in parts):
            return None
        numbers = [int(part) for part in parts]
        major, minor, patch, fourth = [*numbers, 0, 0][:4]
        return Version(major, minor, patch, fourth if len(numbers) == 4 else build)
    if not text.isdecimal() or len(text) not in (4, 6):
        return None
    number = int(text)
    if len(text) == 4:
        return Version(number // 1000, number // 100 % 10, number % 100, build)
    return Version(number // 10000, number // 100 % 100, number % 100, build)


def find_version(lines: Iterable[str]) -> Version | None:
    """The version that a log tells: that of its banners, else that of its line `TensorRT version:`."""
    told = None
    for line in lines:
        banner = read_banner(line)
        if banner is not None and banner.version is not None:
            return banner.version
        if told is None and (match := _LINE.search(line)):
            told = parse_version(match["version"])
    return told
