"""Everything about a phone that bears on a measurement, in one round trip."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from vitbench.android import battery, clusters, kernel, soc, thermal
from vitbench.android.battery import Battery
from vitbench.android.clusters import Core, cores_of
from vitbench.android.kernel import Kernel
from vitbench.android.shell import Run, ask
from vitbench.android.soc import Phone
from vitbench.android.thermal import Thermal

SECTIONS = {
    "phone": soc.COMMANDS,
    "kernel": kernel.COMMANDS,
    "thermal": thermal.COMMANDS,
    "battery": battery.COMMANDS,
    "screen": battery.SCREEN_COMMANDS,
    "saver": battery.SAVER_COMMANDS,
    "cores": clusters.COMMANDS,
}


@dataclass(frozen=True)
class PhoneState:
    """A phone at one moment; None where it does not tell."""

    phone: Phone
    cores: tuple[Core, ...]
    thermal: Thermal | None
    battery: Battery | None
    screen_on: bool | None
    battery_saver: bool | None
    kernel: Kernel

    def readings(self, mask: int | None = None) -> dict[str, float | str | bool]:
        """The witnesses under the names of `vitbench.agent.probe.read`; one that cannot be read is absent.

        `clock_mhz` is the highest clock that a core may reach *now*, because a core that has nothing to do
        between two programs says nothing by its present clock: heat shows as a limit that falls. `temp_c` is
        the hottest sensor of the CPUs. Beside those names: `throttled` and `thermal_status` (0 to 6) as
        Android says them, `skin_c`, `battery_c`, `battery_percent`, `plugged` (names joined with commas),
        `screen_on`, `battery_saver`.

        Args:
            mask: the CPUs that the measured program may use; None for all.
        """
        used = cores_of(self.cores, mask)
        governors = {core.governor for core in used if core.governor}
        found = {
            "clock_mhz": _highest(core.limit_mhz for core in used),
            "clock_max_mhz": _highest(core.max_mhz for core in used),
            "governor": ",".join(sorted(governors)) or None,
            **self._heat(),
            **self._supply(),
            **vars(self.kernel),
            "screen_on": self.screen_on,
            "battery_saver": self.battery_saver,
        }
        return {name: value for name, value in found.items() if value is not None}

    def capped_cpus(self, mask: int | None = None) -> tuple[int, ...]:
        """The CPUs that something, like heat, keeps below their highest clock."""
        return tuple(core.cpu for core in cores_of(self.cores, mask) if core.capped)

    def _heat(self) -> dict[str, float | bool | None]:
        if self.thermal is None:
            return {}
        return {
            "temp_c": self.thermal.cpu_c,
            "skin_c": self.thermal.skin_c,
            "thermal_status": self.thermal.status,
            "throttled": self.thermal.throttled,
        }

    def _supply(self) -> dict[str, float | str | None]:
        # Figures that somebody set by hand are no witness.
        if self.battery is None or self.battery.faked:
            return {}
        plugged = self.battery.plugged
        return {
            "battery_c": self.battery.temp_c,
            "battery_percent": self.battery.level_percent,
            "plugged": None if plugged is None else ",".join(plugged) or "no",
        }


def read(run: Run) -> PhoneState:
    """Read the state of a phone in one round trip.

    Args:
        run: runs a program on the phone and returns its stdout.

    Raises:
        ToolError: the answer stops before its end.
    """
    told = ask(run, SECTIONS)
    return PhoneState(
        phone=soc.parse_phone(told["phone"]),
        cores=clusters.parse_cores(told["cores"]),
        thermal=thermal.parse_thermal(told["thermal"]),
        battery=battery.parse_battery(told["battery"]),
        screen_on=battery.parse_screen(told["screen"]),
        battery_saver=battery.parse_saver(told["saver"]),
        kernel=kernel.parse_kernel(told["kernel"]),
    )


def _highest(clocks_mhz: Iterable[float | None]) -> float | None:
    return max((clock for clock in clocks_mhz if clock is not None), default=None)
