"""What became of what was asked for."""

from __future__ import annotations

from dataclasses import dataclass

from vitbench.errors import ExitCode, VitbenchError, worst
from vitbench.records.schema import Record
from vitbench.request import Cell


@dataclass(frozen=True)
class Failure:
    """A cell without a record, and why."""

    cell: Cell
    error: VitbenchError


@dataclass(frozen=True)
class Outcome:
    """What became of the cells of a request."""

    records: tuple[Record, ...]
    failures: tuple[Failure, ...] = ()
    interrupted: bool = False

    def exit_code(self, *, allow_inconclusive: bool = False) -> int:
        """0 when every cell is valid, else the highest of what befell them; 130 after Ctrl-C."""
        if self.interrupted:
            return ExitCode.INTERRUPTED
        codes = [
            ExitCode.OK if record.status == "valid" else ExitCode.INCONCLUSIVE for record in self.records
        ]
        codes += [failure.error.exit_code for failure in self.failures]
        return worst(codes, allow_inconclusive=allow_inconclusive)
