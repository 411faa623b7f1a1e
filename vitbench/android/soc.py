"""What a phone is: its system on a chip, its Android, and which programs it executes."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from vitbench.android.shell import fields

PROPERTIES = (
    "ro.soc.model",
    "ro.soc.manufacturer",
    "ro.board.platform",
    "ro.hardware",
    "ro.product.manufacturer",
    "ro.product.model",
    "ro.product.cpu.abilist",
    "ro.product.cpu.abi",
    "ro.build.version.release",
    "ro.build.version.sdk",
    "ro.build.fingerprint",
)
COMMANDS = (
    f"for p in {' '.join(PROPERTIES)}; do echo \"$p=$(getprop $p)\"; done; grep -i '^Hardware' /proc/cpuinfo"
)


@dataclass(frozen=True)
class Soc:
    """A system on a chip: the maker's number of the part, or the platform's code name where that is all.

    `name` is what it is sold as, None where that is not known for sure; `source` is where `part` was read.
    """

    part: str
    manufacturer: str | None
    name: str | None
    source: str

    def is_part(self, part: str) -> bool:
        """Whether this is the part of that number, with or without a suffix: SM8750P is an SM8750."""
        return is_same_part(self.part, part)


@dataclass(frozen=True)
class Phone:
    """A phone and its system; None, or no ABI at all, where it does not tell. `android` is its release."""

    model: str | None
    soc: Soc | None
    android: str | None
    sdk: int | None
    abis: tuple[str, ...]
    fingerprint: str | None


def parse_phone(text: str) -> Phone:
    """Read the answer to `COMMANDS`."""
    properties = fields(text)
    names = [properties.get(f"ro.product.{name}") for name in ("manufacturer", "model")]
    sdk = properties.get("ro.build.version.sdk", "")
    abis = properties.get("ro.product.cpu.abilist") or properties.get("ro.product.cpu.abi", "")
    return Phone(
        model=" ".join(name for name in names if name) or None,
        soc=find_soc(properties, fields(text, ":")),
        android=properties.get("ro.build.version.release"),
        sdk=int(sdk) if sdk.isdecimal() else None,
        abis=tuple(abi.strip() for abi in abis.split(",") if abi.strip()),
        fingerprint=properties.get("ro.build.fingerprint"),
    )


def find_soc(properties: Mapping[str, str], cpuinfo: Mapping[str, str]) -> Soc | None:
    """The system on a chip, from the property made for it (API 31), else from what older phones tell.

    Args:
        properties: Android's properties.
        cpuinfo: fields of /proc/cpuinfo.
    """
    maker = _told(properties, "ro.soc.manufacturer")
    if part := _told(properties, "ro.soc.model"):
        return Soc(part, maker, marketing_name(part), "ro.soc.model")
    for source in ("ro.board.platform", "ro.hardware"):
        if platform := _told(properties, source):
            return _of_platform(platform, maker, source)
    hardware = next((value for name, value in cpuinfo.items() if name.lower() == "hardware"), "")
    if words := hardware.split():
        # "Qualcomm Technologies, Inc SM8150": the number comes last.
        return Soc(words[-1], maker, marketing_name(words[-1]), "/proc/cpuinfo")
    return None


def marketing_name(part: str) -> str | None:
    """What a part is sold as; of several numbers that it begins with, the longest decides."""
    known = [number for number in _names() if is_same_part(part, number)]
    return _names()[max(known, key=len)] if known else None


def is_same_part(part: str, wanted: str) -> bool:
    """Whether a part has the wanted number, apart from a suffix that is no digit."""
    rest = part.upper().removeprefix(wanted.upper())
    return bool(wanted) and len(rest) == len(part) - len(wanted) and not rest[:1].isdigit()


def _of_platform(platform: str, maker: str | None, source: str) -> Soc:
    """A platform may have several parts: only what they share is known, and a name only where it has one."""
    parts = _platforms().get(platform.lower(), [])
    shared = parts[0] if parts and all(is_same_part(part, parts[0]) for part in parts) else platform
    return Soc(shared, maker, marketing_name(shared) if len(parts) == 1 else None, source)


def _told(properties: Mapping[str, str], name: str) -> str | None:
    value = properties.get(name, "")
    return None if value.lower() in ("", "unknown", "undefined") else value


@cache
def _table() -> dict[str, dict[str, object]]:
    return tomllib.loads(files("vitbench.android").joinpath("socs.toml").read_text(encoding="utf-8"))


def _names() -> dict[str, str]:
    return {part: str(name) for part, name in _table()["names"].items()}


def _platforms() -> dict[str, list[str]]:
    return {
        name: list(map(str, parts))
        for name, parts in _table()["platforms"].items()
        if isinstance(parts, list)
    }
