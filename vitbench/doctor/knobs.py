"""The knobs of a machine, one small class each. A knob of one's own is added to `KNOBS`."""

from __future__ import annotations

from typing import ClassVar

from vitbench.doctor.machine import Busy, Finding, Knob, Machine

WARM_C = 80.0
BUSY_CPUS = 0.1
# What the witnesses of a measurement void a block for.
VOID_CPUS = 0.25
STOLEN_CPUS = 0.01
LOAD_PER_CPU = 0.3
WAITING_PERCENT = 10.0
MEMORY_LITTLE_MB, MEMORY_NONE_MB = 2048.0, 512.0
SWAPPED_MB = 64.0
DISK_LITTLE_MB, DISK_NONE_MB = 2048.0, 64.0
MOST_NAMED = 3
# How runtimes that are no package of the same name are had.
INSTALL = {
    "tensorrt": "on JetPack `sudo apt-get install python3-libnvinfer`, elsewhere `pip install tensorrt`",
    "trtexec": "on JetPack `sudo apt-get install libnvinfer-bin`; containers of NVIDIA have it",
    "cuda-torch": "`pip install torch`, of a build for CUDA",
}
VIRTUAL = "(usual in a virtual machine or a container)"


class Governor(Knob):
    """A governor that follows the load makes the first milliseconds of every burst slower."""

    name: ClassVar[str] = "governor"

    def judge(self, machine: Machine) -> Finding:
        """Ok when every CPU is at `performance`."""
        governor = machine.after.get("governor")
        if governor is None:
            return self.unknown(f"no cpufreq is to be seen {VIRTUAL}")
        if governor == "performance":
            return self.ok("performance")
        if machine.after.get("clocks_locked"):
            return self.ok(f"{governor}, which cannot do anything: the clocks are locked")
        return self.warn(str(governor), "sudo cpupower frequency-set --governor performance")


class Turbo(Knob):
    """Clocks above the nominal one last only as long as heat and neighbours allow."""

    name: ClassVar[str] = "turbo"

    def judge(self, machine: Machine) -> Finding:
        """Ok when it is off."""
        turbo = machine.after.get("turbo")
        if turbo is None:
            return self.unknown(f"no switch for it is to be seen {VIRTUAL}")
        if not turbo:
            return self.ok("off")
        if str(machine.facts.get("freq_driver", "")).startswith("intel"):
            fix = "echo 1 | sudo tee /sys/devices/system/cpu/intel_pstate/no_turbo"
        else:
            fix = "echo 0 | sudo tee /sys/devices/system/cpu/cpufreq/boost"
        return self.warn("on: the clock depends on heat and on the other cores", fix)


class Throttling(Knob):
    """A CPU that protects itself from heat runs slower without saying so."""

    name: ClassVar[str] = "throttling"

    def judge(self, machine: Machine) -> Finding:
        """Fail while it happens, warn when it did since the machine started."""
        events, since_boot = machine.change("throttle_count"), machine.number("throttle_count")
        if machine.after.get("throttled") or (events is not None and events > 0):
            return self.fail("the CPU is slowing itself down now", "let it cool, and improve the cooling")
        if since_boot is not None and since_boot > 0:
            return self.warn(
                f"{since_boot:.0f} times since the machine started",
                "improve the cooling, or measure in shorter runs",
            )
        if since_boot is None and machine.after.get("throttled") is None:
            return self.unknown(f"nothing counts it here {VIRTUAL}")
        return self.ok("none")


class Temperature(Knob):
    """Hot silicon leaks more and is near its limit."""

    name: ClassVar[str] = "temperature"

    def judge(self, machine: Machine) -> Finding:
        """Warn from 80 C on."""
        temp_c = machine.number("temp_c")
        if temp_c is None:
            return self.unknown(f"no sensor is to be seen {VIRTUAL}")
        seen = f"{temp_c:.0f} C"
        return self.ok(seen) if temp_c < WARM_C else self.warn(seen, "let it cool before measuring")


