"""Options of a command that say which device is meant, and how it is used."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
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
        host: a board, or a computer with a GPU, as ssh is told; `local` where this machine is that.
        lock_clocks: whether a board's clocks are held while it is measured.
    """

    serial: str | None = None
    binary: Path | None = None
    cluster: str | None = None
    host: str | None = None
    lock_clocks: bool | None = None

    def apply(self, targets: Sequence[TargetSpec]) -> list[TargetSpec]:
        """The targets, with phones and boards among them as they were asked for.

        Raises:
            UsageError: something was said of a phone or a board, and no target is one; or one host was given
                to several boards.
        """
        self.check(targets)
        boards = [target for target in targets if takes_host(target)]
        if self.host is not None and len(boards) > 1:
            names = ", ".join(target.name for target in boards)
            raise UsageError(
                f"--host {self.host} cannot be each of {names}",
                'measure them one by one, or give each its `host = "..."` in its TOML file',
            )
        return [self._apply(target) for target in targets]

    def check(self, targets: Sequence[TargetSpec]) -> None:
        """Check that everything is said of one of the targets at least.

        Raises:
            UsageError: something was said of a phone or a board, and no target is one.
        """
        of_phones = {
            "--serial": self.serial,
            "--benchmark-binary": self.binary,
            "--cluster": self.cluster,
        }
        _refuse(of_phones, targets, _is_phone, "phones", "add -t snapdragon")
        of_boards = {"--host": self.host, "--lock-clocks": self.lock_clocks}
        _refuse(of_boards, targets, takes_host, "boards", "add -t orin")

    def meant_for(self, target: TargetSpec) -> DeviceOptions:
        """What is said of this one, where several were asked for together and `check` has seen them all."""
        phone, board = _is_phone(target), takes_host(target)
        return DeviceOptions(
            serial=self.serial if phone else None,
            binary=self.binary if phone else None,
            cluster=self.cluster if phone else None,
            host=self.host if board else None,
            lock_clocks=self.lock_clocks if board else None,
        )

    def _apply(self, target: TargetSpec) -> TargetSpec:
        if _is_phone(target):
            return self._phone(target)
        return self._board(target) if takes_host(target) else target

    def _board(self, target: TargetSpec) -> TargetSpec:
        changes: dict[str, Any] = {} if self.lock_clocks is None else {"lock_clocks": self.lock_clocks}
        if self.host is not None:
            here = {"transport": LOCAL, "host": None}
            changes |= here if self.host == LOCAL else {"transport": BOARDS, "host": self.host}
        return _changed(target, changes, "--host") if changes else target

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


def _is_phone(target: TargetSpec) -> bool:
    return target.transport == PHONES


def takes_host(target: TargetSpec) -> bool:
    """Whether ssh may lead to it: boards, and computers with a device of their own, which may be this one."""
    return target.transport == BOARDS or (target.transport == LOCAL and bool(target.devices))


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
    said: Mapping[str, object],
    targets: Sequence[TargetSpec],
    is_meant: Callable[[TargetSpec], bool],
    kind: str,
    instead: str,
) -> None:
    """Refuse options that are about none of the targets.

    Raises:
        UsageError: one was given.
    """
    given = [option for option, value in said.items() if value is not None]
    if given and not any(map(is_meant, targets)):
        names = ", ".join(target.name for target in targets)
        raise UsageError(f"{given[0]} is of {kind}, and {names} is none", f"drop {given[0]}, or {instead}")
