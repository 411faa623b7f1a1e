"""The knobs of a GPU and of its board, one small class each; judged where a target computes on one."""

from __future__ import annotations

from typing import ClassVar

from vitbench.boards.modes import highest_mode, is_highest
from vitbench.catalog.devices import takes_host
from vitbench.catalog.identity import device_name, refuse_other_device
from vitbench.doctor.machine import Finding, Knob, Machine
from vitbench.errors import UsageError

HOT_C = 80.0
OTHERS = "run vitbench on the machine that has one"
NOT_TOLD = "the device does not tell"
# Reasons for which a GPU runs slower than it could, though nothing is wrong.
HARMLESS = ("none", "gpu_idle", "applications_clocks", "display_clocks")


class Device(Knob):
    """A figure belongs to a device, and another one's never stands in its row."""

    name: ClassVar[str] = "device"

    def judge(self, machine: Machine) -> Finding:
        """Fail where there is none, or another one than the target is for."""
        name = device_name(machine.facts, None)
        if name is None:
            has_host = machine.target is None or takes_host(machine.target)
            how = "name the machine that has one with --host USER@HOST" if has_host else OTHERS
            return self.fail(
                "no NVIDIA device was found: neither a driver (libnvidia-ml.so.1) nor a Jetson",
                f"{how}, or install its driver until `nvidia-smi` works",
            )
        if machine.target is not None:
            try:
                refuse_other_device(machine.target, machine.facts, None)
            except UsageError as error:
                return self.fail(error.message, error.hint or "choose its own target: `vitbench targets`")
        parts = {
            "driver": machine.facts.get("gpu_driver"),
            "CUDA up to": machine.facts.get("cuda_driver"),
            "JetPack": machine.facts.get("jetpack"),
            "L4T": machine.facts.get("l4t"),
        }
        return self.ok(", ".join([name, *(f"{what} {value}" for what, value in parts.items() if value)]))


class PowerMode(Knob):
    """A power mode limits clocks, and switches cores off."""

    name: ClassVar[str] = "power mode"

    def judge(self, machine: Machine) -> Finding:
        """Ok at the highest there is."""
        mode = machine.after.get("power_mode")
        if mode is None:
            return self.unknown("`nvpmodel -q` does not tell")
        modes = machine.facts.get("power_modes") or {}
        if is_highest(str(mode), modes):
            return self.ok(str(mode))
        best = highest_mode(modes)
        if best is None:
            return self.warn(str(mode), "sudo nvpmodel -m ID, with the number of MAXN in /etc/nvpmodel.conf")
        return self.warn(f"{mode}, where {best[1]} is the highest", f"sudo nvpmodel -m {best[0]}")


class BoardClocks(Knob):
    """Clocks that follow the load start every burst slowly, and end up wherever heat lets them."""

    name: ClassVar[str] = "clocks"

    def judge(self, machine: Machine) -> Finding:
        """Ok when GPU and CPUs are held, as jetson_clocks does it."""
        locked = machine.after.get("clocks_locked")
        most = machine.number("gpu_clock_max_mhz")
        clock = "" if most is None else f", GPU at most {most:.0f} MHz"
        if locked is None:
            return self.unknown(f"{NOT_TOLD}{clock}")
        if locked:
            return self.ok(f"locked{clock}")
        if machine.target is not None and machine.target.lock_clocks:
            return self.warn(
                f"not locked{clock}; a run locks them while it lasts, if sudo takes no password",
                "sudo jetson_clocks, or a line for it in sudoers: `vitbench targets show` has it",
            )
        return self.warn(f"not locked{clock}", "sudo jetson_clocks, or `--lock-clocks`")


class Supply(Knob):
    """A supply that gives in makes the board slow itself down at once."""

    name: ClassVar[str] = "supply"

    def judge(self, machine: Machine) -> Finding:
        """Fail while a rail is over its limit, warn when one was since the board started."""
        alarm, count = machine.after.get("over_current_alarm"), machine.number("over_current_count")
        watts = machine.number("power_w")
        drawn = "" if watts is None else f"; {watts:.1f} W now"
        if alarm or (machine.change("over_current_count") or 0) > 0:
            return self.fail(
                f"a rail is over its limit now{drawn}", "a stronger supply, or a lower power mode"
            )
        if alarm is None and count is None:
            return self.unknown(f"{NOT_TOLD}{drawn}")
        if count:
            return self.warn(
                f"{count:.0f} over-current events since the board started{drawn}",
                "a stronger supply, or a lower power mode",
            )
        return self.ok(f"no over-current event{drawn}")


class GpuTemperature(Knob):
    """A hot GPU lowers its clock."""

    name: ClassVar[str] = "temperature"

    def judge(self, machine: Machine) -> Finding:
        """Warn from 80 C on."""
        temp_c = machine.number("temp_c")
        if temp_c is None:
            return self.unknown(NOT_TOLD)
        seen = f"{temp_c:.0f} C"
        return self.ok(seen) if temp_c < HOT_C else self.warn(seen, "let it cool before measuring")


class GpuThrottling(Knob):
    """A GPU that protects itself runs slower without saying so."""

    name: ClassVar[str] = "throttling"

    def judge(self, machine: Machine) -> Finding:
        """Fail while it happens."""
        throttled = machine.after.get("throttled")
        reasons = str(machine.after.get("gpu_throttle_reasons", "none")).split(",")
        told = [reason for reason in reasons if reason not in HARMLESS]
        if throttled:
            why = f": {', '.join(told)}" if told else ""
            return self.fail(
                f"it slows itself down now{why}", "let it cool, and see to its air and its supply"
            )
        if throttled is None:
            return self.unknown(NOT_TOLD)
        if told:
            return self.warn(f"held down by {', '.join(told)}", "see `nvidia-smi -q -d PERFORMANCE`")
        return self.ok("none")


