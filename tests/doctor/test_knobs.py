"""Knobs judge machines that are laid out as files, and never call well what they cannot see."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from vitbench.agent import machine as agent_machine
from vitbench.agent import probe
from vitbench.doctor import knobs
from vitbench.doctor.machine import Busy, Finding, Knob, Library, Machine, Place, Verdict

CPU = "sys/devices/system/cpu"

STAT = "cpu  {user} 0 0 4000 0 0 0 {steal} 0 0\ncpu0 0 0 0 0 0 0 0 0 0 0\ncpu1 0 0 0 0 0 0 0 0 0 0\n"
MEMORY = "MemTotal: 16777216 kB\nMemAvailable: {free} kB\nSwapTotal: 1048576 kB\nSwapFree: {swap} kB\n"

# A quiet machine: two cores, nothing running, all knobs as they should be.
QUIET: dict[str, str] = {
    f"{CPU}/online": "0-1\n",
    f"{CPU}/cpu0/cpufreq/scaling_governor": "performance\n",
    f"{CPU}/cpu1/cpufreq/scaling_governor": "performance\n",
    f"{CPU}/cpu0/cpufreq/scaling_driver": "intel_pstate\n",
    f"{CPU}/intel_pstate/no_turbo": "1\n",
    f"{CPU}/cpu0/thermal_throttle/core_throttle_count": "0\n",
    f"{CPU}/cpu0/topology/physical_package_id": "0\n",
    f"{CPU}/cpu0/topology/core_id": "0\n",
    f"{CPU}/cpu1/topology/physical_package_id": "0\n",
    f"{CPU}/cpu1/topology/core_id": "1\n",
    "sys/class/thermal/thermal_zone0/temp": "51000\n",
    "proc/loadavg": "0.02 0.40 0.31 1/523 4711\n",
    "proc/uptime": "1000.00 4000.00\n",
    "proc/meminfo": MEMORY.format(free=1 << 23, swap=1 << 20),
    "proc/stat": STAT.format(user=100, steal=0),
    "proc/self/status": "Name:\tpython\nCpus_allowed_list:\t0-1\n",
    "proc/self/stat": "77 (python) S 1 77 77 0 -1 0 0 0 0 0 10 0 0 0 20 0 1 0 5\n",
    "proc/pressure/cpu": "some avg10=0.00 avg60=0.80 avg300=0.40 total=1\n",
    "proc/cpuinfo": "processor\t: 0\nmodel name\t: Example CPU 9000\nflags\t\t: fpu avx2\n\n",
}
# Two seconds later: 10 ticks of the agent's own work, nothing else.
LATER: dict[str, str] = {
    "proc/uptime": "1002.00 4000.00\n",
    "proc/stat": STAT.format(user=110, steal=0),
    "proc/self/stat": "77 (python) S 1 77 77 0 -1 0 0 0 0 0 20 0 0 0 20 0 1 0 5\n",
}


def lay_out(root: Path, files: dict[str, str]) -> str:
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(content)
    return str(root)


def read(root: Path, before: dict[str, str], after: dict[str, str], **more: Any) -> Machine:
    lay_out(root, before)
    facts, first = agent_machine.describe(str(root)), probe.read(str(root))
    lay_out(root, after)
    return Machine(facts=facts, before=first, after=probe.read(str(root)), **more)


def judge(knob: Knob, root: Path, before: dict[str, str], after: dict[str, str], **more: Any) -> Finding:
    return knob.judge(read(root, QUIET | before, LATER | before | after, **more))


WELL: dict[str, Any] = {
    "threads": 1,
    "runtime": "onnxruntime",
    "runtime_version": "1.31.1",
    "busy": (),
    "places": (Place("records", Path("results"), 50_000.0),),
    "libraries": (Library("torch", "2.13.0", "2.13.0"),),
}


def test_a_quiet_machine_is_well(tmp_path: Path) -> None:
    machine = read(tmp_path, QUIET, LATER, **WELL)
    assert {finding.knob: finding.verdict for finding in (knob.judge(machine) for knob in knobs.KNOBS)} == {
        knob.name: Verdict.OK for knob in knobs.KNOBS
    }


def test_a_machine_that_tells_nothing_is_never_called_well() -> None:
    machine = Machine(facts={}, before={}, after={}, runtime="onnxruntime")
    findings = [knob.judge(machine) for knob in knobs.KNOBS]
    assert {finding.knob for finding in findings if finding.verdict is not Verdict.UNKNOWN} == {"runtime"}
    assert not any(finding.verdict is Verdict.OK for finding in findings)


def test_names_are_unique_and_every_complaint_has_a_fix(tmp_path: Path) -> None:
    assert len({knob.name for knob in knobs.KNOBS}) == len(knobs.KNOBS)
    for machine in (Machine({}, {}, {}), read(tmp_path, QUIET, LATER, threads=9)):
        for finding in (knob.judge(machine) for knob in knobs.KNOBS):
            assert finding.seen
            assert (finding.fix is not None) == (finding.verdict in (Verdict.WARN, Verdict.FAIL))


@pytest.mark.parametrize(
    ("knob", "files", "verdict", "words"),
    [
        (knobs.Governor(), {f"{CPU}/cpu1/cpufreq/scaling_governor": "powersave\n"}, "warn", "powersave"),
        (
            knobs.Governor(),
            {f"{CPU}/cpu{n}/cpufreq/scaling_governor": "schedutil\n" for n in (0, 1)},
            "warn",
            "sched",
        ),
        (knobs.Turbo(), {f"{CPU}/intel_pstate/no_turbo": "0\n"}, "warn", "on"),
        (knobs.Temperature(), {"sys/class/thermal/thermal_zone0/temp": "79900\n"}, "ok", "80 C"),
        (knobs.Temperature(), {"sys/class/thermal/thermal_zone0/temp": "80000\n"}, "warn", "80 C"),
        (knobs.Load(), {"proc/loadavg": "0.61 0 0 1/5 4\n"}, "warn", "0.61 on 2 CPUs"),
        (knobs.Load(), {"proc/loadavg": "0.60 0 0 1/5 4\n"}, "ok", "0.60 on 2 CPUs"),
        (knobs.Load(), {"proc/pressure/cpu": "some avg10=10.50 avg60=0 avg300=0 total=1\n"}, "warn", "10 %"),
        (
            knobs.Memory(),
            {"proc/meminfo": MEMORY.format(free=2 << 20, swap=1 << 20)},
            "ok",
            "2.0 GiB of 16.0",
        ),
        (
            knobs.Memory(),
            {"proc/meminfo": MEMORY.format(free=(2 << 20) - 1, swap=1 << 20)},
            "warn",
            "2.0 GiB",
        ),
        (
            knobs.Memory(),
            {"proc/meminfo": MEMORY.format(free=(1 << 19) - 1, swap=1 << 20)},
            "fail",
            "0.5 GiB",
        ),
        (knobs.Swap(), {"proc/meminfo": MEMORY.format(free=1 << 22, swap=1 << 19)}, "warn", "512 MiB"),
        (knobs.Virtualisation(), {"proc/cpuinfo": "flags\t: fpu hypervisor\n"}, "warn", "virtual machine"),
        (knobs.Smt(), {f"{CPU}/cpu1/topology/core_id": "0\n"}, "warn", "2 threads on 1 cores"),
    ],
)
def test_one_knob_out_of_place(
    tmp_path: Path, knob: Knob, files: dict[str, str], verdict: str, words: str
) -> None:
    finding = judge(knob, tmp_path, files, {})
    assert (finding.verdict, words in finding.seen) == (Verdict(verdict), True), finding


@pytest.mark.parametrize(
    ("user", "threads", "verdict"),
    [
        (100 + 20, 1, "ok"),
        (100 + 60, 1, "warn"),
        (100 + 270, 1, "fail"),
        (100 + 60, 2, "warn"),
        (100 + 80, 2, "fail"),
    ],
)
def test_foreign_processes_count_without_our_own(
    tmp_path: Path, user: int, threads: int, verdict: str
) -> None:
    """Of the ticks in 2 s our own 10 are no foreign ones; over 0.25 CPUs beyond the idle ones is void."""
    after = {"proc/stat": STAT.format(user=user, steal=0)}
    finding = judge(
        knobs.ForeignProcesses(), tmp_path, {}, after, threads=threads, busy=(Busy(12, "make", 0.5),)
    )
    assert finding.verdict == Verdict(verdict)
    assert f"{(user - 110) / 200:.2f} of 2 CPUs busy: make (12) 0.50" in finding.seen


def test_only_the_busiest_processes_are_named(tmp_path: Path) -> None:
    busy = (*(Busy(number, f"p{number}", 0.3) for number in range(5)), Busy(9, "idle", 0.001))
    after = {"proc/stat": STAT.format(user=400, steal=0)}
    seen = judge(knobs.ForeignProcesses(), tmp_path, {}, after, busy=busy).seen
    assert seen.endswith(": p0 (0) 0.30, p1 (1) 0.30, p2 (2) 0.30")


@pytest.mark.parametrize(("steal", "verdict"), [(0, "ok"), (10, "warn"), (60, "fail")])
def test_stolen_time(tmp_path: Path, steal: int, verdict: str) -> None:
    after = {"proc/stat": STAT.format(user=100, steal=steal)}
    assert judge(knobs.Steal(), tmp_path, {}, after).verdict == Verdict(verdict)


def test_throttling_now_and_before(tmp_path: Path) -> None:
    count = f"{CPU}/cpu0/thermal_throttle/core_throttle_count"
    now = judge(knobs.Throttling(), tmp_path / "now", {}, {count: "1\n"})
    before = judge(knobs.Throttling(), tmp_path / "before", {count: "7\n"}, {})
    assert (now.verdict, before.verdict) == (Verdict.FAIL, Verdict.WARN)
    assert "7 times" in before.seen


def test_a_flag_of_throttling_is_believed() -> None:
    assert knobs.Throttling().judge(Machine({}, {}, {"throttled": True})).verdict is Verdict.FAIL
    assert knobs.Throttling().judge(Machine({}, {}, {"throttled": False})).verdict is Verdict.OK


@pytest.mark.parametrize(
    ("driver", "files", "fix"),
    [
        ("intel_pstate", {f"{CPU}/intel_pstate/no_turbo": "0\n"}, "intel_pstate/no_turbo"),
        ("acpi-cpufreq", {f"{CPU}/cpufreq/boost": "1\n"}, "cpufreq/boost"),
    ],
)
def test_the_fix_for_turbo_fits_the_driver(
    tmp_path: Path, driver: str, files: dict[str, str], fix: str
) -> None:
    machine = read(tmp_path, {f"{CPU}/cpu0/cpufreq/scaling_driver": driver + "\n"} | files, {})
    finding = knobs.Turbo().judge(machine)
    assert finding.verdict is Verdict.WARN
    assert finding.fix is not None
    assert fix in finding.fix


@pytest.mark.parametrize(
    ("threads", "allowed", "core_id", "verdict"),
    [(2, "0-1", "1", "ok"), (3, "0-1", "1", "fail"), (2, "0", "1", "fail"), (2, "0-1", "0", "warn")],
)
def test_threads(tmp_path: Path, threads: int, allowed: str, core_id: str, verdict: str) -> None:
    files = {
        "proc/self/status": f"Cpus_allowed_list:\t{allowed}\n",
        f"{CPU}/cpu1/topology/core_id": core_id + "\n",
    }
    assert judge(knobs.Threads(), tmp_path, files, {}, threads=threads).verdict == Verdict(verdict)


@pytest.mark.parametrize(
    ("libraries", "verdict", "words"),
    [
        ((Library("torch", "2.13.0", "2.13.0"), Library("numpy", "2.4.6", None)), "ok", "torch 2.13.0"),
        ((Library("torch", "2.14.0", "2.13.0"),), "warn", "torch 2.14.0 (tested: 2.13.0)"),
        ((Library("torch", None, "2.13.0"), Library("onnx", "1", "2")), "fail", "not installed: torch"),
        ((Library("torch", "2.13.0", None),), "unknown", "constraints.txt"),
    ],
)
def test_versions(libraries: tuple[Library, ...], verdict: str, words: str) -> None:
    finding = knobs.Libraries().judge(Machine({}, {}, {}, libraries=libraries))
    assert finding.verdict == Verdict(verdict)
    assert words in finding.seen


@pytest.mark.parametrize(("free_mb", "verdict"), [(5000.0, "ok"), (2000.0, "warn"), (60.0, "fail")])
def test_the_fullest_disk_counts(free_mb: float, verdict: str) -> None:
    places = (
        Place("records", Path("results"), 9000.0),
        Place("artifact cache", Path("/cache"), free_mb),
        Place("temporary files", Path("/tmp"), None),
    )
    finding = knobs.Disk().judge(Machine({}, {}, {}, places=places))
    assert finding.verdict == Verdict(verdict)
    assert "artifact cache in /cache" in finding.seen


def test_an_absent_runtime_fails() -> None:
    absent = Machine({}, {}, {}, runtime="onnxruntime")
    assert knobs.Runtime().judge(absent).verdict is Verdict.FAIL


def test_odd_readings_decide_nothing() -> None:
    odd = {"temp_c": "hot", "load1": None, "memory_free_mb": True, "throttle_count": "many"}
    machine = Machine({"cores": "two"}, odd, odd)
    for knob in (knobs.Temperature(), knobs.Load(), knobs.Memory(), knobs.Throttling(), knobs.Smt()):
        assert knob.judge(machine).verdict is Verdict.UNKNOWN
