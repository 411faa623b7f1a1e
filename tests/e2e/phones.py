"""The command line on phones, within the test's own process where a limit of it is to be shortened."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.e2e.cli import Done, in_process
from vitbench.records.schema import Record
from vitbench.records.store import Store

RELU, SOFTMAX = "attention-4x16:7x7", "attention-4x16+softmax:7x7"
TARGET = ("-t", "snapdragon", "--allow-inconclusive")
SAMPLES_US = "900,1000,1100"


@dataclass
class Inside:
    """Runs the command line in this process, in a directory."""

    cwd: Path

    def __call__(self, *arguments: str | Path) -> Done:
        """Run `vitbench ARGUMENTS`; returns what it ended with."""
        return in_process(*arguments, cwd=self.cwd)

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
