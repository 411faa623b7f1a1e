"""Witnesses and facts, read from machines laid out as files."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from vitbench.agent import machine, probe

TICK_NS = 1_000_000_000 // os.sysconf("SC_CLK_TCK")
CPU = "sys/devices/system/cpu"

LAPTOP = {
    f"{CPU}/online": "0-3\n",
    f"{CPU}/cpu0/cpufreq/scaling_cur_freq": "2400000\n",
    f"{CPU}/cpu1/cpufreq/scaling_cur_freq": "2600000\n",
    f"{CPU}/cpu2/cpufreq/scaling_cur_freq": "800000\n",
    f"{CPU}/cpu0/cpufreq/cpuinfo_max_freq": "4200000\n",
    f"{CPU}/cpu1/cpufreq/cpuinfo_max_freq": "4200000\n",
    f"{CPU}/cpu0/cpufreq/scaling_governor": "powersave\n",
    f"{CPU}/cpu1/cpufreq/scaling_governor": "powersave\n",
    f"{CPU}/cpu2/cpufreq/scaling_governor": "performance\n",
    f"{CPU}/cpu0/cpufreq/scaling_driver": "intel_pstate\n",
    f"{CPU}/intel_pstate/no_turbo": "1\n",
    f"{CPU}/cpu0/thermal_throttle/core_throttle_count": "3\n",
    f"{CPU}/cpu1/thermal_throttle/core_throttle_count": "4\n",
    f"{CPU}/cpu0/topology/physical_package_id": "0\n",
    f"{CPU}/cpu0/topology/core_id": "0\n",
    f"{CPU}/cpu1/topology/physical_package_id": "0\n",
    f"{CPU}/cpu1/topology/core_id": "1\n",
    f"{CPU}/cpu2/topology/physical_package_id": "0\n",
    f"{CPU}/cpu2/topology/core_id": "0\n",
    f"{CPU}/cpu3/topology/physical_package_id": "0\n",
    f"{CPU}/cpu3/topology/core_id": "1\n",
    f"{CPU}/cpu0/cache/index0/level": "1\n",
    f"{CPU}/cpu0/cache/index0/type": "Data\n",
    f"{CPU}/cpu0/cache/index0/size": "48K\n",
    f"{CPU}/cpu0/cache/index2/level": "3\n",
    f"{CPU}/cpu0/cache/index2/type": "Unified\n",
    f"{CPU}/cpu0/cache/index2/size": "12M\n",
    "sys/class/thermal/thermal_zone0/temp": "51000\n",
    "sys/class/thermal/thermal_zone1/temp": "63500\n",
    "sys/class/thermal/thermal_zone2/temp": "-273200\n",
    "sys/class/hwmon/hwmon0/name": "k10temp\n",
    "sys/class/hwmon/hwmon0/temp1_input": "66250\n",
    "sys/class/hwmon/hwmon1/name": "nvme\n",
    "sys/class/hwmon/hwmon1/temp1_input": "80000\n",
    "proc/loadavg": "0.52 0.40 0.31 1/523 4711\n",
    "proc/uptime": "1234.56 4000.00\n",
    "proc/meminfo": "MemTotal:       16777216 kB\nMemFree: 1 kB\nMemAvailable:    8388608 kB\n",
    "proc/stat": (
        "cpu  100 20 30 4000 50 6 7 80 0 0\n"
        "cpu0 50 10 15 2000 25 3 3 40 0 0\ncpu1 50 10 15 2000 25 3 4 40 0 0\nintr 1\n"
    ),
    "proc/self/status": "Name:\tpython\nVmHWM:\t    2048 kB\nCpus_allowed_list:\t0-1\n",
    "proc/self/stat": "77 (python) S 1 77 77 0 -1 0 0 0 0 0 11 4 0 0 20 0 1 0 5\n",
    "proc/12/stat": "12 (kworker/0:1) I 2 0 0 0 -1 0 0 0 0 0 0 9 0 0 20 0 1 0 5\n",
    "proc/13/stat": "13 (a (b) c) S 1 13 13 0 -1 0 0 0 0 0 100 25 0 0 20 0 1 0 5\n",
    "proc/14/stat": "14 (idle) S 1 14 14 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 5\n",
    "proc/pressure/cpu": "some avg10=1.25 avg60=0.80 avg300=0.40 total=1\nfull avg10=0.00 avg60=0 total=0\n",
    "proc/cpuinfo": (
        "processor\t: 0\nmodel name\t: Example CPU 9000\ncpu MHz\t\t: 1000.0\n"
        "flags\t\t: fpu avx2 fma hypervisor\n\n"
        "processor\t: 1\nmodel name\t: Example CPU 9000\ncpu MHz\t\t: 3000.0\n"
    ),
    "proc/sys/kernel/osrelease": "6.1.0-test\n",
    "etc/os-release": 'NAME="Example"\nPRETTY_NAME="Example Linux 5"\n',
}


def lay_out(root: Path, files: dict[str, str]) -> str:
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(content)
    return str(root)


def test_reads_every_witness(tmp_path: Path) -> None:
    assert probe.read(lay_out(tmp_path, LAPTOP)) == {
        "clock_mhz": 2600.0,
        "clock_max_mhz": 4200.0,
        "governor": "powersave",
        "turbo": False,
        "temp_c": 66.25,
        "throttle_count": 7,
        "load1": 0.52,
        "uptime_s": 1234.56,
        "own_cpu_ns": 15 * TICK_NS,
        "peak_rss_bytes": 2048 * 1024,
        "pressure_cpu": 1.25,
        "memory_free_mb": 8192.0,
        "memory_total_mb": 16384.0,
        "cpu_count": 2,
        "cpu_busy_ns": 163 * TICK_NS,
        "cpu_idle_ns": 4050 * TICK_NS,
        "cpu_steal_ns": 80 * TICK_NS,
    }


def test_what_cannot_be_read_is_absent(tmp_path: Path) -> None:
    assert probe.read(str(tmp_path)) == {}
    assert probe.processes(str(tmp_path)) == []


def test_unreadable_contents_are_absent(tmp_path: Path) -> None:
    broken = {
        f"{CPU}/cpu0/cpufreq/scaling_cur_freq": "<unknown>\n",
        "sys/class/thermal/thermal_zone0/temp": "\n",
        "proc/self/status": "Cpus_allowed_list:\t0\n",
        "proc/loadavg": "",
        "proc/stat": "cpu  1 2\n",
        "proc/meminfo": "MemTotal: lots\n",
        "proc/self/stat": "77 (cut",
        "proc/pressure/cpu": "some\n",
    }
    assert probe.read(lay_out(tmp_path, broken)) == {}


def test_clock_falls_back_to_cpuinfo_of_the_allowed_cpus(tmp_path: Path) -> None:
    root = lay_out(tmp_path, {name: LAPTOP[name] for name in ("proc/cpuinfo", "proc/self/status")})
    assert probe.read(root)["clock_mhz"] == 3000.0
    (tmp_path / "proc/self/status").write_text("Cpus_allowed_list:\t0\n")
    assert probe.read(root)["clock_mhz"] == 1000.0


def test_governors_that_differ_are_all_named(tmp_path: Path) -> None:
    status = {"proc/self/status": "Cpus_allowed_list:\t0-2\n"}
    assert probe.read(lay_out(tmp_path, LAPTOP | status))["governor"] == "performance,powersave"


@pytest.mark.parametrize(("content", "turbo"), [("1\n", True), ("0\n", False)])
def test_turbo_of_a_machine_without_intel_pstate(tmp_path: Path, content: str, turbo: bool) -> None:
    assert probe.read(lay_out(tmp_path, {f"{CPU}/cpufreq/boost": content}))["turbo"] is turbo


def test_lists_processes_with_their_time_but_not_itself(tmp_path: Path) -> None:
    assert probe.processes(lay_out(tmp_path, LAPTOP)) == [
        {"pid": 12, "name": "kworker/0:1", "cpu_ns": 9 * TICK_NS},
        {"pid": 13, "name": "a (b) c", "cpu_ns": 125 * TICK_NS},
    ]


def test_this_machine_tells_its_memory_and_time() -> None:
    readings = probe.read()
    assert readings["memory_total_mb"] >= readings["memory_free_mb"] > 0
    assert readings["peak_rss_bytes"] > 1_000_000
    assert readings["cpu_busy_ns"] > 0
    assert os.getpid() not in {item["pid"] for item in probe.processes()}


def test_describes_the_machine(tmp_path: Path) -> None:
    facts = machine.describe(lay_out(tmp_path, LAPTOP))
    assert facts | {"machine": "", "python": ""} == {
        "cpu_model": "Example CPU 9000",
        "sockets": 1,
        "cores": 2,
        "threads": 4,
        "allowed_cpus": [0, 1],
        "fastest_cpus": [0, 1],
        "instruction_sets": ["avx2", "fma"],
        "caches": {"L1d": 48 * 1024, "L3": 12 * 1024 * 1024},
        "machine": "",
        "kernel": "6.1.0-test",
        "os": "Example Linux 5",
        "memory_total_mb": 16384.0,
        "hypervisor": True,
        "freq_driver": "intel_pstate",
        "python": "",
    }


def test_tells_what_became_of_the_cpus_it_is_kept_to(tmp_path: Path) -> None:
    status = {"proc/self/status": "Cpus_allowed_list:\t1\n"}
    readings = probe.read(lay_out(tmp_path, LAPTOP | status))
    assert readings["kept_cpu_count"] == 1
    # user, nice, system, irq and softirq of the second CPU.
    assert readings["kept_cpu_busy_ns"] == (50 + 10 + 15 + 3 + 4) * TICK_NS
    assert "kept_cpu_count" not in probe.read(lay_out(tmp_path / "free", LAPTOP))


@pytest.mark.parametrize(
    ("ranks", "fastest"),
    [
        ({}, [0, 1, 2, 3]),
        ({"cpufreq/cpuinfo_max_freq": (4200000, 4200000, 3000000, 3000000)}, [0, 1]),
        ({"cpu_capacity": (446, 446, 1024, 1024), "cpufreq/cpuinfo_max_freq": (9, 1, 1, 1)}, [2, 3]),
        ({"cpu_capacity": (446, None, 1024, 1024), "cpufreq/cpuinfo_max_freq": (1, 2, 1, 1)}, [1]),
        ({"cpufreq/cpuinfo_max_freq": (1, None, 2, 2)}, [0, 1, 2, 3]),
    ],
)
def test_the_fastest_cpus_are_those_the_kernel_ranks_highest(
    tmp_path: Path, ranks: dict[str, tuple[int | None, ...]], fastest: list[int]
) -> None:
    ranked = {
        f"{CPU}/cpu{cpu}/{name}": f"{value}\n"
        for name, values in ranks.items()
        for cpu, value in enumerate(values)
        if value is not None
    }
    assert machine.fastest_cpus(lay_out(tmp_path, ranked), [0, 1, 2, 3]) == fastest


@pytest.mark.parametrize(
    ("online", "fastest"), [("0-3", [0, 1, 2, 3]), ("0,2", [0, 2]), (None, [0, 1, 2, 3, 4, 5])]
)
def test_cpus_that_are_not_there_are_none_of_the_fastest(
    tmp_path: Path, online: str | None, fastest: list[int]
) -> None:
    """A virtual machine may allow more CPUs than it has, and a process cannot be kept to those."""
    told = {"proc/self/status": "Cpus_allowed_list:\t0-5\n"} | ({f"{CPU}/online": online} if online else {})
    assert machine.describe(lay_out(tmp_path, told))["fastest_cpus"] == fastest


def test_no_cpus_are_told_where_none_are_known(tmp_path: Path) -> None:
    assert machine.fastest_cpus(lay_out(tmp_path, {}), []) == []


def test_describes_a_board_without_model_name(tmp_path: Path) -> None:
    board = {
        "proc/cpuinfo": "processor\t: 0\nFeatures\t: fp asimd asimddp\nCPU part\t: 0xd42\n",
        "proc/device-tree/model": "Example Board rev 2\0",
    }
    facts = machine.describe(lay_out(tmp_path, board))
    assert facts["cpu_model"] == "Example Board rev 2"
    assert facts["instruction_sets"] == ["asimd", "asimddp"]
    assert facts["hypervisor"] is False
    assert "caches" not in facts
