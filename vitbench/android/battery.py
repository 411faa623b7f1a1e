"""What feeds a phone, and whether its screen is on."""

from __future__ import annotations

import re
from dataclasses import dataclass

from vitbench.android.shell import fields, number

COMMANDS = "dumpsys battery"
# The whole dump has thousands of lines.
SCREEN_COMMANDS = "dumpsys power | grep -E 'mWakefulness=|Display Power'"
SAVER_COMMANDS = "settings get global low_power"

_STATUSES = {2: "charging", 3: "discharging", 4: "not charging", 5: "full"}
_PLUGS = ("AC", "USB", "Wireless", "Dock")
_WAKEFULNESS = re.compile(r"\bmWakefulness=(\w+)")
_DISPLAY = re.compile(r"\bDisplay Power: state=(\w+)")


@dataclass(frozen=True)
class Battery:
    """The battery; None where the phone does not tell. `plugged` is empty on battery power.

    `faked` where somebody set the figures by hand (`dumpsys battery set`): they are no measurement then.
    """

    level_percent: float | None
    temp_c: float | None
    plugged: tuple[str, ...] | None
    status: str | None
    faked: bool = False


def parse_battery(text: str) -> Battery | None:
    """Read the dump of the battery service; None where there is none."""
    told = fields(text, ":")
    if "level" not in told and "temperature" not in told:
        return None
    level, scale = number(told.get("level")), number(told.get("scale")) or 100.0
    tenths = number(told.get("temperature"))
    plugs = {plug: told.get(f"{plug} powered") for plug in _PLUGS}
    status = number(told.get("status"))
    return Battery(
        level_percent=None if level is None else 100.0 * level / scale,
        temp_c=None if tenths is None else tenths / 10,
        plugged=tuple(plug for plug, value in plugs.items() if value == "true")
        if any(plugs.values())
        else None,
        status=None if status is None else _STATUSES.get(int(status)),
        faked="UPDATES STOPPED" in text,
    )


def parse_screen(text: str) -> bool | None:
    """Whether the screen is on: by the display's power, else by how awake the phone is."""
    if display := _DISPLAY.search(text):
        return display[1] == "ON"
    awake = _WAKEFULNESS.search(text)
    return None if awake is None else awake[1] in ("Awake", "Dreaming")


def parse_saver(text: str) -> bool | None:
    """Whether the battery saver, which holds clocks down, is on."""
    return {"0": False, "1": True, "null": False}.get(text.strip())
