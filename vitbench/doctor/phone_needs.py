"""The knobs of a phone without which nothing is measured on it, one small class each."""

from __future__ import annotations

from typing import ClassVar

from vitbench.android.clusters import CLUSTERS, clusters, cpus_of, mask_of
from vitbench.benchmark_model.command import Invocation, command
from vitbench.benchmark_model.matters import missing
from vitbench.doctor.knobs import Disk, Libraries
from vitbench.doctor.machine import Finding
from vitbench.doctor.phone_state import Handset, PhoneKnob
from vitbench.errors import UsageError, VitbenchError
from vitbench.transport.adb.choice import is_address

MEMORY_LITTLE_MB, MEMORY_NONE_MB = 1024.0, 256.0
SPACE_LITTLE_MB, SPACE_NONE_MB = 1024.0, 64.0
STORE = "/data/local/tmp"
# Phones that adb found on the network by itself are named after the service they offer.
ADVERTISED = "._adb"
EMULATOR = "emulator-"
DIALECTS = {"tflite": "TensorFlow Lite's tool", "litert": "LiteRT's tool"}


class Identity(PhoneKnob):
    """A figure belongs to a phone."""

    name: ClassVar[str] = "phone"

    def judge(self, phone: Handset) -> Finding:
        """Ok when it says what it is."""
        what = phone.state.phone
        chip = (
            None
            if what.soc is None
            else f"{what.soc.name} ({what.soc.part})"
            if what.soc.name
            else what.soc.part
        )
        told = {
            "model": what.model,
            "SoC": chip,
            "Android version": f"Android {what.android}" if what.android else None,
            "ABI": what.abis[0] if what.abis else None,
        }
        seen = ", ".join(word for word in told.values() if word)
        silent = [name for name, word in told.items() if not word]
        return (
            self.unknown(f"{seen or 'nothing'}; not told: {', '.join(silent)}") if silent else self.ok(seen)
        )


class Connection(PhoneKnob):
    """A radio beside the measurement takes power, and its links break more often."""

    name: ClassVar[str] = "connection"

    def judge(self, phone: Handset) -> Finding:
        """Ok by USB."""
        if is_address(phone.serial) or ADVERTISED in phone.serial:
            return self.warn(
                f"wireless, {phone.serial}",
                "plug it in by USB, and name it by its serial number: `adb devices`",
            )
        if phone.serial.startswith(EMULATOR):
            return self.warn(f"an emulator, {phone.serial}: no phone's figures", "connect a phone")
        return self.ok(f"USB, {phone.serial}")


class Cores(PhoneKnob):
    """A thread that wanders from a fast core to a slow one changes its speed."""

    name: ClassVar[str] = "cores"

    def judge(self, phone: Handset) -> Finding:
        """Fail where a measurement would find no cores to keep to."""
        cpus = phone.cpus()
        if isinstance(cpus, UsageError):
            return self.refused(cpus)
        used = f"{phone.cluster}: {numbers(cpus)}, mask {mask_of(cpus):x}"
        groups = clusters(phone.state.cores) or ()
        layout = " + ".join(str(len(group)) for group in groups)
        seen = f"a measurement uses {used}; {layout} cores from slow to fast"
        offline = [core.cpu for core in phone.state.cores if core.online is False]
        if offline:
            return self.warn(
                f"{seen}; offline: {numbers(offline)}", f"{phone.shell} input keyevent KEYCODE_WAKEUP"
            )
        if any(core.online is None for core in phone.state.cores):
            return self.unknown(f"{seen}; which of them are online is not told")
        return self.ok(seen)


class Threads(PhoneKnob):
    """Threads beyond the cores wait for each other."""

    name: ClassVar[str] = "threads"

    def judge(self, phone: Handset) -> Finding:
        """Fail when they do not fit on the cluster."""
        cpus = phone.cpus()
        if isinstance(cpus, UsageError):
            return self.unknown(f"{phone.threads} wanted; the cores to keep to are not known")
        seen = f"{phone.threads} wanted, {len(cpus)} {phone.cluster} {'core' if len(cpus) == 1 else 'cores'}"
        if phone.threads <= len(cpus):
            return self.ok(seen)
        return self.fail(seen, f"--threads {len(cpus)}{_roomier(phone)}")


