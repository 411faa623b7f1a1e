"""Run the real command line as a process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

COMMAND = [sys.executable, "-m", "vitbench"]


@dataclass(frozen=True)
class Done:
    """What one call of the command line ended with."""

    code: int
    out: str
    err: str

    def json(self) -> Any:
        """Standard output as JSON."""
        return json.loads(self.out)


def vitbench(*arguments: str | Path, cwd: Path, **environment: str) -> Done:
    """Run `vitbench ARGUMENTS` in a directory and wait for it."""
    done = subprocess.run(
        [*COMMAND, *map(str, arguments)],
        cwd=cwd,
        env=os.environ | {"COLUMNS": "160"} | environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=600,
    )
    return Done(done.returncode, done.stdout, done.stderr)