class ForeignProcesses(Knob):
    """Programs beside the measurement take its cores, caches and memory."""

    name: ClassVar[str] = "foreign processes"

    def judge(self, machine: Machine) -> Finding:
        """Fail where a measurement's own witnesses would void every block."""
        busy, own = machine.cpus_over_time("cpu_busy_ns"), machine.cpus_over_time("own_cpu_ns")
        cpus = machine.number("cpu_count")
        if busy is None or cpus is None:
            return self.unknown("the machine does not say how busy its CPUs are")
        foreign = max(0.0, busy - (own or 0.0))
        seen = f"{foreign:.2f} of {cpus:.0f} CPUs busy{_who(machine.busy)}"
        idle = max(0.0, cpus - machine.threads)
        if foreign > idle + VOID_CPUS:
            return self.fail(seen, "stop them: they take the CPUs that the measurement needs")
        if foreign > BUSY_CPUS:
            return self.warn(seen, "stop them, or wait until they end")
        return self.ok(seen)


class Load(Knob):
    """Work of the last minute tells what comes back."""

    name: ClassVar[str] = "load"

    def judge(self, machine: Machine) -> Finding:
        """Warn when the last minute's load, or the wait for a CPU, says that the machine is shared."""
        load, cpus = machine.number("load1"), machine.number("cpu_count")
        if load is None or not cpus:
            return self.unknown("the machine does not tell")
        waiting = machine.number("pressure_cpu")
        seen = f"{load:.2f} on {cpus:.0f} CPUs in the last minute"
        if waiting is not None:
            seen += f", somebody waited for a CPU {waiting:.0f} % of the last 10 s"
        if load > LOAD_PER_CPU * cpus or (waiting or 0.0) > WAITING_PERCENT:
            return self.warn(seen, "wait until it has fallen: `uptime` shows it")
        return self.ok(seen)


class Steal(Knob):
    """A hypervisor gives the CPU to other guests, and the clock runs on."""

    name: ClassVar[str] = "stolen time"

    def judge(self, machine: Machine) -> Finding:
        """Fail where a measurement's own witnesses would void every block."""
        stolen = machine.cpus_over_time("cpu_steal_ns")
        if stolen is None:
            return self.unknown("the machine does not tell")
        seen = f"{stolen:.2f} CPUs withheld by the hypervisor"
        fix = "use a dedicated instance, or measure when the neighbours rest"
        if stolen > VOID_CPUS:
            return self.fail(seen, fix)
        return self.warn(seen, fix) if stolen > STOLEN_CPUS else self.ok("none")


class Virtualisation(Knob):
    """Neighbours on the same hardware share its caches and memory, and cannot be seen."""

    name: ClassVar[str] = "virtualisation"

    def judge(self, machine: Machine) -> Finding:
        """Warn in a virtual machine."""
        virtual = machine.facts.get("hypervisor")
        if virtual is None:
            return self.unknown("the machine does not tell")
        if not virtual:
            return self.ok("none")
        return self.warn(
            "this is a virtual machine: its neighbours cannot be seen",
            "compare only what was measured in pairs here, or use bare metal",
        )


class Memory(Knob):
    """An export, or a large model, that does not fit is killed or goes to disk."""

    name: ClassVar[str] = "free memory"

    def judge(self, machine: Machine) -> Finding:
        """Warn under 2 GiB, fail under half of one."""
        free_mb, total_mb = machine.number("memory_free_mb"), machine.number("memory_total_mb")
        if free_mb is None:
            return self.unknown("the machine does not tell")
        seen = f"{free_mb / 1024:.1f} GiB" + (f" of {total_mb / 1024:.1f}" if total_mb else "")
        fix = "end programs that hold memory"
        if free_mb < MEMORY_NONE_MB:
            return self.fail(seen, fix)
        return self.warn(seen, fix) if free_mb < MEMORY_LITTLE_MB else self.ok(seen)


class Swap(Knob):
    """Memory that went to disk comes back in the middle of a measurement."""

    name: ClassVar[str] = "swap"

    def judge(self, machine: Machine) -> Finding:
        """Warn when some is in use."""
        used_mb = machine.number("swap_used_mb")
        if used_mb is None:
            return self.unknown("the machine does not tell")
        if used_mb <= SWAPPED_MB:
            return self.ok("not in use")
        return self.warn(f"{used_mb:.0f} MiB on disk", "sudo swapoff --all && sudo swapon --all")


