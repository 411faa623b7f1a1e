"""How warm a phone is, and whether it says that it throttles: from `dumpsys thermalservice`."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

COMMANDS = "dumpsys thermalservice"
# A sensor that is not there reports 0, or a figure that no phone can have.
PLAUSIBLE_C = (-40.0, 150.0)
STATUSES = ("none", "light", "moderate", "severe", "critical", "emergency", "shutdown")
# From `light` on Android itself says that clocks are held down.
THROTTLED_FROM = 1

# android.hardware.thermal.TemperatureType
_KINDS = {
    0: "CPU",
    1: "GPU",
    2: "BATTERY",
    3: "SKIN",
    4: "USB_PORT",
    5: "POWER_AMPLIFIER",
    6: "BCL_VOLTAGE",
    7: "BCL_CURRENT",
    8: "BCL_PERCENTAGE",
    9: "NPU",
    10: "TPU",
    11: "DISPLAY",
    12: "MODEM",
    13: "SOC",
    14: "WIFI",
    15: "CAMERA",
    16: "FLASHLIGHT",
    17: "SPEAKER",
    18: "AMBIENT",
    19: "POGO",
}
_STATUS = re.compile(r"^\s*Thermal Status:\s*(-?\d+)", re.MULTILINE)
# A status that somebody set by hand, or that no sensor stands behind, is none.
_NO_STATUS = re.compile(r"^\s*(?:IsStatusOverride: true|HAL Ready: false)", re.MULTILINE)
_BLOCK = re.compile(
    r"^\s*Current temperatures from HAL:\s*\n(?P<block>(?:\s*Temperature\{.*\n?)*)", re.MULTILINE
)
_TEMPERATURE = re.compile(r"Temperature\{(?P<fields>[^}]*)\}")


@dataclass(frozen=True)
class Temperature:
    """One sensor, in degrees C. `kind` is Android's (CPU, SKIN, ...), `name` the maker's."""

    kind: str
    name: str
    degrees_c: float


@dataclass(frozen=True)
class Thermal:
    """What the thermal service tells; `status` from 0 (none) to 6 (shutdown), None where it does not."""

    status: int | None
    temperatures: tuple[Temperature, ...]

    @property
    def throttled(self) -> bool | None:
        """Whether the phone says that it holds its clocks down."""
        return None if self.status is None else self.status >= THROTTLED_FROM

    def hottest_c(self, kind: str) -> float | None:
        """The hottest sensor of a kind, in degrees C."""
        return max((each.degrees_c for each in self.temperatures if each.kind == kind), default=None)

    @property
    def cpu_c(self) -> float | None:
        """The hottest sensor of the CPUs; of the whole chip where those have none."""
        cpus = self.hottest_c("CPU")
        return self.hottest_c("SOC") if cpus is None else cpus

    @property
    def skin_c(self) -> float | None:
        """The hottest place of the surface: what makes phones throttle."""
        return self.hottest_c("SKIN")


def parse_thermal(text: str) -> Thermal | None:
    """Read the service's dump; None where there is no such service (before Android 10).

    Temperatures are those measured now. The cached ones, from the last time that a threshold was crossed, are
    no measurement: a phone that has no others tells no temperature.
    """
    status = _STATUS.search(text)
    block = _BLOCK.search(text)
    if status is None and block is None:
        return None
    number = int(status[1]) if status and not _NO_STATUS.search(text) else -1
    return Thermal(number if number >= 0 else None, _temperatures(block["block"] if block else ""))


def _temperatures(block: str) -> tuple[Temperature, ...]:
    found = (_temperature(match["fields"]) for match in _TEMPERATURE.finditer(block))
    return tuple(each for each in found if each is not None)


def _temperature(fields: str) -> Temperature | None:
    told = dict(_pairs(fields.split(",")))
    try:
        degrees, number = float(told["mValue"]), int(told["mType"])
    except (KeyError, ValueError):
        return None
    # NaN is in no interval.
    if degrees == 0.0 or not PLAUSIBLE_C[0] < degrees < PLAUSIBLE_C[1]:
        return None
    name = told.get("mName", "")
    # Some makers number the kinds in a way of their own, and say the kind in the name.
    said = name.removeprefix("TYPE_")
    kind = said if said != name and said in _KINDS.values() else _KINDS.get(number, "UNKNOWN")
    return Temperature(kind, name, degrees)


def _pairs(words: Sequence[str]) -> list[tuple[str, str]]:
    pairs = (word.partition("=") for word in words)
    return [(name.strip(), value.strip()) for name, found, value in pairs if found]
