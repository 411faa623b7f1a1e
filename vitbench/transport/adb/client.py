"""The `adb` program as a process: every call has a time limit, none goes through a shell."""

from __future__ import annotations

import errno
import re
import shutil
from collections.abc import Sequence

from vitbench.errors import TargetUnreachable, UsageError
from vitbench.transport.posix import process
from vitbench.transport.posix.process import GRACE_S, Answer, last_line

QUERY_S = 20.0
# What adb says when it cannot talk to its own server.
SERVER_TROUBLE = re.compile(r"cannot connect to daemon|failed to start daemon|could not install.*smartsocket")


class Adb:
    """The program of that name in $PATH.

    Raises:
        TargetUnreachable: there is none.
    """

    def __init__(self) -> None:
        program = shutil.which("adb")
        if program is None:
            raise TargetUnreachable(
                "there is no adb program in $PATH, and phones are reached by it",
                "install it (`apt-get install adb`, or Android's platform-tools) and try again",
            )
        self.program = program

    def run(self, *arguments: str, timeout_s: float = QUERY_S) -> Answer:
        """Run adb to its end, or stop it when time is up.

        Raises:
            TargetUnreachable: the program cannot be started, or cannot talk to its server.
        """
        answer = self.converse(arguments, timeout_s, grace_s=0.0)
        if answer.code and SERVER_TROUBLE.search(answer.complaint):
            raise TargetUnreachable(
                f"the adb server cannot be reached: {last_line(answer.complaint)}",
                "see that nothing else uses its port ($ANDROID_ADB_SERVER_PORT, else 5037), "
                "and that `adb start-server` works",
            )
        return answer

    def converse(self, arguments: Sequence[str], timeout_s: float, grace_s: float = GRACE_S) -> Answer:
        """Run adb with an input that stays open and empty until time is up; stop it `grace_s` later.

        The input ends with this process too, however that ends.
        """
        try:
            return process.converse([self.program, *arguments], timeout_s, grace_s=grace_s)
        except OSError as error:
            if error.errno == errno.E2BIG:
                raise UsageError(
                    "a command for the phone is too long", "give it fewer or shorter arguments"
                ) from None
            raise TargetUnreachable(
                f"cannot run {self.program}: {error.strerror}", "see that `adb version` works"
            ) from None

    def devices(self) -> dict[str, str]:
        """Serial number to state of every device that the server knows.

        Raises:
            TargetUnreachable: adb does not answer.
        """
        answer = self.run("devices")
        if answer.timed_out or answer.code:
            said = last_line(answer.complaint) or "it said nothing"
            raise TargetUnreachable(
                f"`adb devices` gives no answer: {said}",
                "see that `adb devices` works in a terminal; its server may hang",
                transient=answer.timed_out,
            )
        return parse_devices(answer.text)

    def version(self) -> str:
        """Version of the protocol and of the program: "1.0.41 (29.0.6-debian)"."""
        return parse_version(self.run("version").text)


def parse_devices(text: str) -> dict[str, str]:
    """Serial number to state ("device", "offline", "unauthorized", "no permissions (...)", ...)."""
    _, _, listing = text.replace("\r", "").rpartition("List of devices attached")
    pairs = (line.partition("\t") for line in listing.splitlines())
    return {serial.strip(): state.strip() for serial, tab, state in pairs if tab and serial.strip()}


def parse_version(text: str) -> str:
    """The two versions that `adb version` prints; "unknown" where there is none."""
    protocol = re.search(r"Android Debug Bridge version (\S+)", text)
    release = re.search(r"^Version (\S+)", text, re.MULTILINE)
    if not protocol:
        return "unknown"
    return f"{protocol[1]} ({release[1]})" if release else protocol[1]


def reason(complaint: str) -> str:
    """The line of what adb said that tells why: its error, else the last one."""
    errors = [line for line in complaint.splitlines() if "error: " in line]
    return last_line("\n".join(errors) or complaint)
