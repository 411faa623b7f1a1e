"""`vitbench` on a phone: the real adb, and a stand-in for benchmark_model on a phone on loopback."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.cli import vitbench
from tests.support.adb_device import Phone
from tests.support.adb_device.fixtures import MakePhone
from tests.support.benchmark_model import install
from vitbench.records.schema import Record
from vitbench.records.store import Store

pytestmark = [pytest.mark.adb, pytest.mark.tflite]
MODEL = ("--model", "attention-4x16:7x7")

THERMAL = """\
cat <<'END'
IsStatusOverride: false
ThermalEventListeners:
Thermal Status: {status}
Cached temperatures:
	Temperature{{mValue=60.0, mType=0, mName=CPU0, mStatus=0}}
HAL Ready: true
Current temperatures from HAL:
	Temperature{{mValue={cpu}, mType=0, mName=CPU0, mStatus=0}}
	Temperature{{mValue={skin}, mType=3, mName=skin, mStatus=0}}
END
"""


def furnish(phone: Phone, *, status: int = 0, cpu: float = 35.5, skin: float = 30.0) -> Phone:
    """Give a phone the cores of this machine, two clusters of one each, and services that tell its heat."""
    for cpu_number, (capacity, khz) in enumerate(((250, 1_800_000), (1024, 2_800_000))):
        folder = phone.path(f"/sys/devices/system/cpu/cpu{cpu_number}")
        (folder / "cpufreq").mkdir(parents=True, exist_ok=True)
        (folder / "cpu_capacity").write_text(f"{capacity}\n")
        for name in ("cpuinfo_max_freq", "scaling_max_freq", "scaling_cur_freq"):
            (folder / "cpufreq" / name).write_text(f"{khz}\n")
        (folder / "cpufreq" / "scaling_governor").write_text("schedutil\n")
    phone.path("/sys/devices/system/cpu/online").write_text("0-1\n")
    heat(phone, status=status, cpu=cpu, skin=skin)
    tool(phone, "cmd", 'echo "$@" >>"${0%/bin/*}/commands"')
    return phone


def heat(phone: Phone, *, status: int, cpu: float, skin: float) -> None:
    """How warm a phone says it is from now on."""
    services = THERMAL.format(status=status, cpu=cpu, skin=skin)
    tool(phone, "dumpsys", f'[ "$1" = thermalservice ] || exit 0\n{services}')


def tool(phone: Phone, name: str, body: str) -> None:
    path = phone.root / "bin" / name
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)


@pytest.fixture
def phone(make_phone: MakePhone) -> Phone:
    """A phone that says that it is none."""
    return furnish(make_phone({"ro.vitbench.stand_in": "1", "ro.soc.model": "SM8550"}))


@pytest.fixture
def binary(tmp_path: Path) -> Path:
    folder = tmp_path / "tools"
    folder.mkdir()
    return install(folder)


def run(binary: Path, *more: str, cwd: Path) -> Any:
    return vitbench("run", *MODEL, "-t", "snapdragon", "--benchmark-binary", str(binary), *more, cwd=cwd)


def test_from_a_name_to_a_figure(phone: Phone, binary: Path, tmp_path: Path) -> None:
    done = run(binary, cwd=tmp_path)
    print(done.out, done.err)
    assert done.code == 0, done.err
