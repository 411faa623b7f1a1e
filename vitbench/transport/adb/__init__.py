"""A phone behind the `adb` program."""

from __future__ import annotations

from vitbench.transport.adb.transport import AdbTransport

__all__ = ["AdbTransport"]
