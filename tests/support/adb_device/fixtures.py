"""Fixtures for tests against phones; `tests/conftest.py` takes them in."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Protocol

import pytest

from tests.support.adb_device.device import FEATURES, Device
from tests.support.adb_device.phone import Phone
from tests.support.adb_device.server import AdbServer


class MakePhone(Protocol):
    """Makes a phone, connected unless told otherwise; it is gone after the test."""

    def __call__(
        self,
        properties: Mapping[str, str] | None = None,
        *,
        trusted: bool = True,
        connect: bool = True,
        features: Sequence[str] = FEATURES,
        port: int = 0,
    ) -> Phone: ...


@pytest.fixture(scope="session")
def adb_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AdbServer]:
    """An adb server for all tests of the session; `environment` leads programs to it."""
    server = AdbServer(tmp_path_factory.mktemp("adb-home"))
    yield server
    server.stop()


@pytest.fixture
def make_phone(adb_server: AdbServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[MakePhone]:
    """Make phones. Programs that the test starts, and the test itself, reach the private adb server."""
    for name, value in adb_server.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("ANDROID_SERIAL", raising=False)
    with contextlib.ExitStack() as stack:
        made = 0

        def make(
            properties: Mapping[str, str] | None = None,
            *,
            trusted: bool = True,
            connect: bool = True,
            features: Sequence[str] = FEATURES,
            port: int = 0,
        ) -> Phone:
            nonlocal made
            made += 1
            root = tmp_path / f"phone{made}"
            device = Device(root, properties, trusted=trusted, features=features, port=port)
            phone = Phone(device, adb_server)
            stack.callback(phone.stop)
            if connect:
                phone.connect()
            return phone

        yield make
