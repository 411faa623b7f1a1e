"""The `ssh` program and the flags it is called with: nothing is left to what it would do by itself."""

from __future__ import annotations

import errno
import shutil
import subprocess

from vitbench.errors import TargetUnreachable, UsageError
from vitbench.transport.posix.quoting import quote

CONNECT_S = 10
# Three of these in silence and the link is taken for dead. A packet that small does not disturb a timing.
ALIVE_INTERVAL_S, ALIVE_COUNT = 10, 3
# A user's own file may say otherwise of each: it says who is meant and how to get there, not how we talk.
OPTIONS = {
    "BatchMode": "yes",
    "StrictHostKeyChecking": "yes",
    "ConnectTimeout": str(CONNECT_S),
    "ConnectionAttempts": "1",
    "ServerAliveInterval": str(ALIVE_INTERVAL_S),
    "ServerAliveCountMax": str(ALIVE_COUNT),
    "TCPKeepAlive": "yes",
    "ControlPersist": "no",
    "ClearAllForwardings": "yes",
    "ForwardAgent": "no",
    "ForwardX11": "no",
    "Tunnel": "no",
    "PermitLocalCommand": "no",
    "RemoteCommand": "none",
    "RequestTTY": "no",
    "EscapeChar": "none",
    "Compression": "no",
    "LogLevel": "ERROR",
}


class Ssh:
    """The program of that name in $PATH.

    Raises:
        TargetUnreachable: there is none.
    """

    def __init__(self) -> None:
        program = shutil.which("ssh")
        if program is None:
            raise TargetUnreachable(
                "there is no ssh program in $PATH, and boards are reached by it",
                "install it (`apt-get install openssh-client`) and try again",
            )
        self.program = program

    def master(self, host: str, socket: str, script: str) -> list[str]:
        """Arguments of a call that runs a script and carries all later calls over its connection."""
        return self._call(host, script, {**OPTIONS, "ControlMaster": "yes", "ControlPath": _control(socket)})

    def over(self, host: str, socket: str, script: str) -> list[str]:
        """Arguments of a call that runs a script over the connection of `master`, and over no other."""
        joined = {"ControlMaster": "no", "ControlPath": _control(socket), "ProxyCommand": "false"}
        return self._call(host, script, {**OPTIONS, **joined})

    def version(self) -> str:
        """Version of the program: "OpenSSH_9.2p1 Debian-2"."""
        done = subprocess.run(
            [self.program, "-V"], stdin=subprocess.DEVNULL, capture_output=True, timeout=10, check=False
        )
        return (done.stderr or done.stdout).decode(errors="replace").partition(",")[0].strip() or "unknown"

    def not_started(self, error: OSError) -> TargetUnreachable | UsageError:
        """The error for a program that the system does not start."""
        if error.errno == errno.E2BIG:
            return UsageError("a command for the board is too long", "give it fewer or shorter arguments")
        return TargetUnreachable(
            f"cannot run {self.program}: {error.strerror}", "see that `ssh -V` works in a terminal"
        )

    def _call(self, host: str, script: str, options: dict[str, str]) -> list[str]:
        flags = [word for name, value in options.items() for word in ("-o", f"{name}={value}")]
        # The login shell may be any; all it has to do is to start this one. Messages are read, so in C.
        return [self.program, *flags, "-T", "--", host, f"exec env LC_ALL=C sh -c {quote(script)}"]


def _control(socket: str) -> str:
    return socket.replace("%", "%%")
