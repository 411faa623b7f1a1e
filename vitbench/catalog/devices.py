"""Options of a command that say which device is meant, and how it is used."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from vitbench.catalog.specs import TargetSpec
from vitbench.errors import UsageError

PHONES, BOARDS = "adb", "ssh"
LOCAL = "local"


@dataclass(frozen=True)
class DeviceOptions:
    """What a user said of a phone or of a board; None where nothing was said.

    Attributes:
        serial: a phone's serial number, or `host:port`.
        binary: benchmark_model on this machine.
        cluster: `little`, `big` or `prime`.
        host: a board, as ssh is told; `local` where this machine is the board.
    """

    serial: str | None = None
    binary: Path | None = None
    cluster: str | None = None
    host: str | None = None

    def apply(self, targets: Sequence[TargetSpec]) -> list[TargetSpec]:
        """The targets, with phones and boards among them as they were asked for.

        Raises:
            UsageError: something was said of a phone or a board, and no target is one; or one host was given
                to several boards.
        """
        of_phones = {
            "--serial": self.serial,
            "--benchmark-binary": self.binary,
            "--cluster": self.cluster,
        }
        _refuse(of_phones, targets, PHONES, "phones", "add -t snapdragon")
        boards = _refuse(
            {"--host": self.host}, targets, BOARDS, "boards", 'name a target with transport = "ssh"'
        )
        if self.host is not None and len(boards) > 1:
            names = ", ".join(target.name for target in boards)
            raise UsageError(
                f"--host {self.host} cannot be each of {names}",
                'measure them one by one, or give each its `host = "..."` in its TOML file',
            )
        return [self._apply(target) for target in targets]

    def _apply(self, target: TargetSpec) -> TargetSpec:
        if target.transport == PHONES:
            return self._phone(target)
        if target.transport == BOARDS and self.host is not None:
            here = {"transport": LOCAL, "host": None}
            return _changed(target, here if self.host == LOCAL else {"host": self.host}, "--host")
        return target

    def _phone(self, target: TargetSpec) -> TargetSpec:
        options: dict[str, Any] = {
            "binary": None if self.binary is None else str(self.binary),
            "cluster": self.cluster,
        }
        chosen = {name: value for name, value in options.items() if value is not None}
        changes: dict[str, Any] = {"options": {**target.options, **chosen}}
        if self.serial is not None:
            changes["serial"] = self.serial
        return _changed(target, changes, "--serial")


def _changed(target: TargetSpec, changes: Mapping[str, Any], option: str) -> TargetSpec:
    """A target with some fields changed.

    Raises:
        UsageError: the value of the option is none that such a target can have.
    """
    try:
        return TargetSpec.model_validate({**target.model_dump(), **changes})
    except ValidationError as error:
        value = error.errors()[0]["input"]
        raise UsageError(
            f"{option} '{value}' names no device", "it has letters, digits and signs, and no spaces"
        ) from None


def _refuse(
    said: Mapping[str, object], targets: Sequence[TargetSpec], transport: str, kind: str, instead: str
) -> list[TargetSpec]:
    """The targets that options are about.

    Raises:
        UsageError: an option was given, and there are none.
    """
    meant = [target for target in targets if target.transport == transport]
    given = [option for option, value in said.items() if value is not None]
    if given and not meant:
        names = ", ".join(target.name for target in targets)
        raise UsageError(f"{given[0]} is of {kind}, and {names} is none", f"drop {given[0]}, or {instead}")
    return meant
