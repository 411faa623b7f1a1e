"""One connection to a board, over which everything goes, and the lock that is held by it."""

from __future__ import annotations

import contextlib
import os
import select
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from vitbench.errors import TargetUnreachable, ToolError
from vitbench.transport.posix import remote
from vitbench.transport.posix.process import last_line
from vitbench.transport.ssh import guard, refusals
from vitbench.transport.ssh.client import Ssh

ANSWER_S = 30.0
END_S = 3.0
# The name of a socket may have 107 bytes, and ssh adds 17 of its own while it makes it.
LONGEST_DIRECTORY = 70


class Master:
    """A connection that is up, or was. It ends with this process, however that ends.

    Args:
        ssh: the program.
        host: the board.
        on_wait: told who holds the board, each time that is somebody else.
        lost: tokens of what an earlier connection may have left running there.

    Raises:
        TargetUnreachable: there is no connection.
        ToolError: the board cannot be locked.
    """

    def __init__(self, ssh: Ssh, host: str, on_wait: Callable[[str], None], lost: Sequence[str] = ()) -> None:
        self.host = host
        self.token = remote.new_token()
        self.home = ""
        self._directory = Path(_short_directory())
        self.socket = str(self._directory / "s")
        self._log = self._directory / "log"
        try:
            self._process = self._start(ssh, lost)
            try:
                self._await_ready(on_wait)
            except BaseException:
                self._end()
                raise
        except BaseException:
            shutil.rmtree(self._directory, ignore_errors=True)
            raise

    @property
    def up(self) -> bool:
        """Whether the connection is there, as far as ssh knows."""
        return self._process.poll() is None

    def close(self) -> None:
        """End the connection, and with it the lock. Safe to call twice; never raises."""
        self._end()
        shutil.rmtree(self._directory, ignore_errors=True)

    def _start(self, ssh: Ssh, lost: Sequence[str]) -> subprocess.Popen[bytes]:
        argv = ssh.master(self.host, self.socket, guard.script(self.token, lost))
        try:
            with self._log.open("wb") as log:
                # A session of its own: Ctrl-C is for this process, which then ends the connection.
                return subprocess.Popen(
                    argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, start_new_session=True
                )
        except OSError as error:
            raise ssh.not_started(error) from None

    def _await_ready(self, on_wait: Callable[[str], None]) -> None:
        """Listen to the guard until the board is ours."""
        holder, buffer = None, b""
        limit = time.monotonic() + ANSWER_S
        while True:
            chunk = self._read(limit)
            *lines, buffer = (buffer + chunk).split(b"\n")
            for line in lines:
                said = guard.parse(self.token, line)
                limit = time.monotonic() + ANSWER_S
                if said is None:
                    raise self._talkative(line)
                if said.what == "home":
                    self.home = said.of
                elif said.what == "no-flock":
                    raise ToolError(
                        f"{self.host} has no program flock, by which jobs wait for each other",
                        f"install it: `ssh {self.host} sudo apt-get install util-linux`",
                    )
                elif said.what == "held" and said.of != holder:
                    holder = said.of
                    on_wait(holder)
                elif said.what == "ready":
                    return

    def _read(self, limit: float) -> bytes:
        assert self._process.stdout is not None
        poller = select.poll()
        poller.register(self._process.stdout, select.POLLIN)
        if not poller.poll(max(0.0, limit - time.monotonic()) * 1000):
            raise refusals.no_answer(self.host, ANSWER_S)
        chunk = os.read(self._process.stdout.fileno(), 1 << 16)
        if not chunk:
            raise self._no_connection()
        return chunk

    def _no_connection(self) -> TargetUnreachable | ToolError:
        """The error for a guard that ended before the board was ours."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(END_S)
        said = self._log.read_text(errors="replace").strip()
        if self.home and self._process.returncode != 255:
            return ToolError(
                f"{self.host} cannot keep files: {last_line(said) or 'it does not say why'}",
                f"see that {self.home}/.cache/vitbench can be made and written there",
                tail=said,
            )
        return refusals.refusal(self.host, said)

    def _talkative(self, line: bytes) -> ToolError:
        """The error for a login shell whose own words would end up in files and results."""
        return ToolError(
            f"the login shell on {self.host} prints {line[:80].decode(errors='replace')!r} on its own, "
            "which would be taken for part of every output",
            "let it print only to people: `case $- in *i*) ;; *) return ;; esac` as the first line of "
            "~/.bashrc there",
        )

    def _end(self) -> None:
        for pipe in (self._process.stdin, self._process.stdout):
            with contextlib.suppress(OSError):
                if pipe is not None:
                    pipe.close()
        try:
            self._process.wait(END_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def _short_directory() -> str:
    """A new directory that only this user can read, with a name that leaves room for that of a socket."""
    place = tempfile.gettempdir()
    short = len(os.fsencode(place)) <= LONGEST_DIRECTORY
    return tempfile.mkdtemp(prefix="vitbench-", dir=place if short else "/tmp")
