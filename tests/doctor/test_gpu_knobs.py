"""Knobs judge boards laid out as files and GPUs behind NVML, and never call well what is not told."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.doctor.test_knobs import LATER, QUIET
from tests.e2e.cli import vitbench
from tests.e2e.test_ssh import lead_python
from tests.support.jetson import GPU, HEAT, LOCKED, ORIN, RAILS, lay_out
from tests.support.nvml import A100, FakeNvml
from tests.support.sshd.board import Board
from vitbench import catalog
from vitbench.agent import machine as agent_machine
from vitbench.agent import probe
from vitbench.agent.gpu import Watch
from vitbench.doctor import examine, gpu_knobs
from vitbench.doctor.machine import Finding, Machine, Verdict
from vitbench.doctor.tell import as_text
from vitbench.report import Screen

QUIET_BOARD = QUIET | ORIN | LOCKED | {"sys/class/hwmon/hwmon5/oc1_event_cnt": "0\n"}
QUIET_BOARD |= {"sys/class/hwmon/hwmon5/oc3_event_cnt": "0\n"}
OWN = 'name = "own"\ntitle = ""\ntransport = "ssh"\nruntime = "onnxruntime"\ndevices = ["Example 9000"]\n'
WELL: dict[str, Any] = {"runtime": "tensorrt", "runtime_version": "10.3.0", "threads": 1, "busy": ()}


@pytest.fixture(autouse=True)
def _all_visible(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)


@pytest.fixture
def board_by_ssh(board: Board) -> Board:
    """A board that has a runtime."""
    lead_python(board)
    return board


def read_board(
    root: Path, before: dict[str, str] | None = None, after: dict[str, str] | None = None
) -> Machine:
    """An Orin as its agent reads it twice, with other files; those of `after` come between the readings."""
    place = lay_out(root, QUIET_BOARD | (before or {}))
    watch = Watch(place)
    first = watch.readings(probe.read(place))
    lay_out(root, LATER | (after or {}))
    facts = {**agent_machine.describe(place), **watch.facts()}
    later = watch.readings(probe.read(place))
    return Machine(facts=facts, before=first, after=later, target=catalog.resolve_target("orin"), **WELL)


def card(target: str = "a100", **answers: Any) -> Machine:
    """A card with other answers; None takes one away."""
    known = {**A100, **{f"nvmlDeviceGet{name}": answer for name, answer in answers.items()}}
    watch = Watch(library=FakeNvml([{name: value for name, value in known.items() if value is not None}]))
    readings = watch.readings({"uptime_s": 1.0})
    return Machine(watch.facts(), readings, readings, target=catalog.resolve_target(target), **WELL)


def findings(machine: Machine) -> dict[str, Finding]:
    return {
        finding.knob: finding for finding in (knob.judge(machine) for knob in gpu_knobs.gpu_knobs(machine))
    }


def test_a_quiet_board_is_well(tmp_path: Path) -> None:
    found = findings(read_board(tmp_path))
    assert {name: finding.verdict for name, finding in found.items()} == {
        **dict.fromkeys(("device", "power mode", "clocks", "supply", "temperature"), Verdict.OK),
        **dict.fromkeys(("throttling", "desktop"), Verdict.OK),
    }
    assert found["device"].seen == "NVIDIA Jetson AGX Orin Developer Kit, JetPack 6, L4T 36.4.3"
    assert found["clocks"].seen == "locked, GPU at most 1300 MHz"
    assert found["supply"].seen == "no over-current event; 8.0 W now"


@pytest.mark.parametrize(
    ("knob", "files", "verdict", "words"),
    [
        ("power mode", {"var/lib/nvpmodel/status": "pmode:0002\n"}, "warn", "MODE_30W, where MAXN is"),
        ("clocks", {f"{GPU}/min_freq": "306000000\n"}, "warn", "not locked, GPU at most 1300 MHz"),
        ("supply", {"sys/class/hwmon/hwmon5/oc1_event_cnt": "2\n"}, "warn", "2 over-current events"),
        ("supply", {f"{RAILS}/curr1_crit_alarm": "1\n"}, "fail", "over its limit now"),
        ("temperature", {f"{HEAT}/thermal_zone4/temp": "81000\n"}, "warn", "81 C"),
        ("throttling", {f"{HEAT}/cooling_device2/cur_state": "1\n"}, "fail", "slows itself down"),
        ("desktop", {"proc/9/comm": "Xorg\n"}, "warn", "Xorg runs"),
        (
            "device",
            {"sys/firmware/devicetree/base/model": "NVIDIA Jetson Orin Nano Developer Kit\0"},
            "fail",
            "target 'orin' is for AGX Orin, and this device is NVIDIA Jetson Orin Nano",
        ),
    ],
)
def test_boards_that_are_not(
    tmp_path: Path, knob: str, files: dict[str, str], verdict: str, words: str
) -> None:
    finding = findings(read_board(tmp_path, files))[knob]
    assert finding.verdict == Verdict(verdict)
    assert words in finding.seen
    assert finding.fix


def test_fixes_name_what_is_to_be_typed(tmp_path: Path) -> None:
    found = findings(read_board(tmp_path, ORIN))
    assert found["power mode"].fix == "sudo nvpmodel -m 0"
    assert "sudo jetson_clocks" in (found["clocks"].fix or "")


def test_an_over_current_event_between_the_readings(tmp_path: Path) -> None:
    after = {"sys/class/hwmon/hwmon5/oc1_event_cnt": "1\n"}
    assert findings(read_board(tmp_path, after=after))["supply"].verdict is Verdict.FAIL


def test_a_quiet_card_is_well_but_for_what_nobody_can_ask() -> None:
    found = findings(card())
    others = {name for name, finding in found.items() if finding.verdict is not Verdict.OK}
    assert others == {"GPU clocks"}
    assert found["GPU clocks"].verdict is Verdict.UNKNOWN
    assert found["device"].seen == "NVIDIA A100-SXM4-80GB, driver 550.54.15, CUDA up to 12.4"
    assert found["PCIe link"].seen == "16 of 16 lanes, generation 4 of 4 now"
    assert found["ECC"].seen == "on, 2 errors corrected since the driver began"


@pytest.mark.parametrize(
    ("knob", "answers", "verdict", "words"),
    [
        ("GPU processes", {"ComputeRunningProcesses_v3": (4_000_000,)}, "fail", "1 compute on it: 4000000"),
        ("throttling", {"CurrentClocksThrottleReasons": 0x48}, "fail", "hw_slowdown, hw_thermal"),
        ("throttling", {"CurrentClocksThrottleReasons": 0x4}, "warn", "held down by sw_power_cap"),
        ("throttling", {"CurrentClocksThrottleReasons": 0x1}, "ok", "none"),
        ("power limit", {"EnforcedPowerLimit": 250_000}, "warn", "250 W, where 400 W is usual"),
        ("persistence mode", {"PersistenceMode": 0}, "warn", "off"),
        ("PCIe link", {"CurrPcieLinkWidth": 8}, "warn", "8 of 16 lanes"),
        ("PCIe link", {"CurrPcieLinkGeneration": 1}, "ok", "generation 1 of 4 now"),
        ("ECC", {"EccMode": (0, 0)}, "ok", "off"),
        ("ECC", {"TotalEccErrors": {0: 2, 1: 7}}, "warn", "7 errors that could not be corrected"),
        ("temperature", {"Temperature": {0: 84}}, "warn", "84 C"),
        (
            "device",
            {"Name": "NVIDIA H200"},
            "fail",
            "target 'a100' is for A100, and this device is NVIDIA H200",
        ),
        ("device", {"MigMode": (1, 1)}, "fail", "a MIG slice of NVIDIA A100"),
    ],
)
def test_cards_that_are_not(knob: str, answers: dict[str, Any], verdict: str, words: str) -> None:
    finding = findings(card(**answers))[knob]
    assert finding.verdict == Verdict(verdict)
    assert words in finding.seen


def test_a_card_that_tells_nothing_is_never_called_well() -> None:
    silent = {name.removeprefix("nvmlDeviceGet"): None for name in A100 if not name.endswith("Name")}
    found = findings(card(**silent))
    told = {
        name: finding.verdict for name, finding in found.items() if finding.verdict is not Verdict.UNKNOWN
    }
    assert told == {"device": Verdict.OK, "desktop": Verdict.OK}


def test_a_board_that_tells_nothing_is_never_called_well() -> None:
    bare = Machine({"board": "NVIDIA Jetson AGX Orin"}, {}, {}, **WELL)
    told = {
        name: finding.verdict
        for name, finding in findings(bare).items()
        if finding.verdict is not Verdict.UNKNOWN
    }
    assert told == {"device": Verdict.OK, "desktop": Verdict.OK}


def test_the_processor_is_not_blamed_for_the_gpu(tmp_path: Path) -> None:
    hot = read_board(tmp_path, {f"{HEAT}/cooling_device2/cur_state": "1\n"})
    found = [knob.judge(hot) for knob in examine._knobs(hot)]
    names = [finding.knob for finding in found]
    assert len(set(names)) == len(names)
    assert [finding.seen for finding in found if finding.knob == "throttling"] == ["it slows itself down now"]
    governor = next(finding for finding in found if finding.knob == "governor")
    assert (governor.verdict, "the clocks are locked" in governor.seen) == (Verdict.OK, True)
    text = as_text(examine.Diagnosis("orin", False, hot.facts, tuple(found), None), Screen(160))
    assert text.startswith("orin: NVIDIA Jetson AGX Orin Developer Kit, Example CPU 9000")


def test_which_targets_compute_on_a_gpu() -> None:
    known = catalog.load_targets()
    watched = {name for name in known if examine.on_gpu(known[name])}
    assert watched >= {"orin", "orin-nano", "jetson-nano", "a100", "h100", "h200", "rtx"}
    assert not watched & {"cpu", "cpu-tflite", "sim", "snapdragon"}


@pytest.mark.parametrize(("target", "told"), [("rtx", True), ("orin", True), ("cuda-torch", False)])
def test_host_is_named_only_where_it_is_taken(target: str, told: bool) -> None:
    machine = Machine({}, {}, {}, target=catalog.resolve_target(target), **WELL)
    fix = gpu_knobs.Device().judge(machine).fix
    assert fix is not None
    assert ("--host" in fix) is told
    assert "`nvidia-smi`" in fix


def test_a_machine_without_a_gpu_is_told_so(tmp_path: Path) -> None:
    (tmp_path / "own.toml").write_text(OWN)
    done = vitbench("doctor", "-t", "own.toml", "--host", "local", cwd=tmp_path, CUDA_VISIBLE_DEVICES="")
    assert done.code == 0, done.err
    assert "fail     device" in done.out
    assert "no NVIDIA device was found: neither a driver (libnvidia-ml.so.1) nor a Jetson" in done.out
    assert "nvidia-smi" in done.out
    assert "Traceback" not in done.err


@pytest.mark.sshd
def test_a_board_is_examined_over_ssh(board_by_ssh: Board, tmp_path: Path) -> None:
    (tmp_path / "own.toml").write_text(OWN)
    done = vitbench("doctor", "-t", "own.toml", "--host", "board", "--json", cwd=tmp_path)
    assert done.code == 0, done.err
    found = {finding["knob"]: finding for finding in done.json()["findings"]}
    assert found["runtime"]["verdict"] == "ok"
    assert found["device"]["verdict"] == "fail"
