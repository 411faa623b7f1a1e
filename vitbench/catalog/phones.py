"""Options of a command that say which phone is meant, and how it is used."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vitbench.catalog.specs import TargetSpec
from vitbench.errors import UsageError

TRANSPORT = "adb"


@dataclass(frozen=True)
class PhoneOptions:
    """What a user said of the phone; None where nothing was said.

    Attributes:
        serial: its serial number, or `host:port`.
        binary: benchmark_model on this machine.
        cluster: `little`, `big` or `prime`.
    """

    serial: str | None = None
    binary: Path | None = None
    cluster: str | None = None

    def apply(self, targets: Sequence[TargetSpec]) -> list[TargetSpec]:
        """The targets, with those that are phones as they were asked for.

        Raises:
            UsageError: something was said of a phone, and no target is one.
        """
        said = {
            "--serial": self.serial,
            "--benchmark-binary": self.binary,
            "--cluster": self.cluster,
        }
        given = [option for option, value in said.items() if value is not None]
        phones = [target for target in targets if target.transport == TRANSPORT]
        if given and not phones:
            names = ", ".join(target.name for target in targets)
            raise UsageError(
                f"{given[0]} is of phones, and {names} is none", f"drop {given[0]}, or add -t snapdragon"
            )
        return [self._apply(target) if target in phones else target for target in targets]

    def _apply(self, target: TargetSpec) -> TargetSpec:
        options: dict[str, Any] = {
            "binary": None if self.binary is None else str(self.binary),
            "cluster": self.cluster,
        }
        chosen = {name: value for name, value in options.items() if value is not None}
        changes: dict[str, Any] = {"options": {**target.options, **chosen}}
        if self.serial is not None:
            changes["serial"] = self.serial
        return target.model_copy(update=changes)
