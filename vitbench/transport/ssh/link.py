"""The link to one board: commands over one connection, which is made anew where it is lost."""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Callable, Sequence
from typing import IO

from vitbench.errors import TargetUnreachable, VitbenchError
from vitbench.transport.posix import remote
from vitbench.transport.posix.link import PING_S, Link, LinkLost
from vitbench.transport.posix.process import GRACE_S, Answer, converse, last_line
from vitbench.transport.ssh.client import Ssh
from vitbench.transport.ssh.master import Master

RECOVERY_S = 30.0
FIRST_DELAY_S = 0.2
LONGEST_DELAY_S = 2.0
# All that ssh says where the connection that it was to use had gone before it came: it then tries to make one
# of its own, which `Ssh.over` prevents.
_NOT_BEGUN = re.compile(r"(?:(?:kex_exchange_identification: )?Connection closed by [^\n]*\n?)+")


class BoardLink(Link):
    """One board, held for this process as long as the link is open.

    Args:
        ssh: the program.
        host: as ssh is to be told.
        on_wait: told who holds the board, where that is another job.
        recovery_s: how long a lost link is waited for.

    Raises:
        TargetUnreachable: the board cannot be reached.
        ToolError: it cannot be locked.
    """

    def __init__(
        self, ssh: Ssh, host: str, on_wait: Callable[[str], None], recovery_s: float = RECOVERY_S
    ) -> None:
        super().__init__(
            f"board {host}",
            kind="board",
            medium="network",
            write_hint=f"see that .cache/vitbench can be written there: `ssh {host} ls -ld .cache/vitbench`",
        )
        self.ssh = ssh
        self.host = host
        self.recovery_s = recovery_s
        self._on_wait = on_wait
        self._left: set[str] = set()
        self._master = Master(ssh, host, on_wait)
        self.home = self._master.home

    @property
    def up(self) -> bool:
        """Whether the connection is there, as far as ssh knows."""
        return self._master.up

    def close(self) -> None:
        """End the connection. Safe to call twice; never raises."""
        self._master.close()

    def over(self, script: str) -> list[str]:
        """Arguments of a call of ssh that runs a script over the connection.

        Raises:
            LinkLost: there is none any more.
        """
        if not self.up:
            raise LinkLost(f"the link to {self.device} was lost", began=False)
        return self.ssh.over(self.host, self._master.socket, script)

    def leave(self, token: str) -> None:
        """Have what carries this token ended when the link is next brought back."""
        self._left.add(token)

    def converse(
        self,
        script: str,
        timeout_s: float,
        *,
        grace_s: float = GRACE_S,
        source: IO[bytes] | None = None,
        sink: IO[bytes] | None = None,
    ) -> Answer:
        """Run a script over the connection; see `vitbench.transport.posix.process.converse`."""
        argv = self.over(script)
        try:
            return converse(argv, timeout_s, grace_s=grace_s, source=source, sink=sink)
        except OSError as error:
            raise self.ssh.not_started(error) from None

    def recover(self, lost: LinkLost) -> None:
        """Make the connection anew, and end what the lost one left running.

        Raises:
            TargetUnreachable: the board does not come back, or lets us in no more.
        """
        if lost.token:
            self.leave(lost.token)
        if self.up and not lost.silent and self._answers(PING_S):
            self._reap_left()
            return
        self.leave(self._master.token)
        self._master.close()
        deadline = time.monotonic() + self.recovery_s
        delay = FIRST_DELAY_S
        while True:
            try:
                self._master = Master(self.ssh, self.host, self._on_wait, sorted(self._left))
                self._left.clear()
                return
            except TargetUnreachable as error:
                if not error.transient:
                    raise
                if time.monotonic() + delay > deadline:
                    raise TargetUnreachable(
                        f"{lost.message}, and {self.device} did not come back in {self.recovery_s:g} s: "
                        f"{error.message}",
                        error.hint,
                        transient=True,
                    ) from lost
            time.sleep(delay)
            delay = min(2 * delay, LONGEST_DELAY_S)

    def lost(self, doing: str, token: str, answer: Answer) -> LinkLost:
        """The error for something whose end was not heard of."""
        began = answer.code != 255 or not _NOT_BEGUN.fullmatch(answer.complaint)
        why = last_line(answer.complaint) if answer.code == 255 and began else ""
        said = f" (ssh says: {why})" if why else ""
        message = f"the link to {self.device} was lost {doing}{said}"
        return LinkLost(message, began=began, silent=answer.timed_out, token=token)

    def _reap_left(self) -> None:
        while self._left:
            with contextlib.suppress(LinkLost):
                self._reap(self._left.pop())

    def _exchange(self, argv: Sequence[str], token: str, timeout_s: float, grace_s: float) -> Answer:
        return self.converse(remote.carry(argv, token), timeout_s, grace_s=grace_s)

    def _answers(self, timeout_s: float) -> bool:
        token = remote.new_token()
        try:
            answer = self._exchange(["true"], token, timeout_s, grace_s=0.0)
        except LinkLost:
            return False
        return remote.read(token, answer.out, answer.err) is not None

    def _lost(self, program: str, token: str, answer: Answer) -> VitbenchError:
        return self.lost(f"during `{program}`", token, answer)
