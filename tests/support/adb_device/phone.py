"""A device in a thread of its own, and its place at an adb server."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from tests.support.adb_device.device import Device
from tests.support.adb_device.server import AdbServer

COMMANDS_AT_ONCE = 64
WAIT_S = 15.0
_T = TypeVar("_T")


class Phone:
    """A phone that a test holds in its hand. Its methods may be called from any thread.

    Args:
        device: not yet running.
        server: where it is connected.
    """

    def __init__(self, device: Device, server: AdbServer) -> None:
        self.device = device
        self._server = server
        self._loop = asyncio.new_event_loop()
        self._executor = ThreadPoolExecutor(COMMANDS_AT_ONCE)
        self._loop.set_default_executor(self._executor)
        self._thread = threading.Thread(target=self._loop.run_forever, name="phone", daemon=True)
        self._thread.start()
        self._await(device.plug_in())

    @property
    def serial(self) -> str:
        """How adb names it."""
        return f"127.0.0.1:{self.device.port}"

    @property
    def root(self) -> Path:
        """The directory that stands for its file system."""
        return self.device.root

    def path(self, remote: str) -> Path:
        """Where a path of the phone lies on this machine."""
        return self.root / remote.lstrip("/")

    @property
    def state(self) -> str | None:
        """What adb says of it; None where it does not know it."""
        for line in self._server.adb("devices").splitlines():
            serial, _, state = line.partition("\t")
            if serial == self.serial:
                return state
        return None

    def connect(self, state: str = "device") -> None:
        """Connect it and wait for a state."""
        self._server.adb("connect", self.serial)
        self.await_state(state)

    def await_state(self, state: str | None) -> None:
        """Wait until adb gives it a state."""
        wait_until(lambda: self.state == state, f"{self.serial} never was {state}")

    def disconnect(self) -> None:
        """Make the adb server forget it."""
        self._server.adb("disconnect", self.serial)

    def cut(self) -> None:
        """Pull the cable and put it back."""
        self._call(self.device.cut)

    def unplug(self) -> None:
        """Pull the cable."""
        self._call(self.device.unplug)

    def replug(self) -> None:
        """Put the cable back; adb is not told."""
        self._await(self.device.plug_in())

    def fall_asleep(self) -> None:
        """Neither read nor write any more, with every link open."""
        self._call(self.device.awake.clear)

    def wake(self) -> None:
        """Go on where it fell asleep."""
        self._call(self.device.awake.set)

    def roam(self) -> None:
        """Be there for new links, without noticing that the old ones are lost."""
        self._call(self.device.roam)

    def processes(self) -> list[str]:
        """Command lines of what runs on it."""
        return list(self.device.processes().values())

    def stop(self) -> None:
        """Be away for good; nothing of it stays."""
        self.disconnect()
        self._await(self.device.stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(WAIT_S)
        self._executor.shutdown()
        self._loop.close()

    def _await(self, step: Coroutine[object, object, _T]) -> _T:
        return asyncio.run_coroutine_threadsafe(step, self._loop).result(WAIT_S)

    def _call(self, step: Callable[[], None]) -> None:
        async def run() -> None:
            step()

        self._await(run())


def wait_until(condition: Callable[[], bool], otherwise: str = "", timeout_s: float = WAIT_S) -> None:
    """Wait for a condition.

    Raises:
        AssertionError: it never held.
    """
    deadline = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(otherwise or "it never came about")
        time.sleep(0.02)
