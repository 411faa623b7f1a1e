"""Phones on loopback with what a measurement looks at: cores, heat, battery, screen, and Android's commands.

What a phone says of itself lies in files below its root, so that it can change while a program runs.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from pathlib import Path

from tests.support.adb_device import Phone

STAND_IN = {"ro.vitbench.stand_in": "1", "ro.soc.model": "SM8550"}
# Capacity and highest clock in kHz. As many as this machine has cores, which is what programs run on.
CORES = ((250, 1_800_000), (1024, 2_800_000))
DUMPSYS = 'cat "${0%/bin/*}/services/$1" 2>/dev/null || echo "Can\'t find service: $1"'
CMD = """\
ROOT="${0%/bin/*}"
echo "$*" >>"$ROOT/commands"
[ ! -e "$ROOT/refused" ] || { cat "$ROOT/refused"; exit 1; }
"""
THERMAL = """\
IsStatusOverride: false
ThermalEventListeners:
Thermal Status: {status}
Cached temperatures:
	Temperature{{mValue=60.0, mType=0, mName=CPU0, mStatus=0}}
HAL Ready: true
Current temperatures from HAL:
	Temperature{{mValue={cpu}, mType=0, mName=CPU0, mStatus=0}}
	Temperature{{mValue={skin}, mType=3, mName=skin, mStatus=0}}
"""
BATTERY = """\
Current Battery Service state:
  AC powered: false
  USB powered: true
  Wireless powered: false
  status: {status}
  level: {level}
  scale: 100
  temperature: 270
"""
FULL, CHARGING = 5, 2


def furnish(phone: Phone, *, status: int = 0, cpu: float = 35.5, skin: float = 30.0) -> Phone:
    """Give a phone two clusters of one core each, and services that tell how it is."""
    for number, (capacity, khz) in enumerate(CORES):
        core(phone, number, {"cpu_capacity": capacity, "cpufreq/scaling_governor": "schedutil"})
        clocks = ("cpuinfo_max_freq", "scaling_max_freq", "scaling_cur_freq")
        core(phone, number, {f"cpufreq/{name}": khz for name in clocks})
    phone.path("/sys/devices/system/cpu/online").write_text(f"0-{len(CORES) - 1}\n")
    phone.path("/proc").mkdir(exist_ok=True)
    phone.path("/proc/meminfo").write_text("MemTotal: 7812500 kB\nMemAvailable: 4096000 kB\n")
    heat(phone, status=status, cpu=cpu, skin=skin)
    battery(phone)
    service(phone, "power", "  mWakefulness=Awake\n  Display Power: state=ON\n")
    program(phone, "dumpsys", DUMPSYS)
    program(phone, "settings", "echo 0")
    program(phone, "cmd", CMD)
    return phone


def core(phone: Phone, number: int, files: Mapping[str, object]) -> None:
    """Write files of one core."""
    for name, value in files.items():
        path = phone.path(f"/sys/devices/system/cpu/cpu{number}/{name}")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{value}\n")


def heat(phone: Phone, *, status: int = 0, cpu: float = 35.5, skin: float = 30.0) -> None:
    """How warm the phone says it is from now on."""
    service(phone, "thermalservice", THERMAL.format(status=status, cpu=cpu, skin=skin))


def battery(phone: Phone, *, level: int = 90, status: int = FULL) -> None:
    """What its battery says from now on."""
    service(phone, "battery", BATTERY.format(level=level, status=status))


def service(phone: Phone, name: str, dump: str) -> None:
    """What `dumpsys` prints of a service from now on; never half of it."""
    path = phone.root / "services" / name
    path.parent.mkdir(exist_ok=True)
    passing = path.with_name(f".{name}")
    passing.write_text(dump)
    passing.replace(path)


def program(phone: Phone, name: str, body: str) -> None:
    """Put a shell script into the phone's $PATH."""
    phone.device.program(name, f"{body}\n")


def refuse_fixed_performance(phone: Phone, answer: str = "Unknown command: set-fixed") -> None:
    """Be a phone without the mode for benchmarks."""
    (phone.root / "refused").write_text(f"{answer}\n")


def fixed_performance(phone: Phone) -> list[bool]:
    """Every switch of the mode for benchmarks so far, in order."""
    return [line.endswith("true") for line in commands(phone) if "fixed-performance" in line]


def commands(phone: Phone) -> list[str]:
    """What `cmd` was asked for so far."""
    path = phone.root / "commands"
    return path.read_text().splitlines() if path.exists() else []


def pushed(phone: Phone) -> list[Path]:
    """Every file that vitbench keeps on the phone."""
    return sorted(path for path in phone.path("/data/local/tmp/vitbench").rglob("*") if path.is_file())


# What binds the tool to cores runs it: here it can be counted, slowed down, and followed by heat.
TASKSET = """\
ROOT="${{0%/bin/*}}"
echo run >>"$ROOT/runs"
N=$(wc -l <"$ROOT/runs")
[ "$N" != {pause_at} ] || sleep {pause_s}
/usr/bin/taskset "$@"
CODE=$?
[ "$N" != {hot_after} ] || cp "$ROOT/services/hot" "$ROOT/services/once"
exit $CODE
"""
# Once after that run the phone is hot, and it has cooled down when it is asked again.
DUMPSYS_ONCE = """\
DIR="${0%/bin/*}/services"
[ "$1" = thermalservice ] && [ -e "$DIR/once" ] && { cat "$DIR/once"; rm "$DIR/once"; exit; }
cat "$DIR/$1" 2>/dev/null || echo "Can't find service: $1"
"""


def count_runs(
    phone: Phone, *, pause_at: int | None = None, pause_s: float = 30.0, hot_after: int | None = None
) -> None:
    """Count the runs of the tool from now on.

    Args:
        pause_at: the run, from 1, that sleeps first.
        hot_after: the run after which the phone says once that it throttles.
    """
    (phone.root / "runs").unlink(missing_ok=True)
    service(phone, "hot", THERMAL.format(status=2, cpu=80.0, skin=30.0))
    program(phone, "dumpsys", DUMPSYS_ONCE)
    program(phone, "taskset", TASKSET.format(pause_at=pause_at, pause_s=pause_s, hot_after=hot_after))


def runs(phone: Phone) -> int:
    """How often the tool was started so far."""
    path = phone.root / "runs"
    return len(path.read_text().splitlines()) if path.exists() else 0


def program_for(abi: str) -> bytes:
    """A program for Android as far as its header tells; nothing can run it."""
    machine, bits = {"arm64-v8a": (183, 64), "armeabi-v7a": (40, 32)}[abi]
    head = b"\x7fELF" + bytes([bits // 32, 1, 1]) + bytes(9) + struct.pack("<HHI", 3, machine, 1)
    # No program header: linked statically.
    return head + bytes(40 if bits == 64 else 28) + bytes(100)
