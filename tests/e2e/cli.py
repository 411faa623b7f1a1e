"""Run the real command line, as a process or in this one."""

from __future__ import annotations

import contextlib
import io
import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

from vitbench.cli.main import main

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


def in_process(*arguments: str | Path, cwd: Path, **environment: str) -> Done:
    """What `vitbench ARGUMENTS` ends with, called here: for tests of which starting a process is no part."""
    kept = io.BytesIO(), io.BytesIO()
    out, err = (io.TextIOWrapper(each, "utf-8", write_through=True) for each in kept)
    code: object = None
    with (
        contextlib.chdir(cwd),
        mock.patch.dict(os.environ, {"COLUMNS": "160"} | environment),
        mock.patch.object(sys, "argv", ["vitbench", *map(str, arguments)]),
        mock.patch.object(sys, "stdin", io.StringIO()),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
    ):
        try:
            main()
        except SystemExit as end:
            code = end.code
    # As the interpreter has it: a message is a failure.
    ended = code if isinstance(code, int) else int(code is not None)
    return Done(ended, *(each.getvalue().decode() for each in kept))
