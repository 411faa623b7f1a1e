"""A phone's system as far as its state goes: files, and programs that print what the real ones print."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

DUMPS = Path(__file__).parent / "dumps"
PROPERTIES = {
    "ro.soc.model": "SM8550",
    "ro.soc.manufacturer": "QTI",
    "ro.board.platform": "kalama",
    "ro.hardware": "qcom",
    "ro.product.manufacturer": "Heron",
    "ro.product.model": "Kite 5",
    "ro.product.cpu.abilist": "arm64-v8a,armeabi-v7a,armeabi",
    "ro.build.version.release": "13",
    "ro.build.version.sdk": "33",
    "ro.build.fingerprint": "heron/kite5/kite5:13/TQ1A/1:user/release-keys",
}
# CPU numbers, highest clock in kHz, governor: slow cores first, as the kernel of such a phone numbers them.
THREE_CLUSTERS = ((range(3), 2_016_000), (range(3, 7), 2_803_200), (range(7, 8), 3_187_200))


class FakePhone:
    """A directory that a shell takes for a phone's root: `run` runs programs as a transport would."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.calls: list[list[str]] = []
        (root / "bin").mkdir(parents=True)
        self.program("getprop", f'grep -F "[$1]=" {root}/properties | cut -d= -f2-')
        self.properties(PROPERTIES)
        self.write("proc/loadavg", "3.21 3.02 2.90 4/4242 12345\n")
        self.write("proc/uptime", "86400.52 512000.11\n")
        self.write("proc/meminfo", "MemTotal: 7812500 kB\nMemFree: 1 kB\nMemAvailable: 2048000 kB\n")
        rows = ["cpu  1000 20 300 5000 60 7 8 9 0 0", *(f"cpu{cpu} 1 2 3 4 5 6 7 8 9 0" for cpu in range(8))]
        self.write("proc/stat", "\n".join([*rows, "intr 5 6", "ctxt 7"]) + "\n")
        self.write("proc/cpuinfo", "processor\t: 0\nHardware\t: Qualcomm Technologies, Inc SM8550\n")
        for cpus, khz in THREE_CLUSTERS:
            for cpu in cpus:
                self.core(cpu, khz)
        self.write("sys/devices/system/cpu/online", "0-7\n")
        for service in ("thermal", "battery", "power"):
            self.write(f"{service}.txt", "")
        self.program(
            "dumpsys",
            f"case $1 in thermalservice) cat {root}/thermal.txt;; battery) cat {root}/battery.txt;; "
            f'power) cat {root}/power.txt;; *) echo "Can\'t find service: $1" >&2; exit 1;; esac',
        )
        self.program("settings", "echo 0")
        for service, dump in (("thermal", "thermal_12"), ("battery", "battery_usb"), ("power", "power_12")):
            self.dump(service, dump)

    def core(self, cpu: int, khz: int, *, limit_khz: int | None = None, governor: str = "walt") -> None:
        folder = f"sys/devices/system/cpu/cpu{cpu}"
        self.write(f"{folder}/cpufreq/cpuinfo_max_freq", f"{khz}\n")
        self.write(f"{folder}/cpufreq/scaling_max_freq", f"{limit_khz or khz}\n")
        self.write(f"{folder}/cpufreq/scaling_cur_freq", "300000\n")
        self.write(f"{folder}/cpufreq/scaling_governor", f"{governor}\n")
        self.write(f"{folder}/cpu_capacity", f"{khz // 3200}\n")

    def properties(self, properties: dict[str, str]) -> None:
        self.write("properties", "".join(f"[{name}]={value}\n" for name, value in properties.items()))

    def dump(self, service: str, name: str) -> None:
        self.write(f"{service}.txt", (DUMPS / f"{name}.txt").read_text())

    def program(self, name: str, body: str) -> None:
        path = self.root / "bin" / name
        path.write_text(f"#!/bin/sh\n{body}\n")
        path.chmod(0o755)

    def write(self, path: str, content: str) -> None:
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content)

    def run(self, argv: Sequence[str]) -> str:
        """Run a program with this root for the phone's; return its stdout."""
        self.calls.append(list(argv))
        words = [
            word.replace("/sys/", f"{self.root}/sys/").replace("/proc/", f"{self.root}/proc/")
            for word in argv
        ]
        path = f"{self.root}/bin:{os.environ['PATH']}"
        done = subprocess.run(
            words, capture_output=True, text=True, env={"PATH": path}, timeout=60, check=False
        )
        return done.stdout
