"""Android's mode for benchmarks: clocks that a phone can hold, at the price of its highest ones."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from vitbench.android.shell import Run, ask
from vitbench.errors import ToolError

COMMAND = "cmd power set-fixed-performance-mode-enabled"
_SECTION = "mode"


@dataclass(frozen=True)
class FixedPerformance:
    """Whether the mode is on, and where it is not, what the phone answered."""

    active: bool
    answer: str


def supports_fixed_performance(run: Run) -> bool:
    """Probe the mode by switching it on, and off again; phones before Android 11 do not have it.

    Raises:
        ToolError: the phone did not answer, or would not leave the mode.
    """
    with fixed_performance(run) as mode:
        return mode.active


@contextmanager
def fixed_performance(run: Run) -> Iterator[FixedPerformance]:
    """Hold the mode for a while; whatever happens, it is off afterwards.

    Nobody can ask a phone whether the mode was on before: it is switched off, which is how phones come. A
    phone that refuses the mode is left alone.

    Raises:
        ToolError: the phone did not answer, or would not leave the mode. Where something else went wrong
            first, that is raised, with a note.
    """
    mode: FixedPerformance | None = None
    try:
        mode = _switch(run, on=True)
        yield mode
    except BaseException as error:
        # A link that was lost on the way may have carried the command.
        if mode is None or mode.active:
            _leave_after(run, error)
        raise
    if mode.active:
        _leave(run)


def _switch(run: Run, *, on: bool) -> FixedPerformance:
    # The status is printed, because a refusal is an answer and no error.
    commands = f'r=$({COMMAND} {"true" if on else "false"} 2>&1); echo "status=$?"; echo "$r"'
    status, _, answer = ask(run, {_SECTION: commands})[_SECTION].partition("\n")
    done = status.strip() == "status=0" and not _refuses(answer)
    return FixedPerformance(active=on if done else not on, answer=answer.strip())


def _leave(run: Run) -> None:
    left = _switch(run, on=False)
    if left.active:
        raise ToolError(
            "the phone would not leave its fixed performance mode",
            f"adb shell {COMMAND} false",
            tail=left.answer,
        )


def _leave_after(run: Run, error: BaseException) -> None:
    """Leave the mode after something else went wrong, which stays the error that a user sees."""
    try:
        _leave(run)
    except Exception as second:
        error.add_note(
            f"the phone may still be in its fixed performance mode ({second}): adb shell {COMMAND} false"
        )


def _refuses(answer: str) -> bool:
    """Old versions of the shell command refuse with words and status 0."""
    said = answer.lower()
    return any(
        word in said for word in ("unknown command", "failed to set", "exception", "can't find service")
    )
