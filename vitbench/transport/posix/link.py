"""The link to one device with a POSIX shell: commands on it, and what a lost link means to them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import TypeVar

from vitbench.errors import TargetUnreachable, ToolError, VitbenchError
from vitbench.transport.base import Completed
from vitbench.transport.posix import remote
from vitbench.transport.posix.process import Answer, last_line

ATTEMPTS = 4
ASK_S = 30.0
PING_S = 5.0
TAIL_LINES = 20
_T = TypeVar("_T")


class LinkLost(TargetUnreachable):
    """The link went during a call.

    Args:
        message: what was lost.
        began: whether the command may have begun on the device.
        silent: whether nothing came at all until time was up, so that the client may not know of the loss.
        token: of the command.
    """

    def __init__(self, message: str, *, began: bool = True, silent: bool = False, token: str = "") -> None:
        super().__init__(message, "it can be tried again", transient=True)
        self.began = began
        self.silent = silent
        self.token = token


class Link(ABC):
    """One device.

    Args:
        device: what messages call it: "phone A1".
        kind: what they call it the second time: "phone".
        medium: what to suspect where bytes do not arrive: "cable".
        write_hint: what to look at where it refuses to write files.
    """

    def __init__(self, device: str, *, kind: str, medium: str, write_hint: str) -> None:
        self.device = device
        self.kind = kind
        self.medium = medium
        self.write_hint = write_hint

    def call(self, argv: Sequence[str], timeout_s: float) -> Completed:
        """Run a program on the device, once; it is ended when time is up.

        Raises:
            LinkLost: its output did not come whole.
            ToolError: it did not end in time.
        """
        token = remote.new_token()
        answer = self._exchange(argv, token, timeout_s, PING_S)
        done = remote.read(token, answer.out, answer.err)
        if answer.timed_out:
            raise self._overdue(argv[0], token, timeout_s, answer, done)
        if done is None:
            raise self._lost(argv[0], token, answer)
        return done

    def call_again(self, argv: Sequence[str], timeout_s: float) -> Completed:
        """`call` for what may be repeated: a lost link is brought back and the program run anew.

        Raises:
            TargetUnreachable: the link stays lost.
            ToolError: it did not end in time.
        """
        return self.persist(lambda: self.call(argv, timeout_s))

    def call_once(self, argv: Sequence[str], timeout_s: float) -> Completed:
        """`call` for what may not be repeated: it is run anew only where it never began.

        Raises:
            TargetUnreachable: the link was lost; transient.
            ToolError: it did not end in time.
        """
        return self.persist(lambda: self.call(argv, timeout_s), repeatable=False)

    def ask(self, script: str, timeout_s: float = ASK_S) -> str:
        """Output of a shell script of ours, which may be repeated.

        Raises:
            TargetUnreachable: the link stays lost.
            ToolError: it failed.
        """
        done = self.call_again(["sh", "-c", script], timeout_s)
        if done.returncode:
            raise ToolError(
                f"{self.device} refused: {last_line(done.stderr) or f'code {done.returncode}'}",
                self.write_hint,
                tail=tail(done.stderr),
            )
        return done.stdout

    def persist(self, step: Callable[[], _T], *, repeatable: bool = True) -> _T:
        """Take a step, bringing the link back where it is lost on the way.

        Args:
            step: what to do.
            repeatable: whether it may be done again after it had begun.

        Raises:
            TargetUnreachable: the link stays lost, or is lost each time.
        """
        for _ in range(ATTEMPTS - 1):
            try:
                return step()
            except LinkLost as lost:
                self.recover(lost)
                if lost.began and not repeatable:
                    raise TargetUnreachable(
                        f"{lost.message}; the {self.kind} is back, but what came of it is not known",
                        "run it again",
                        transient=True,
                    ) from lost
        return step()

    @abstractmethod
    def recover(self, lost: LinkLost) -> None:
        """Bring the link back and end what the lost command left running.

        Raises:
            TargetUnreachable: the device does not come back, or is another.
        """

    @abstractmethod
    def _exchange(self, argv: Sequence[str], token: str, timeout_s: float, grace_s: float) -> Answer:
        """Run `remote.carry(argv, token)` on the device."""

    @abstractmethod
    def _answers(self, timeout_s: float) -> bool:
        """Whether the device answers in time."""

    @abstractmethod
    def _lost(self, program: str, token: str, answer: Answer) -> VitbenchError:
        """The error for a command whose output is not whole."""

    def _reap(self, token: str) -> None:
        """End what a command left running, as well as can be done."""
        self._exchange(["sh", "-c", remote.reap(token)], remote.new_token(), PING_S, PING_S)

    def _overdue(
        self, program: str, token: str, timeout_s: float, answer: Answer, done: Completed | None
    ) -> VitbenchError:
        """The error for a command that was stopped: was it slow, or had the link gone in silence?"""
        if done is None and not self._answers(PING_S):
            message = f"the link to {self.device} was lost during `{program}`"
            return LinkLost(message, silent=True, token=token)
        if done is None:
            self._reap(token)
        return ToolError(
            f"`{program}` did not end in {timeout_s:g} s on {self.device}, and was stopped",
            f"see whether the {self.kind} is busy or hot; if the program needs longer, give it more time",
            tail=tail(done.stderr if done else answer.err.decode(errors="replace")),
        )


def tail(text: str) -> str:
    """The last lines."""
    return "\n".join(text.splitlines()[-TAIL_LINES:])
