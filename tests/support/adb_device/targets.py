"""Targets that are phones."""

from __future__ import annotations

from vitbench.catalog.specs import TargetSpec
from vitbench.transport.adb import AdbTransport


def phone_target(serial: str | None = None) -> TargetSpec:
    """A target behind adb."""
    fields = {
        "name": "phone",
        "title": "",
        "transport": "adb",
        "runtime": "benchmark_model",
        "serial": serial,
    }
    return TargetSpec.model_validate(fields)


def open_phone(serial: str | None = None) -> AdbTransport:
    """The transport to a phone."""
    return AdbTransport(phone_target(serial))
