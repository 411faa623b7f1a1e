"""Clocks of a Jetson, held for a while by its own `jetson_clocks`, where sudo takes no password."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from vitbench.errors import TargetUnreachable, ToolError
from vitbench.text import clean_lines
from vitbench.transport.base import Completed, Transport
from vitbench.transport.posix.process import last_line

COMMAND = ("sudo", "-n", "jetson_clocks")
TIMEOUT_S = 60.0
# A link that breaks while the clocks are given back is made anew by the next command.
ATTEMPTS = 3


@dataclass(frozen=True)
class HeldClocks:
    """Whether clocks are held, and where they are not, what the board answered."""

    held: bool
    answer: str


@contextmanager
def held_clocks(link: Transport, tell: Callable[[str], None]) -> Iterator[HeldClocks]:
    """Hold a board's clocks for a while; whatever happens, they are as they were afterwards.

    A board that refuses is left as it is, and measured so. Nothing is raised when the clocks cannot be given
    back, for what was measured is good: it is told.

    Args:
        link: to the board.
        tell: tells the user.
    """
    file = f"{link.scratch()}/clocks"
    refused = _refusal(link, "--store", file)
    if refused is not None:
        yield HeldClocks(held=False, answer=refused)
        return
    try:
        # From here on the clocks may be held, also where the command or its answer is lost.
        refused = _refusal(link)
        yield HeldClocks(held=refused is None, answer=refused or "")
    finally:
        _give_back(link, file, tell)


def _give_back(link: Transport, file: str, tell: Callable[[str], None]) -> None:
    """Restore what was stored; more than once changes nothing."""
    command = (*COMMAND, "--restore", file)
    # What is told when somebody does not wait for it.
    why = "interrupted"
    try:
        why = _restore(link, command)
    finally:
        if why:
            tell(
                f"the clocks of {link.target.name} may still be held ({why}); "
                "`sudo jetson_clocks --restore` or a reboot gives them back"
            )


def _restore(link: Transport, command: Sequence[str]) -> str:
    """Why it did not work; empty where it did."""
    why = ""
    for _ in range(ATTEMPTS):
        try:
            done = link.execute(command, TIMEOUT_S)
        except (TargetUnreachable, ToolError) as error:
            why = error.message
            continue
        return "" if done.returncode == 0 else _said(done)
    return why


def _refusal(link: Transport, *arguments: str) -> str | None:
    """What the board answers to `jetson_clocks` when it refuses; None when it does as it is told."""
    try:
        done = link.execute((*COMMAND, *arguments), TIMEOUT_S)
    except ToolError as error:
        return error.message
    return None if done.returncode == 0 else _said(done)


def _said(done: Completed) -> str:
    said: Sequence[str] = [last_line(stream) for stream in (done.stderr, done.stdout)]
    return clean_lines(next(filter(None, said), "")) or f"status {done.returncode}"
