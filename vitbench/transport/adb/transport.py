"""Phones: content-addressed files under /data/local/tmp, and programs run through `adb shell`."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import ClassVar

from vitbench.catalog.specs import TargetSpec
from vitbench.errors import ToolError, UsageError
from vitbench.transport.adb import choice
from vitbench.transport.adb.client import Adb
from vitbench.transport.adb.link import RECOVERY_S, PhoneLink
from vitbench.transport.adb.store import PhoneStore
from vitbench.transport.base import Completed
from vitbench.transport.channel import Channel
from vitbench.transport.posix.link import tail
from vitbench.transport.posix.process import last_line
from vitbench.transport.posix.quoting import quote
from vitbench.transport.posix.remote import not_started
from vitbench.transport.posix.transport import StoreTransport

PROPERTIES = {
    "manufacturer": "ro.product.manufacturer",
    "model": "ro.product.model",
    "abi": "ro.product.cpu.abi",
    "android": "ro.build.version.release",
}
_WRONG_ABI = re.compile(
    r"not executable: \d+-bit ELF file|exec format error|cannot execute binary", re.IGNORECASE
)


class AdbTransport(StoreTransport):
    """One phone, reached by the `adb` program.

    The phone is the target's `serial`, else $ANDROID_SERIAL, else the only one that is connected; `host:port`
    is connected first. A link that is lost is brought back, for up to `recovery_s` seconds; other phones and
    the adb server are left alone.

    Raises:
        UsageError: several phones are connected and none was chosen.
        TargetUnreachable: no adb program, no such phone, or one that may not be used.
    """

    _link: PhoneLink

    name: ClassVar[str] = "adb"
    recovery_s: ClassVar[float] = RECOVERY_S

    def __init__(self, target: TargetSpec) -> None:
        super().__init__(target)
        adb = Adb()
        serial, asked_by = choice.asked_serial(target.serial)
        if serial is None:
            serial = choice.only_device(adb.devices(), target.name)
        self._link = PhoneLink(adb, serial, self.recovery_s)
        self._link.open(asked_by)
        self._store = PhoneStore(self._link)
        self._store.prepare()
        self._facts: dict[str, str] = {}

    @property
    def serial(self) -> str:
        """Serial number of the phone, or its `host:port`."""
        return self._link.serial

    def execute(self, argv: Sequence[str], timeout_s: float) -> Completed:
        """Run a program on the phone, without input; what it started ends with it.

        A program whose output was lost is not run again: it may have done its work.

        Raises:
            ToolError: no such program, one for another processor, or it did not end in time.
            TargetUnreachable: the link was lost; transient.
        """
        done = self._link.call_once(argv, timeout_s)
        self._refuse_unstarted(argv[0], done)
        return done

    def start_agent(self, label: str) -> Channel:
        """Refuse: phones have no Python.

        Raises:
            UsageError: always.
        """
        raise UsageError(
            f"{label} cannot be started: phones have no Python for it to run in",
            'use runtime = "benchmark_model" for targets with transport = "adb"',
        )

    def describe(self) -> dict[str, str]:
        """Serial number, version of adb, and the phone's make, model, processor (ABI) and Android version."""
        if not self._facts:
            names = " ".join(PROPERTIES.values())
            said = self._link.ask(f'for P in {names}; do echo "$(getprop $P)"; done').splitlines()
            values = dict(zip(PROPERTIES, said, strict=False))
            self._facts = {name: value.strip() or "unknown" for name, value in values.items()}
        return {
            "transport": self.name,
            "serial": self.serial,
            "adb_version": self._link.adb.version(),
            **self._facts,
        }

    def close(self) -> None:
        """Remove the scratch directories; pushed files stay for the next time. Never raises."""
        self._remove_scratch()

    def _refuse_unstarted(self, program: str, done: Completed) -> None:
        """Tell a program that never ran from one that failed. By the words: shells differ in their codes."""
        if done.returncode <= 0:
            return
        refused = not_started(done)
        said = last_line(done.stderr) if refused is None else refused
        if _WRONG_ABI.search(said):
            abi = self.describe()["abi"]
            raise ToolError(
                f"`{program}` is built for another processor than that of phone {self.serial}: {said}",
                f"take a build for {abi}",
                tail=tail(done.stderr),
            )
        if refused is not None:
            look = f"adb -s {self.serial} shell ls -l {quote(program)}"
            raise ToolError(
                f"cannot run `{program}` on phone {self.serial}: {said}",
                f"see that it is there and may be executed (`{look}`); "
                "a build for desktop Linux is refused in these words too",
            )
