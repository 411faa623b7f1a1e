"""A trtexec of any version, as its `--help` would tell it."""

from __future__ import annotations

from tests.support import trtexec as stand_in
from vitbench.trtexec.flags import Tool, read_help
from vitbench.trtexec.version import Version, parse_version

PROGRAM = "/opt/trtexec"


def help_text(flags: tuple[str, ...], banner: str = "8601") -> str:
    """An answer to `--help`."""
    lines = [f"  --{flag}=<x>     does something, unlike --other" for flag in flags]
    version = f" [TensorRT v{banner}]" if banner else ""
    return "\n".join([f"&&&& RUNNING TensorRT.trtexec{version} # trtexec --help", "=== Options ===", *lines])


def tool(version: str, *without: str) -> Tool:
    """A trtexec with the flags of its version, but for some."""
    found = parse_version(version)
    assert found is not None
    digits = found.major * 10000 + found.minor * 100 + found.patch
    if found < Version(10, 0):
        digits = found.major * 1000 + found.minor * 100 + found.patch
    known = stand_in.flags(digits)
    return read_help(PROGRAM, help_text(tuple(flag for flag in known if flag not in without), str(digits)), 0)
