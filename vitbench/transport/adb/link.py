"""The link to one phone: commands on it, and how a lost link is brought back."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Sequence
from typing import TypeVar

from vitbench.errors import TargetUnreachable, ToolError, VitbenchError
from vitbench.transport.adb import choice, remote
from vitbench.transport.adb.client import Adb, Answer, last_line, reason
from vitbench.transport.base import Completed

ATTEMPTS = 4
RECOVERY_S = 20.0
FIRST_DELAY_S = 0.1
LONGEST_DELAY_S = 1.0
CONNECT_S = 10.0
ASK_S = 30.0
PING_S = 5.0
TAIL_LINES = 20
# adb could not even open a stream to the phone: the command never began.
_NOT_BEGUN = re.compile(
    r"(?:error|adb): (?:device (?:'.*' not found|offline|still \w+|unauthorized)|no devices)"
)
# What stays the same of one phone; an address can come to be another one's.
_IDENTITY = ["sh", "-c", "getprop ro.serialno; getprop ro.product.model"]
_T = TypeVar("_T")


class LinkLost(TargetUnreachable):
    """The link went during a call.

    Args:
        message: what was lost.
        began: whether the command may have begun on the phone.
        silent: whether nothing came at all until time was up, so that adb may not know of the loss.
        token: of the command.
    """

    def __init__(self, message: str, *, began: bool = True, silent: bool = False, token: str = "") -> None:
        super().__init__(message, "it can be tried again", transient=True)
        self.began = began
        self.silent = silent
        self.token = token


class Link:
    """One phone. Every call names it, and nothing done here touches another one.

    Args:
        adb: the program.
        serial: the phone's serial number, or `host:port`.
        recovery_s: how long a lost link is waited for.
    """

    def __init__(self, adb: Adb, serial: str, recovery_s: float = RECOVERY_S) -> None:
        self.adb = adb
        self.serial = serial
        self.recovery_s = recovery_s
        self._identity: str | None = None

    def open(self, asked_by: str = "") -> None:
        """See that the phone is there and answers; connects one that is on the network.

        Args:
            asked_by: who named the phone, for messages.

        Raises:
            TargetUnreachable: it cannot be used.
        """
        listed = self.adb.devices()
        said = ""
        if choice.is_address(self.serial) and listed.get(self.serial) != choice.READY:
            # adb ends with code 0 whatever becomes of it, so only the list counts.
            said = last_line(self._connect().complaint)
            listed = self.adb.devices()
        state = listed.get(self.serial)
        if state in choice.PASSING:
            self._settle(asked_by)
        elif state != choice.READY:
            raise choice.refusal(self.serial, state, listed, asked_by=asked_by, said=said)
        if "shell_v2" not in self._features():
            raise TargetUnreachable(
                f"phone {self.serial} is too old: it tells neither exit codes nor errors apart (no shell_v2)",
                "use a phone with Android 7 or later",
            )
        self._identity = self.call_again(_IDENTITY, ASK_S).stdout

    def run(self, *arguments: str, timeout_s: float) -> Answer:
        """Run an adb command on this phone."""
        return self.adb.run("-s", self.serial, *arguments, timeout_s=timeout_s)

    def call(self, argv: Sequence[str], timeout_s: float) -> Completed:
        """Run a program on the phone, once; it is ended when time is up.

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
                f"phone {self.serial} refused: {last_line(done.stderr) or f'code {done.returncode}'}",
                "see that /data/local/tmp can be written by `adb shell`",
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
                        f"{lost.message}; the phone is back, but what came of it is not known",
                        "run it again",
                        transient=True,
                    ) from lost
        return step()

    def recover(self, lost: LinkLost) -> None:
        """Bring the link back and end what the lost command left running.

        Raises:
            TargetUnreachable: the phone does not come back, trusts this computer no more, or is another.
        """
        deadline = time.monotonic() + self.recovery_s
        delay = FIRST_DELAY_S
        kick = lost.silent
        while not self._is_back(kick, deadline):
            if time.monotonic() + delay > deadline:
                raise TargetUnreachable(
                    f"{lost.message}, and phone {self.serial} did not come back in {self.recovery_s:g} s",
                    "see to the cable or the network until `adb devices` lists the phone; then run it again",
                    transient=True,
                ) from lost
            time.sleep(delay)
            delay = min(2 * delay, LONGEST_DELAY_S)
            kick = True
        if lost.began and lost.token:
            self._reap(lost.token)

    def _is_back(self, kick: bool, deadline: float) -> bool:
        """Whether the phone answers; tries to reconnect this one phone where it does not."""
        listed = self.adb.devices()
        state = listed.get(self.serial)
        if state == "unauthorized":
            raise choice.refusal(self.serial, state, listed)
        left_s = deadline - time.monotonic()
        if state == choice.READY and self._answers(min(PING_S, max(left_s, 1.0))):
            return True
        left_s = deadline - time.monotonic()
        if kick and left_s > 0:
            self._kick(state, min(CONNECT_S, left_s))
        return False

    def _kick(self, state: str | None, timeout_s: float) -> None:
        """Have adb open the link anew. What it replies decides nothing."""
        if choice.is_address(self.serial):
            if state is not None:
                self.adb.run("disconnect", self.serial, timeout_s=timeout_s)
            self._connect(timeout_s)
        elif state is not None:
            self.run("reconnect", timeout_s=timeout_s)

    def _connect(self, timeout_s: float = CONNECT_S) -> Answer:
        return self.adb.run("connect", self.serial, timeout_s=timeout_s)

    def _settle(self, asked_by: str) -> None:
        try:
            self.recover(LinkLost("the phone is known to adb but does not answer", began=False, silent=True))
        except TargetUnreachable:
            listed = self.adb.devices()
            state = listed.get(self.serial)
            if state == choice.READY:
                raise
            raise choice.refusal(self.serial, state, listed, asked_by=asked_by) from None

    def _features(self) -> list[str]:
        def query() -> list[str]:
            answer = self.run("features", timeout_s=PING_S)
            if answer.code or answer.timed_out:
                raise LinkLost(
                    f"the link to phone {self.serial} was lost", began=False, silent=answer.timed_out
                )
            return answer.text.split()

        return self.persist(query)

    def _answers(self, timeout_s: float) -> bool:
        """Whether the phone answers in time.

        Raises:
            TargetUnreachable: it is another phone than the one that was opened.
        """
        token = remote.new_token()
        answer = self._exchange(_IDENTITY, token, timeout_s, grace_s=0.0)
        done = remote.read(token, answer.out, answer.err)
        if done is not None and self._identity is not None and done.stdout != self._identity:
            raise TargetUnreachable(
                f"another phone answers as {self.serial} than before",
                "see which phone has which address, and begin again",
            )
        return done is not None

    def _reap(self, token: str) -> None:
        """End what a command left running, as well as can be done."""
        self._exchange(["sh", "-c", remote.reap(token)], remote.new_token(), PING_S, PING_S)

    def _exchange(self, argv: Sequence[str], token: str, timeout_s: float, grace_s: float) -> Answer:
        return self.adb.converse(
            ["-s", self.serial, "shell", remote.carry(argv, token)], timeout_s, grace_s=grace_s
        )

    def _overdue(
        self, program: str, token: str, timeout_s: float, answer: Answer, done: Completed | None
    ) -> VitbenchError:
        """The error for a command that was stopped: was it slow, or had the link gone in silence?"""
        if done is None and not self._answers(PING_S):
            message = f"the link to phone {self.serial} was lost during `{program}`"
            return LinkLost(message, silent=True, token=token)
        if done is None:
            self._reap(token)
        return ToolError(
            f"`{program}` did not end in {timeout_s:g} s on phone {self.serial}, and was stopped",
            "see whether the phone is busy or hot; if the program needs longer, give it more time",
            tail=tail(done.stderr if done else answer.err.decode(errors="replace")),
        )

    def _lost(self, program: str, token: str, answer: Answer) -> LinkLost:
        complaint = answer.complaint
        began = answer.code != 1 or bool(answer.out) or not _NOT_BEGUN.match(complaint)
        said = f" (adb says: {reason(complaint)})" if not began else ""
        return LinkLost(
            f"the link to phone {self.serial} was lost during `{program}`{said}", began=began, token=token
        )


def tail(text: str) -> str:
    """The last lines."""
    return "\n".join(text.splitlines()[-TAIL_LINES:])
