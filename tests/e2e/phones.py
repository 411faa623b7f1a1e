"""The command line on phones, within the test's own process where a limit of it is to be shortened."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.cli import Done
from vitbench.cli.main import main
from vitbench.records.schema import Record
from vitbench.records.store import Store

RELU, SOFTMAX = "attention-4x16:7x7", "attention-4x16+softmax:7x7"
TARGET = ("-t", "snapdragon", "--allow-inconclusive")
SAMPLES_US = "900,1000,1100"


@dataclass
class Inside:
    """Runs the command line in this process, in a directory."""

    cwd: Path
    capture: pytest.CaptureFixture[str]
    patch: pytest.MonkeyPatch

    def __call__(self, *arguments: str | Path) -> Done:
        """Run `vitbench ARGUMENTS`; returns what it ended with."""
        self.capture.readouterr()
        self.patch.chdir(self.cwd)
        self.patch.setattr(sys, "argv", ["vitbench", *map(str, arguments)])
        self.patch.setenv("COLUMNS", "160")
        with pytest.raises(SystemExit) as ended:
            main()
        said = self.capture.readouterr()
        code = ended.value.code
        return Done(code if isinstance(code, int) else 0, said.out, said.err)

    def run(self, *more: str | Path, model: str = RELU) -> Done:
        """Measure, quickly unless told otherwise."""
        return self("run", "-m", model, *TARGET, "--quick", *more)

    def records(self) -> list[Record]:
        """Every run on record, by time."""
        return recorded(self.cwd)


def recorded(directory: Path) -> list[Record]:
    """Every run of a results directory, by time."""
    store = Store(str(directory / "results"))
    found = [store.read(path.stem) for path in sorted((directory / "results").glob("[!.]*.json"))]
    return [record for record in found if isinstance(record, Record)]


def documents(directory: Path) -> list[dict[str, Any]]:
    """Every document of a results directory as it is written."""
    return [json.loads(path.read_text()) for path in sorted((directory / "results").glob("[!.]*.json"))]
