"""The knobs of a phone that bear on its speed, one small class each. `phone_needs` has what it must have."""

from __future__ import annotations

from typing import Any, ClassVar

from vitbench.android.clusters import cores_of, mask_of
from vitbench.android.thermal import STATUSES
from vitbench.doctor.machine import Finding
from vitbench.doctor.phone_state import Handset, PhoneKnob
from vitbench.errors import UsageError, VitbenchError
from vitbench.runtime.phone import hot

BATTERY_LOW_PERCENT = 20.0
# A phone is never as idle as a computer: with its screen on, drawing alone takes some.
BUSY_CPUS = 0.5
COOL = "let it cool: out of its case, off its charger, on something hard"


class Governor(PhoneKnob):
    """A governor that follows the load needs time to bring the clocks up."""

    name: ClassVar[str] = "governor"

    def judge(self, phone: Handset) -> Finding:
        """Ok when every CPU that is used is at `performance`, which only root can say."""
        cpus = phone.cpus()
        mask = None if isinstance(cpus, UsageError) else mask_of(cpus)
        governors = {core.governor for core in cores_of(phone.state.cores, mask)}
        told = sorted(governor for governor in governors if governor is not None)
        if not told:
            return self.unknown("the phone does not tell")
        if governors == {"performance"}:
            return self.ok("performance")
        if None in governors:
            return self.unknown(f"{', '.join(told)} on some of the cores, the others do not tell")
        files = "/sys/devices/system/cpu/cpu*/cpufreq/scaling_governor"
        return self.warn(
            f"{', '.join(told)}: clocks follow the load; only a rooted phone can hold them",
            f"{phone.shell} su -c \"'echo performance | tee {files}'\"",
        )


class Clocks(PhoneKnob):
    """A core that something keeps below its highest clock is another, slower core."""

    name: ClassVar[str] = "clocks"

    def judge(self, phone: Handset) -> Finding:
        """Ok when every core that is used may reach its highest clock."""
        cpus = phone.cpus()
        mask = None if isinstance(cpus, UsageError) else mask_of(cpus)
        used = cores_of(phone.state.cores, mask)
        if not used or any(core.capped is None for core in used):
            return self.unknown("the phone does not tell how fast each core may run now")
        capped = [core for core in used if core.capped]
        if capped:
            told = ", ".join(
                f"CPU {core.cpu} at most {core.limit_mhz:.0f} of {core.max_mhz:.0f} MHz" for core in capped
            )
            return self.warn(f"held down: {told}", "let it cool, and switch its battery saver off")
        speeds = sorted({core.max_mhz for core in used if core.max_mhz is not None}, reverse=True)
        return self.ok(f"may reach {' and '.join(f'{speed:.0f}' for speed in speeds)} MHz")


class FixedMode(PhoneKnob):
    """Android's mode for benchmarks: clocks that the phone can hold."""

    name: ClassVar[str] = "fixed performance"

    def judge(self, phone: Handset) -> Finding:
        """Ok when the phone has the mode, which a measurement then holds; it was tried, and left again."""
        mode = phone.fixed
        if mode is None:
            return self.warn(
                "the target does not ask for it", "set `fixed_performance = true` in the target's [options]"
            )
        if isinstance(mode, VitbenchError):
            return self.refused(mode)
        if mode.active:
            return self.ok("supported: on while a measurement runs, off afterwards")
        said = f": {mode.answer.splitlines()[-1]}" if mode.answer else ""
        return self.warn(
            f"not supported{said}", "compare only what was measured in pairs: `vitbench compare`"
        )


class ThermalStatus(PhoneKnob):
    """A phone says itself when it holds its clocks down for heat."""

    name: ClassVar[str] = "thermal status"

    def judge(self, phone: Handset) -> Finding:
        """Fail above 0: a block waits, and does not count."""
        status = None if phone.state.thermal is None else phone.state.thermal.status
        if status is None:
            return self.unknown("the phone does not tell")
        name = STATUSES[status] if status < len(STATUSES) else "unknown"
        return self.ok(f"{status} ({name})") if status == 0 else self.fail(f"{status} ({name})", COOL)


