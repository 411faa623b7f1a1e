"""A phone for tests: what adb talks to on the other end of a cable, on loopback.

`Device` speaks the protocol of adbd and runs commands in a directory that stands for the phone. `Phone` runs
a device in a thread of its own and connects it to a private adb server, `AdbServer`. `fixtures` has the
fixtures that tests use.
"""

from __future__ import annotations

from tests.support.adb_device.device import Device
from tests.support.adb_device.phone import Phone
from tests.support.adb_device.server import AdbServer

__all__ = ["AdbServer", "Device", "Phone"]
