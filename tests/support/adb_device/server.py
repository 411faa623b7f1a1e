"""An adb server of the tests' own: no other server, and no real phone, is touched."""

from __future__ import annotations

import os
import socket
import subprocess
from pathlib import Path

ADB_TIMEOUT_S = 30.0


class AdbServer:
    """A private adb server: own port, own keys.

    Args:
        home: directory for its keys and log.
    """

    def __init__(self, home: Path) -> None:
        home.mkdir(parents=True, exist_ok=True)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = int(probe.getsockname()[1])
        # What a program needs to talk to this server. Real phones and emulators are none of its business.
        self.environment = {
            "ANDROID_ADB_SERVER_PORT": str(self.port),
            "ADB_USB": "0",
            "ADB_EMU": "0",
            "ADB_MDNS": "0",
        }
        self._environment = {
            **{name: value for name, value in os.environ.items() if name != "ANDROID_SERIAL"},
            **self.environment,
            "HOME": str(home),
            "TMPDIR": str(home),
        }
        self.adb("start-server")

    def adb(self, *arguments: str) -> str:
        """Run adb against this server; returns what it said on both streams."""
        done = subprocess.run(
            ["adb", *arguments],
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=ADB_TIMEOUT_S,
            text=True,
            check=False,
        )
        return done.stdout

    def stop(self) -> None:
        """End this server, and no other."""
        self.adb("kill-server")