class GpuProcesses(Knob):
    """Other programs on the GPU take its time, its memory and its clock."""

    name: ClassVar[str] = "GPU processes"

    def judge(self, machine: Machine) -> Finding:
        """Fail where a measurement's own witnesses would void every block."""
        foreign = machine.number("gpu_foreign")
        if foreign is None:
            return self.unknown("nobody lists the programs on this GPU")
        if not foreign:
            return self.ok("none")
        names = machine.after.get("gpu_foreign_names", "unnamed")
        return self.fail(f"{foreign:.0f} compute on it: {names}", "end them, or wait until they end")


class Desktop(Knob):
    """A screen is drawn by the GPU that is measured."""

    name: ClassVar[str] = "desktop"

    def judge(self, machine: Machine) -> Finding:
        """Warn when one runs."""
        drawing = machine.facts.get("desktop")
        if drawing:
            return self.warn(f"{drawing} runs", "sudo systemctl isolate multi-user.target")
        return self.ok("none")


class GpuClocks(Knob):
    """A boost clock follows heat and power."""

    name: ClassVar[str] = "GPU clocks"

    def judge(self, machine: Machine) -> Finding:
        """Never ok: a driver does not tell whether clocks are locked."""
        clock, most = machine.number("gpu_clock_mhz"), machine.number("gpu_clock_max_mhz")
        asked = machine.number("gpu_application_clock_mhz")
        if most is None:
            return self.unknown(NOT_TOLD)
        now = "" if clock is None else f"{clock:.0f} MHz now, "
        kept = "" if asked is None else f", asked to keep to {asked:.0f} MHz"
        lock = f"sudo nvidia-smi -lgc {asked or most:.0f}"
        seen = f"{now}at most {most:.0f} MHz{kept}; whether they are locked nobody can ask"
        return self.unknown(seen, f"{lock}, and `sudo nvidia-smi -rgc` afterwards")


class PowerLimit(Knob):
    """A GPU below its usual power limit is a slower GPU."""

    name: ClassVar[str] = "power limit"

    def judge(self, machine: Machine) -> Finding:
        """Ok at the default."""
        limit, default = machine.number("power_limit_w"), machine.number("power_limit_default_w")
        if limit is None or default is None:
            return self.unknown(NOT_TOLD)
        if limit >= default - 1:
            return self.ok(f"{limit:.0f} W")
        return self.warn(
            f"{limit:.0f} W, where {default:.0f} W is usual", f"sudo nvidia-smi -pl {default:.0f}"
        )


class Persistence(Knob):
    """Without it the driver ends with the last program, and begins anew with each block."""

    name: ClassVar[str] = "persistence mode"

    def judge(self, machine: Machine) -> Finding:
        """Ok when it is on."""
        on = machine.after.get("gpu_persistence")
        if on is None:
            return self.unknown(NOT_TOLD)
        return self.ok("on") if on else self.warn("off", "sudo nvidia-smi -pm 1")


class Ecc(Knob):
    """Memory that corrects errors is slower for that; errors that it cannot correct spoil results."""

    name: ClassVar[str] = "ECC"

    def judge(self, machine: Machine) -> Finding:
        """Warn when memory had errors that nothing corrected."""
        on = machine.after.get("gpu_ecc")
        if on is None:
            return self.unknown("it does not tell, or its memory has none")
        lost, mended = machine.number("gpu_ecc_uncorrected"), machine.number("gpu_ecc_corrected")
        if lost:
            return self.warn(
                f"{lost:.0f} errors that could not be corrected",
                "another GPU: what this one computes may be wrong",
            )
        errors = "" if mended is None else f", {mended:.0f} errors corrected since the driver began"
        return self.ok(f"{'on' if on else 'off'}{errors}")


class PcieLink(Knob):
    """Copies to and from the GPU are part of every latency, and go over this link."""

    name: ClassVar[str] = "PCIe link"

    def judge(self, machine: Machine) -> Finding:
        """Warn at fewer lanes than it could have; an idle GPU lowers their speed, which is no fault."""
        width, most = machine.number("pcie_width"), machine.number("pcie_width_max")
        speed, fastest = machine.number("pcie_gen"), machine.number("pcie_gen_max")
        if width is None or most is None:
            return self.unknown(NOT_TOLD)
        told = "" if speed is None or fastest is None else f", generation {speed:.0f} of {fastest:.0f} now"
        seen = f"{width:.0f} of {most:.0f} lanes{told}"
        if width < most:
            return self.warn(
                seen, "put it into a slot with all lanes; a riser or a second card may take them"
            )
        return self.ok(seen)


BOARD_KNOBS: tuple[Knob, ...] = (
    PowerMode(),
    BoardClocks(),
    Supply(),
    GpuTemperature(),
    GpuThrottling(),
    Desktop(),
)
CARD_KNOBS: tuple[Knob, ...] = (
    *(GpuProcesses(), GpuClocks(), PowerLimit(), GpuTemperature(), GpuThrottling()),
    *(Persistence(), PcieLink(), Ecc(), Desktop()),
)


def gpu_knobs(machine: Machine) -> tuple[Knob, ...]:
    """The knobs that a machine's GPU has: those of a board, or of a card; without one only that is told."""
    if machine.facts.get("board") or machine.facts.get("l4t"):
        return (Device(), *BOARD_KNOBS)
    return (Device(), *CARD_KNOBS) if machine.facts.get("gpu_name") else (Device(),)
