"""Where the tool lies on this machine: what was named, else what `vitbench targets setup` keeps."""

from __future__ import annotations

import hashlib
import os
import secrets
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from vitbench.benchmark_model.binary import ABIS, Binary
from vitbench.errors import UsageError

VARIABLE = "VITBENCH_BENCHMARK_MODEL"
OPTION = "--benchmark-binary"
_MODE = 0o755


@dataclass(frozen=True)
class Place:
    """A file that may be the tool, and who said so: an option, a variable, or that it is kept."""

    path: Path
    said_by: str


def find(chosen: str | None, abis: Sequence[str]) -> Place | None:
    """The tool for a phone: the one that was chosen, else $VITBENCH_BENCHMARK_MODEL, else the one kept.

    What was named is taken whether it is there or not; of the kept ones, that of the first ABI that has one.

    Args:
        chosen: path that an option or the target names.
        abis: the phone's ABIs, the best first; all that vitbench knows where the phone tells none.
    """
    if chosen:
        return Place(Path(chosen).expanduser(), OPTION)
    if named := os.environ.get(VARIABLE):
        return Place(Path(named).expanduser(), f"${VARIABLE}")
    paths = [kept(abi) for abi in abis or ABIS if abi in ABIS]
    return next((Place(path, "kept by setup") for path in paths if path.is_file()), None)


def kept(abi: str) -> Path:
    """Where the tool for an ABI is kept: below $XDG_DATA_HOME, or ~/.local/share."""
    base = Path(os.environ.get("XDG_DATA_HOME", ""))
    # A relative one is to be passed over, says the specification of that variable.
    data = base if base.is_absolute() else Path.home() / ".local" / "share"
    return data / "vitbench" / f"benchmark_model-{abi}"


def keep(tool: Binary, abi: str) -> Path:
    """Copy the tool to where `find` looks for it, whole or not at all; what was kept there is replaced.

    Raises:
        UsageError: it cannot be copied, or is another file by now.
    """
    place = kept(abi)
    passing = place.with_name(f".{place.name}-{secrets.token_hex(8)}")
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        try:
            shutil.copyfile(tool.path, passing)
            with passing.open("rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
            if digest != tool.sha256:
                raise UsageError(f"{tool.path} changed while it was copied", "try again")
            passing.chmod(_MODE)
            passing.replace(place)
        finally:
            passing.unlink(missing_ok=True)
    except OSError as error:
        raise UsageError(
            f"cannot keep {tool.path} as {place}: {error.strerror or error}",
            f"make room, or set $XDG_DATA_HOME; without a copy, name the tool with {OPTION}",
        ) from None
    return place
