"""Exit codes of several cells."""

from __future__ import annotations

from vitbench.errors import ExitCode, MeasurementInvalid, UsageError, worst
from vitbench.pipeline.compare import Compared


def test_the_highest_code_counts() -> None:
    assert worst([]) == ExitCode.OK
    assert worst([0, 3, 2]) == ExitCode.INCONCLUSIVE
    assert worst([3, 5, 4]) == ExitCode.TOOL


def test_what_is_allowed_hides_no_usage_error() -> None:
    assert worst([0, 3], allow_inconclusive=True) == ExitCode.OK
    assert worst([3, 2], allow_inconclusive=True) == ExitCode.USAGE
    row: object = None
    failures = ((row, MeasurementInvalid("noise")), (row, UsageError("no such file")))
    assert Compared((), failures).exit_code(allow_inconclusive=True) == ExitCode.USAGE  # type: ignore[arg-type]
