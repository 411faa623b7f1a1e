"""The agent as one file that any Python can run."""

from __future__ import annotations

import os
import tempfile
import zipfile
from pathlib import Path

import vitbench

PACKAGE = "vitbench_agent"
MAIN = f"from {PACKAGE}.main import main\n\nraise SystemExit(main())\n"
# Constant metadata and no compression: the same sources give the same bytes everywhere.
TIMESTAMP = (1980, 1, 1, 0, 0, 0)
MODE = 0o100644 << 16


def build_zipapp(out: Path) -> Path:
    """Pack the agent into a Python zip application, to be run as `python out`.

    Args:
        out: file to write; it appears whole or not at all.

    Returns:
        `out`.
    """
    source = Path(vitbench.__file__).parent / "agent"
    members = {
        f"{PACKAGE}/{path.relative_to(source).as_posix()}": path.read_bytes()
        for path in sorted(source.rglob("*.py"))
    }
    members["__main__.py"] = MAIN.encode()
    descriptor, name = tempfile.mkstemp(dir=out.parent, prefix=f".{out.name}-")
    with os.fdopen(descriptor, "wb") as file, zipfile.ZipFile(file, "w") as archive:
        for member in sorted(members):
            info = zipfile.ZipInfo(member, TIMESTAMP)
            info.external_attr = MODE
            archive.writestr(info, members[member])
    Path(name).replace(out)
    return out
