"""The phone as adb sees it: properties, services, and a cable that can be pulled."""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import signal
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.support.adb_device.faults import Faults
from tests.support.adb_device.files import Files
from tests.support.adb_device.shell import SHELL, Shell
from tests.support.adb_device.wire import Connection, Service, Stream

FEATURES = ("shell_v2", "cmd", "stat_v2", "ls_v2", "fixed_push_mkdir", "sendrecv_v2")
MAPPED = (
    "/data",
    "/sdcard",
    "/sys/class/thermal",
    "/sys/devices/system/cpu",
    "/proc/cpuinfo",
    "/proc/meminfo",
)
PROPERTIES = {
    "ro.product.name": "testphone",
    "ro.product.model": "Test Phone",
    "ro.product.device": "testphone",
    "ro.product.manufacturer": "vitbench",
    "ro.product.cpu.abi": "arm64-v8a",
    "ro.product.cpu.abilist": "arm64-v8a,armeabi-v7a,armeabi",
    "ro.build.version.release": "13",
    "ro.build.version.sdk": "33",
}
GETPROP = """\
FILE="${0%/bin/*}/properties"
if [ $# = 0 ]; then
  sed -e 's/^\\([^=]*\\)=\\(.*\\)$/[\\1]: [\\2]/' "$FILE"
  exit
fi
while IFS= read -r LINE; do
  if [ "${LINE%%=*}" = "$1" ]; then
    printf '%s\\n' "${LINE#*=}"
    exit
  fi
done <"$FILE"
printf '%s\\n' "$2"
"""
DF = """\
echo 'Filesystem      1K-blocks     Used Available Use% Mounted on'
echo '/dev/block/dm-9 110000000 110000000         0 100% /data'
"""


class Device:
    """A phone whose file system is a directory. Its methods belong to the event loop it runs in.

    Args:
        root: stands for the phone's file system; made if it is not there.
        properties: what `getprop` says, beside the usual ones.
        trusted: whether it accepts this computer's key.
        features: what it can do, as adb names it.
        mapped: paths of the phone in commands that mean files below `root`.
        port: where it listens; a free port when 0.
    """

    def __init__(
        self,
        root: Path,
        properties: Mapping[str, str] | None = None,
        *,
        trusted: bool = True,
        features: Sequence[str] = FEATURES,
        mapped: Sequence[str] = MAPPED,
        port: int = 0,
    ) -> None:
        root.mkdir(parents=True, exist_ok=True)
        self.root = root.resolve()
        self.trusted = trusted
        # Cleared, the links made under it neither read nor write: a phone that left without a word.
        self.awake = asyncio.Event()
        self.awake.set()
        self.faults = Faults(self._cut)
        self.properties = {"ro.serialno": secrets.token_hex(4), **PROPERTIES, **(properties or {})}
        self.connected = 0
        self.port = port
        self._mark = f"ADB_TEST_PHONE={secrets.token_hex(16)}"
        self._features = tuple(features)
        self._files = Files(self.root, self.faults)
        self._shell = Shell(self.root, tuple(mapped), self._mark, self.faults)
        self._connections: set[Connection] = set()
        self._server: asyncio.Server | None = None
        self._lay_out()

    def program(self, name: str, body: str) -> Path:
        """Put a shell script into the phone's $PATH."""
        path = self.root / "bin" / name
        # What is there may be a link to a program of this machine.
        path.unlink(missing_ok=True)
        path.write_text(f"#!/bin/sh\n{body}")
        path.chmod(0o755)
        return path

    def fill_up(self, free_bytes: int) -> None:
        """Let `free_bytes` more be pushed, and `df` say that nothing is free."""
        self.faults.free_bytes = free_bytes
        self.program("df", DF)

    async def plug_in(self) -> None:
        """Be there for hosts, on the same port each time."""
        if self._server is None:
            self._server = await asyncio.start_server(self._on_connect, "127.0.0.1", self.port, limit=4 << 20)
            self.port = self._server.sockets[0].getsockname()[1]

    def unplug(self) -> None:
        """Be away until plugged in again; every link is cut."""
        if self._server is not None:
            self._server.close()
            self._server = None
        self.cut()

    def cut(self) -> None:
        """Cut every link, as if the cable were pulled and put back."""
        for connection in list(self._connections):
            connection.abort()

    def roam(self) -> None:
        """Be there for new links; those that fell asleep stay open and silent."""
        self.awake = asyncio.Event()
        self.awake.set()

    async def stop(self) -> None:
        """Be away for good, and end what still runs."""
        self.unplug()
        for connection in self._connections:
            connection.awake.set()
        for pid in self.processes():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        while self._connections:
            await asyncio.sleep(0.01)

    def processes(self) -> dict[int, str]:
        """Every process that runs on the phone, by its id: the command line."""
        found = {}
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                with contextlib.suppress(OSError):
                    if self._mark.encode() in (entry / "environ").read_bytes().split(b"\0"):
                        line = (entry / "cmdline").read_bytes().replace(b"\0", b" ")
                        found[int(entry.name)] = line.decode(errors="replace").strip()
        return found

    def banner(self) -> bytes:
        """What it says of itself when a host connects."""
        names = ("ro.product.name", "ro.product.model", "ro.product.device")
        told = "".join(f"{name}={self.properties[name]};" for name in names)
        return f"device::{told}features={','.join(self._features)}".encode()

    def service(self, name: str) -> Service | None:
        """The service of that name: sync:, shell:COMMAND, shell,v2,...:COMMAND, exec:COMMAND."""
        if name == "sync:":
            return self._files.serve
        kind, found, command = name.partition(":")
        head, *options = kind.split(",")
        if not found or head not in ("shell", "exec"):
            return None
        v2 = "v2" in options

        async def run(stream: Stream) -> None:
            await self._shell.run(stream, command, v2=v2, merge=head == "shell" and not v2)

        return run

    def _lay_out(self) -> None:
        for folder in ("bin", "data/local/tmp", "sdcard"):
            (self.root / folder).mkdir(parents=True, exist_ok=True)
        lines = (f"{name}={value}\n" for name, value in self.properties.items())
        (self.root / "properties").write_text("".join(lines))
        self.program("getprop", GETPROP)
        if not (self.root / "bin" / "sh").exists():
            (self.root / "bin" / "sh").symlink_to(SHELL)

    def _cut(self, stay_out: bool) -> None:
        (self.unplug if stay_out else self.cut)()

    async def _on_connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = Connection(self, reader, writer)
        self._connections.add(connection)
        self.connected += 1
        try:
            await connection.serve()
        finally:
            self._connections.discard(connection)