class Memory(PhoneKnob):
    """A phone that runs out of memory kills programs."""

    name: ClassVar[str] = "free memory"

    def judge(self, phone: Handset) -> Finding:
        """Warn under 1 GiB, fail under a quarter of one."""
        free_mb, total_mb = phone.later.memory_free_mb, phone.later.memory_total_mb
        if free_mb is None:
            return self.unknown("the phone does not tell")
        seen = f"{free_mb / 1024:.1f} GiB" + (f" of {total_mb / 1024:.1f}" if total_mb else "")
        fix = f"{phone.shell} am kill-all"
        if free_mb < MEMORY_NONE_MB:
            return self.fail(seen, fix)
        return self.warn(seen, fix) if free_mb < MEMORY_LITTLE_MB else self.ok(seen)


class Space(PhoneKnob):
    """Models and the tool are copied to the phone."""

    name: ClassVar[str] = "free space"

    def judge(self, phone: Handset) -> Finding:
        """Warn under 1 GiB, fail under 64 MiB."""
        if phone.free_mb is None:
            return self.unknown(f"the phone does not tell what is free in {STORE}")
        seen = f"{phone.free_mb / 1024:.1f} GiB in {STORE}"
        fix = f"{phone.shell} rm -r {STORE}/vitbench"
        if phone.free_mb < SPACE_NONE_MB:
            return self.fail(seen, fix)
        return self.warn(seen, fix) if phone.free_mb < SPACE_LITTLE_MB else self.ok(seen)


class BenchmarkTool(PhoneKnob):
    """Without benchmark_model nothing runs on a phone."""

    name: ClassVar[str] = "benchmark_model"

    def judge(self, phone: Handset) -> Finding:
        """Fail when there is none that runs on this phone and can be told what to do."""
        tool = phone.tool
        if isinstance(tool, VitbenchError):
            return self.refused(tool)
        where = "" if phone.place is None else f" {phone.place.path} ({phone.place.said_by}),"
        seen = (
            f"{DIALECTS[tool.flags.dialect]},{where} for {tool.binary.abi or 'a stand-in'}, "
            f"sha256 {tool.binary.sha256[:12]}, {len(tool.flags.defaults)} flags"
        )
        try:
            command(tool.program, Invocation("model", phone.threads, 1, 1, 1.0), tool.flags)
        except UsageError as error:
            return self.fail(f"{seen}: {error.message}", error.hint or "use a newer build")
        lacking = missing(tool.flags)
        if lacking:
            return self.warn(f"{seen}; without {', '.join(lacking)}", "use a newer build of benchmark_model")
        return self.ok(seen)


class Checker(PhoneKnob):
    """The tool gives no outputs: what an artifact computes is checked on this machine."""

    name: ClassVar[str] = "parity check"

    def judge(self, phone: Handset) -> Finding:
        """Fail when this machine has no interpreter."""
        if isinstance(phone.checker, VitbenchError):
            return self.refused(phone.checker)
        return self.ok(f"by LiteRT {phone.checker} on this machine")


class DiskHere(PhoneKnob):
    """Artifacts and records are written on this machine."""

    name: ClassVar[str] = Disk.name

    def judge(self, phone: Handset) -> Finding:
        """As on a computer."""
        return Disk().judge(phone.here)


class LibrariesHere(PhoneKnob):
    """Artifacts are made on this machine."""

    name: ClassVar[str] = Libraries.name

    def judge(self, phone: Handset) -> Finding:
        """As on a computer."""
        return Libraries().judge(phone.here)


FIRST: tuple[PhoneKnob, ...] = (Identity(), Connection(), Cores(), Threads())
LAST: tuple[PhoneKnob, ...] = (Memory(), Space(), BenchmarkTool(), Checker(), DiskHere(), LibrariesHere())


def listed(cpus: tuple[int, ...] | list[int]) -> str:
    """CPU numbers with runs of them together: (0, 1, 2, 5) is `0-2,5`."""
    runs: list[list[int]] = []
    for cpu in sorted(cpus):
        if runs and runs[-1][-1] == cpu - 1:
            runs[-1].append(cpu)
        else:
            runs.append([cpu])
    return ",".join(str(run[0]) if len(run) == 1 else f"{run[0]}-{run[-1]}" for run in runs)


def numbers(cpus: tuple[int, ...] | list[int]) -> str:
    """The same as words: `CPU 7`, `CPUs 0-2,5`."""
    return f"{'CPU' if len(cpus) == 1 else 'CPUs'} {listed(cpus)}"


def _roomier(phone: Handset) -> str:
    """Another cluster on which the threads fit, as an alternative."""
    for cluster in CLUSTERS:
        try:
            if len(cpus_of(phone.state.cores, cluster)) >= phone.threads:
                return f", or --cluster {cluster}"
        except UsageError:
            continue
    return ""
