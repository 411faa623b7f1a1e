"""Boards: content-addressed files in the user's cache there, and programs and agents run through `ssh`."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from vitbench.catalog.specs import TargetSpec
from vitbench.errors import ToolError
from vitbench.remarks import remark
from vitbench.text import clean_lines
from vitbench.transport.base import Completed
from vitbench.transport.channel import Channel
from vitbench.transport.posix.link import tail
from vitbench.transport.posix.quoting import quote
from vitbench.transport.posix.remote import new_token, not_started
from vitbench.transport.posix.transport import StoreTransport
from vitbench.transport.ssh.agent import BoardChannel, BoardPython, agent_script, find_python
from vitbench.transport.ssh.client import Ssh
from vitbench.transport.ssh.link import RECOVERY_S, BoardLink
from vitbench.transport.ssh.refusals import check_host
from vitbench.transport.ssh.store import BoardStore
from vitbench.transport.zipapp import build_zipapp

AGENT = "agent.pyz"


class SshTransport(StoreTransport):
    """One board, reached by the `ssh` program.

    The board is the target's `host`, else the ssh alias of the target's own name. It is this process's alone
    until `close`; another job waits for it, and says for whom. A link that is lost is brought back, for up to
    `recovery_s` seconds.

    Raises:
        UsageError: the host's name could be an option.
        TargetUnreachable: no ssh program, no such host, or one that does not let us in.
        ToolError: the board cannot keep files, or cannot be locked.
    """

    _link: BoardLink

    name: ClassVar[str] = "ssh"
    recovery_s: ClassVar[float] = RECOVERY_S

    def __init__(self, target: TargetSpec) -> None:
        super().__init__(target)
        host = check_host(target.host or target.name)
        self._link = BoardLink(Ssh(), host, self._tell_holder, self.recovery_s)
        self._python: BoardPython | None = None
        self._agent: str | None = None
        try:
            self._store = BoardStore(self._link)
            self._store.prepare()
        except BaseException:
            self._link.close()
            raise

    @property
    def host(self) -> str:
        """The board, as ssh is told."""
        return self._link.host

    def execute(self, argv: Sequence[str], timeout_s: float) -> Completed:
        """Run a program on the board, without input; what it started ends with it.

        A program whose output was lost is not run again: it may have done its work.

        Raises:
            ToolError: no such program, or it did not end in time.
            TargetUnreachable: the link was lost; transient.
        """
        done = self._link.call_once(argv, timeout_s)
        said = not_started(done)
        if said is not None:
            raise ToolError(
                f"cannot run `{argv[0]}` on {self._link.device}: {said}",
                f"see that it is there and may be executed: `ssh {self.host} ls -l {quote(argv[0])}`",
                tail=tail(done.stderr),
            )
        return done

    def start_agent(self, label: str) -> Channel:
        """Start a fresh agent under the board's python3.

        Raises:
            ToolError: the board has no python3, or too old a one.
            TargetUnreachable: the link was lost and did not come back.
        """
        agent, python = self._agent_file(), self._find_python()
        token = new_token()
        script = agent_script(python, self._store.base, agent, token)
        argv = self._link.persist(lambda: self._link.over(script))
        try:
            process = subprocess.Popen(
                argv,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                start_new_session=True,
            )
        except OSError as error:
            raise self._link.ssh.not_started(error) from None
        return BoardChannel(process, label, self._link, python, token)

    def describe(self) -> dict[str, str]:
        """Host, version of ssh, and the board's Python."""
        python = self._find_python()
        return {
            "transport": self.name,
            "host": self.host,
            "ssh_version": self._link.ssh.version(),
            "python": python.told,
            "executable": python.executable,
        }

    def close(self) -> None:
        """Remove the scratch directories and end the connection; pushed files stay. Never raises."""
        if self._link.up:
            self._remove_scratch()
        self._link.close()

    def _find_python(self) -> BoardPython:
        if self._python is None:
            self._python = find_python(self._link, self.target.python or "python3")
        return self._python

    def _agent_file(self) -> str:
        """Path of the agent on the board; verified once, where it lies."""
        if self._agent is None:
            with tempfile.TemporaryDirectory(prefix="vitbench-") as scratch:
                self._agent = self._store.push(build_zipapp(Path(scratch) / AGENT))
        return self._agent

    def _tell_holder(self, holder: str) -> None:
        who = clean_lines(holder) or "a job that does not say whose it is"
        remark(f"waiting for board {self.target.name}: in use by {who}")
