"""Which phone is meant, and what to tell when it cannot be used."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping

from vitbench.errors import TargetUnreachable, UsageError, VitbenchError

READY = "device"
PASSING = ("authorizing", "connecting", "offline")
_ADDRESS = re.compile(r".+:\d{1,5}")


def is_address(serial: str) -> bool:
    """Whether the phone is reached over the network, as `host:port`."""
    return _ADDRESS.fullmatch(serial) is not None


def asked_serial(of_target: str | None) -> tuple[str | None, str]:
    """The serial number that was asked for and by what: the target, else $ANDROID_SERIAL."""
    if of_target:
        return of_target, "the target"
    return os.environ.get("ANDROID_SERIAL") or None, "$ANDROID_SERIAL"


def only_device(listed: Mapping[str, str], target: str) -> str:
    """The serial number of the one phone there is.

    Args:
        listed: serial number to state.
        target: name of the target, for messages.

    Raises:
        TargetUnreachable: there is none.
        UsageError: there are several.
    """
    if not listed:
        raise TargetUnreachable(
            f"no phone is connected for target '{target}'",
            "connect one with USB debugging switched on and look for it in `adb devices`; "
            "one on the network is named with --serial HOST:PORT",
        )
    if len(listed) > 1:
        raise UsageError(
            f"{len(listed)} phones are connected, and target '{target}' does not say which: {told(listed)}",
            f"choose one with `--serial {min(listed)}`, or with $ANDROID_SERIAL",
        )
    return next(iter(listed))


def told(listed: Mapping[str, str]) -> str:
    """The phones there are: "A1 (device), B2 (offline)"."""
    return ", ".join(f"{serial} ({state})" for serial, state in sorted(listed.items())) or "none"


def refusal(
    serial: str, state: str | None, listed: Mapping[str, str], *, asked_by: str = "", said: str = ""
) -> VitbenchError:
    """The error for a phone that is in no state to be used.

    Args:
        serial: the phone.
        state: what adb says of it; None where it does not know it.
        listed: every phone it knows.
        asked_by: who named the phone.
        said: what adb replied when it was told to connect.
    """
    if state is None:
        return _unknown(serial, listed, asked_by, said)
    if state == "unauthorized" or state == "authorizing":
        return TargetUnreachable(
            f"phone {serial} does not trust this computer (adb says {state})",
            "unlock the phone, accept the question about USB debugging on its screen, and try again",
        )
    if state.startswith("no permissions"):
        return TargetUnreachable(
            f"this user may not open phone {serial}: {state}",
            "add the udev rules for Android devices (package android-sdk-platform-tools-common), "
            "join the group plugdev, and plug the phone in again",
        )
    if state in PASSING:
        return TargetUnreachable(
            f"phone {serial} is {state}: it is known to adb but does not answer",
            "plug it in again or switch its USB debugging off and on, then try again",
            transient=True,
        )
    return TargetUnreachable(
        f"phone {serial} is in state '{state}', in which nothing can be run",
        "start Android on it and wait until `adb devices` lists it as `device`",
    )


def _unknown(serial: str, listed: Mapping[str, str], asked_by: str, said: str) -> VitbenchError:
    by = f", which {asked_by} asks for," if asked_by else ""
    if is_address(serial):
        reply = f" ({said})" if said else ""
        return TargetUnreachable(
            f"no phone answers at {serial}{reply}",
            f"see that it is on this network with wireless debugging on, and try `adb connect {serial}`; "
            f"connected are: {told(listed)}",
        )
    return TargetUnreachable(
        f"there is no phone {serial}{by} among those connected: {told(listed)}",
        "plug it in, or choose one of those with --serial; one on the network is named HOST:PORT",
    )
