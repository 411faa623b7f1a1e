"""The link to one phone: commands on it, and how a lost link is brought back."""

from __future__ import annotations

import re
import time
from collections.abc import Sequence

from vitbench.errors import TargetUnreachable
from vitbench.transport.adb import choice
from vitbench.transport.adb.client import Adb, reason
from vitbench.transport.posix import remote
from vitbench.transport.posix.link import ASK_S, PING_S, Link, LinkLost
from vitbench.transport.posix.process import Answer, last_line

WRITE_HINT = "see that /data/local/tmp can be written by `adb shell`"
RECOVERY_S = 20.0
FIRST_DELAY_S = 0.1
LONGEST_DELAY_S = 1.0
CONNECT_S = 10.0
# adb could not even open a stream to the phone: the command never began.
_NOT_BEGUN = re.compile(
    r"(?:error|adb): (?:device (?:'.*' not found|offline|still \w+|unauthorized)|no devices)"
)
# What stays the same of one phone; an address can come to be another one's.
_IDENTITY = ["sh", "-c", "getprop ro.serialno; getprop ro.product.model"]


class PhoneLink(Link):
    """One phone. Every call names it, and nothing done here touches another one.

    Args:
        adb: the program.
        serial: the phone's serial number, or `host:port`.
        recovery_s: how long a lost link is waited for.
    """

    def __init__(self, adb: Adb, serial: str, recovery_s: float = RECOVERY_S) -> None:
        super().__init__(f"phone {serial}", kind="phone", medium="cable", write_hint=WRITE_HINT)
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

    def _exchange(self, argv: Sequence[str], token: str, timeout_s: float, grace_s: float) -> Answer:
        return self.adb.converse(
            ["-s", self.serial, "shell", remote.carry(argv, token)], timeout_s, grace_s=grace_s
        )

    def _lost(self, program: str, token: str, answer: Answer) -> LinkLost:
        complaint = answer.complaint
        began = answer.code != 1 or bool(answer.out) or not _NOT_BEGUN.match(complaint)
        said = f" (adb says: {reason(complaint)})" if not began else ""
        return LinkLost(
            f"the link to phone {self.serial} was lost during `{program}`{said}", began=began, token=token
        )