class Smt(Knob):
    """Two threads of one core share its units: what runs on one slows the other."""

    name: ClassVar[str] = "SMT"

    def judge(self, machine: Machine) -> Finding:
        """Ok when every thread has a core of its own."""
        cores, threads = machine.fact("cores"), machine.fact("threads")
        if cores is None or threads is None:
            return self.unknown(f"the layout of the cores is not to be seen {VIRTUAL}")
        seen = f"{threads:.0f} threads on {cores:.0f} cores"
        if threads <= cores:
            return self.ok(seen)
        return self.warn(seen, "echo off | sudo tee /sys/devices/system/cpu/smt/control")


class Threads(Knob):
    """More threads than free cores make everything slower, not faster."""

    name: ClassVar[str] = "threads"

    def judge(self, machine: Machine) -> Finding:
        """Fail when the target's threads cannot run at once, warn when they share cores."""
        allowed, cores = machine.allowed_cpus, machine.fact("cores")
        if allowed is None:
            return self.unknown("the CPUs this may run on are not to be seen")
        seen = f"{machine.threads} wanted, {allowed} CPUs allowed"
        if machine.threads > allowed:
            return self.fail(
                seen, f"--threads {allowed}, or allow more CPUs: `taskset`, the container's limits"
            )
        if cores is not None and machine.threads > cores:
            return self.warn(f"{seen} on {cores:.0f} cores", f"--threads {cores:.0f}")
        return self.ok(seen)


class Runtime(Knob):
    """Without its runtime a target runs nothing."""

    name: ClassVar[str] = "runtime"

    def judge(self, machine: Machine) -> Finding:
        """Fail when the target does not have it."""
        if machine.runtime_version is None:
            how = INSTALL.get(machine.runtime, machine.runtime)
            return self.fail(f"{machine.runtime} is not there", f"install it on the target: {how}")
        return self.ok(f"{machine.runtime} {machine.runtime_version}")


class Libraries(Knob):
    """A toolchain that drifts is measured along with the network."""

    name: ClassVar[str] = "versions"

    def judge(self, machine: Machine) -> Finding:
        """Ok when every library is the one that was tested."""
        known = [library for library in machine.libraries if library.tested is not None]
        if not known:
            return self.unknown("no constraints.txt says which versions were tested")
        fix = "pip install --constraint constraints.txt ..."
        missing = [library.name for library in known if library.installed is None]
        if missing:
            return self.fail(f"not installed: {', '.join(missing)}", fix)
        other = [
            f"{library.name} {library.installed} (tested: {library.tested})"
            for library in known
            if library.installed != library.tested
        ]
        if other:
            return self.warn(", ".join(other), fix)
        return self.ok(", ".join(f"{library.name} {library.installed}" for library in known))


class Disk(Knob):
    """A full disk ends a run; the finished blocks are kept, but nothing new is."""

    name: ClassVar[str] = "disk"

    def judge(self, machine: Machine) -> Finding:
        """Warn under 2 GiB in a place that vitbench writes to, fail under 64 MiB."""
        known = [(place, place.free_mb) for place in machine.places if place.free_mb is not None]
        if not known:
            return self.unknown("the free space cannot be read")
        place, free_mb = min(known, key=lambda pair: pair[1])
        seen = f"{free_mb / 1024:.1f} GiB free for the {place.use} in {place.path}"
        fix = "`vitbench cache prune`, or make room"
        if free_mb < DISK_NONE_MB:
            return self.fail(seen, fix)
        return self.warn(seen, fix) if free_mb < DISK_LITTLE_MB else self.ok(seen)


KNOBS: tuple[Knob, ...] = (
    Governor(),
    Turbo(),
    Temperature(),
    Throttling(),
    ForeignProcesses(),
    Load(),
    Steal(),
    Virtualisation(),
    Smt(),
    Threads(),
    Memory(),
    Swap(),
    Disk(),
    Runtime(),
    Libraries(),
)


def _who(busy: tuple[Busy, ...] | None) -> str:
    named = [
        f"{one.name} ({one.pid}) {one.cpus:.2f}" for one in (busy or ())[:MOST_NAMED] if one.cpus >= 0.01
    ]
    return f": {', '.join(named)}" if named else ""