class Temperature(PhoneKnob):
    """Above the target's ceiling a block waits."""

    name: ClassVar[str] = "temperature"

    def judge(self, phone: Handset) -> Finding:
        """Fail where the skin, or else the battery, is too warm for a block to start."""
        readings = phone.state.readings()
        ceiling_c = phone.options.get("ceiling_c")
        known = [
            f"{what} {float(readings[name]):.1f} C"
            for name, what in (("skin_c", "skin"), ("battery_c", "battery"), ("temp_c", "hottest CPU"))
            if name in readings
        ]
        judged: dict[str, Any] = {
            name: readings[name] for name in ("skin_c", "battery_c") if name in readings
        }
        ceiling = "" if ceiling_c is None else f"; a block waits above {ceiling_c:.1f} C"
        if not judged:
            seen = f"{', '.join(known)}: neither" if known else "neither"
            return self.unknown(f"{seen} the skin's nor the battery's is told")
        if hot(judged, ceiling_c):
            return self.fail(f"{', '.join(known)}{ceiling}", COOL)
        return self.ok(f"{', '.join(known)}{ceiling}")


class Battery(PhoneKnob):
    """A battery that is low lowers the clocks, and one that charges warms the phone."""

    name: ClassVar[str] = "battery"

    def judge(self, phone: Handset) -> Finding:
        """Warn when it is low, or charging."""
        battery = phone.state.battery
        if battery is not None and battery.faked:
            return self.unknown("its figures were set by hand", f"{phone.shell} dumpsys battery reset")
        if battery is None or battery.level_percent is None:
            return self.unknown("the phone does not tell")
        words = [f"{battery.level_percent:.0f} %", battery.status]
        if battery.plugged is not None:
            words.append(
                f"plugged in by {', '.join(battery.plugged)}" if battery.plugged else "not plugged in"
            )
        seen = ", ".join(word for word in words if word)
        if battery.level_percent < BATTERY_LOW_PERCENT:
            return self.warn(f"{seen}: phones slow down when it is low", "charge it first")
        if battery.status == "charging":
            return self.warn(f"{seen}: charging warms the phone", "wait until it is full")
        if battery.status is None:
            return self.unknown(f"{seen}; whether it charges is not told")
        return self.ok(seen)


class BatterySaver(PhoneKnob):
    """The battery saver holds the clocks down."""

    name: ClassVar[str] = "battery saver"

    def judge(self, phone: Handset) -> Finding:
        """Ok when it is off."""
        saver = phone.state.battery_saver
        if saver is None:
            return self.unknown("the phone does not tell")
        if not saver:
            return self.ok("off")
        return self.warn("on: it holds the clocks down", f"{phone.shell} settings put global low_power 0")


class ScreenOn(PhoneKnob):
    """A phone whose screen is off saves power wherever it can."""

    name: ClassVar[str] = "screen"

    def judge(self, phone: Handset) -> Finding:
        """Ok when it is on."""
        screen = phone.state.screen_on
        if screen is None:
            return self.unknown("the phone does not tell")
        if screen:
            return self.ok("on")
        return self.warn(
            "off: the phone saves power, and may put its fast cores to sleep",
            f'{phone.shell} "input keyevent KEYCODE_WAKEUP; svc power stayon true"',
        )


class OtherPrograms(PhoneKnob):
    """Apps and services take cores, caches and heat from the measurement."""

    name: ClassVar[str] = "other programs"

    def judge(self, phone: Handset) -> Finding:
        """Warn by CPU time: a phone's load average counts threads that wait for other things as well."""
        busy, cpus = phone.busy_cpus(), phone.later.cpu_count
        load = phone.later.load1
        average = "" if load is None else f"; load average {load:.2f}"
        if busy is None or cpus is None:
            return self.unknown(f"the phone does not tell how busy its CPUs are{average}")
        seen = f"{busy:.2f} of {cpus} CPUs busy{average}"
        return self.warn(seen, f"{phone.shell} top -n 1 -m 5") if busy > BUSY_CPUS else self.ok(seen)


SPEED: tuple[PhoneKnob, ...] = (
    Governor(),
    Clocks(),
    FixedMode(),
    ThermalStatus(),
    Temperature(),
    Battery(),
    BatterySaver(),
    ScreenOn(),
    OtherPrograms(),
)
