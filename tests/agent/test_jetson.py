"""What a Jetson tells, read from boards laid out as files."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.jetson import CPU, GPU, HEAT, LOCKED, MORE_RAILS, ORIN, RAILS, lay_out, take_away
from vitbench.agent import jetson
from vitbench.agent.jetson import Jetson


def test_facts_of_a_board(tmp_path: Path) -> None:
    assert Jetson(lay_out(tmp_path, ORIN)).facts() == {
        "board": "NVIDIA Jetson AGX Orin Developer Kit",
        "l4t": "36.4.3",
        "jetpack": "6",
        "power_modes": {"0": "MAXN", "1": "MODE_15W", "2": "MODE_30W"},
    }


def test_reads_every_witness(tmp_path: Path) -> None:
    assert Jetson(lay_out(tmp_path, ORIN)).readings() == {
        "power_mode": "MODE_30W",
        "clocks_locked": False,
        "over_current_count": 4,
        "over_current_alarm": False,
        "held_by_heat": False,
        "gpu_clock_mhz": 306.0,
        "gpu_clock_min_mhz": 306.0,
        "gpu_clock_max_mhz": 612.0,
        "gpu_governor": "nvhost_podgov",
        "tj_temp_c": 48.75,
        "gpu_temp_c": 45.25,
        "cpu_temp_c": 48.5,
        "soc_temp_c": 47.0,
        "rail_VDD_GPU_SOC_w": pytest.approx(4.0),
        "rail_VDD_CPU_CV_w": pytest.approx(1.0),
        "rail_VIN_SYS_5V0_w": pytest.approx(3.0),
        "rail_VDDQ_VDD2_1V8AO_w": pytest.approx(0.5),
        "power_w": pytest.approx(8.0),
        "power_of": "VDD_CPU_CV+VDD_GPU_SOC+VIN_SYS_5V0",
    }


def test_what_cannot_be_read_is_absent(tmp_path: Path) -> None:
    assert Jetson(str(tmp_path)).readings() == {}
    assert Jetson(str(tmp_path)).facts() == {}
    assert Jetson(str(tmp_path)).clock_mhz() is None
    assert Jetson(str(tmp_path)).power() == {}
    assert not jetson.is_jetson(str(tmp_path))


def test_contents_that_are_none_are_absent(tmp_path: Path) -> None:
    broken = {
        "etc/nv_tegra_release": "# something else\n",
        "var/lib/nvpmodel/status": "fmode:quiet\n",
        f"{GPU}/cur_freq": "EAGAIN\n",
        f"{HEAT}/thermal_zone0/type": "gpu-thermal\n",
        f"{HEAT}/thermal_zone0/temp": "-256000\n",
        f"{RAILS}/in1_label": "VDD_IN\n",
        f"{RAILS}/in1_input": "5000\n",
    }
    board = Jetson(lay_out(tmp_path, broken))
    assert board.readings() == {}
    assert board.facts() == {}


@pytest.mark.parametrize(
    ("model", "release", "expected"),
    [
        ("NVIDIA Jetson Orin Nano Developer Kit\0", None, True),
        (None, "# R32 (release), REVISION: 7.1, x", True),
        ("Example Board rev 2\0", None, False),
    ],
)
def test_which_machine_is_one(tmp_path: Path, model: str | None, release: str | None, expected: bool) -> None:
    files = {"sys/firmware/devicetree/base/model": model, "etc/nv_tegra_release": release}
    root = lay_out(tmp_path, {name: content for name, content in files.items() if content})
    assert jetson.is_jetson(root) is expected


@pytest.mark.parametrize(
    ("content", "release", "jetpack"),
    [
        ("# R39 (release), REVISION: 2.0, GCID: 5", "39.2.0", "7.2"),
        ("# R39 (release), REVISION: 0.1, GCID: 5", "39.0.1", "7"),
        ("# R35 (release), REVISION: 4.1, GCID: 5", "35.4.1", "5"),
        ("# R32 (release), REVISION: 7.1, GCID: 5", "32.7.1", "4"),
        ("# R99 (release), REVISION: 1.0, GCID: 5", "99.1.0", None),
    ],
)
def test_releases(tmp_path: Path, content: str, release: str, jetpack: str | None) -> None:
    facts = Jetson(lay_out(tmp_path, {"etc/nv_tegra_release": content})).facts()
    assert (facts["l4t"], facts.get("jetpack")) == (release, jetpack)


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("NV Power Mode: MAXN\n0\n", "MAXN"),
        ("NVPM WARN: fan mode is not set!\nNV Fan Mode:quiet\nNV Power Mode: MODE_50W\n3\n", "MODE_50W"),
        ("NV Power Mode: 15W \n2\n", "15W"),
        ("NVPM ERROR: no permission\n", "MODE_30W"),
        ("NV Power Mode: \n", "MODE_30W"),
        (None, "MODE_30W"),
    ],
)
def test_the_power_mode_by_name(tmp_path: Path, said: str | None, expected: str) -> None:
    assert Jetson(lay_out(tmp_path, ORIN), ask=lambda: said).readings()["power_mode"] == expected


def test_a_power_mode_that_no_file_names(tmp_path: Path) -> None:
    root = lay_out(tmp_path, {"var/lib/nvpmodel/status": "pmode:0007 fmode:quiet\n"})
    assert Jetson(root).readings()["power_mode"] == "mode 7"


@pytest.mark.parametrize(
    "name", ["17000000.gpu", "17000000.ga10b", "17000000.gv11b", "57000000.gpu", "gpu-gpc-0"]
)
def test_the_gpu_among_what_has_a_clock(tmp_path: Path, name: str) -> None:
    clocks = {"15340000.vic": "1", "15480000.nvdec": "2", "gpu-nvd-0": "3", name: "1300500000"}
    root = lay_out(tmp_path, {f"sys/class/devfreq/{each}/cur_freq": hz for each, hz in clocks.items()})
    assert Jetson(root).clock_mhz() == 1300.5


def test_clocks_are_locked_where_none_may_move(tmp_path: Path) -> None:
    root = lay_out(tmp_path, ORIN | LOCKED)
    assert Jetson(root).readings()["clocks_locked"] is True
    lay_out(tmp_path, {f"{CPU}/cpu1/cpufreq/scaling_min_freq": "729600\n"})
    assert Jetson(root).readings()["clocks_locked"] is False
    take_away(tmp_path, f"{CPU}/cpu1/cpufreq/scaling_min_freq")
    assert "clocks_locked" not in Jetson(root).readings()


def test_a_cpu_that_is_switched_off_locks_and_unlocks_nothing(tmp_path: Path) -> None:
    root = lay_out(tmp_path, ORIN | LOCKED | {f"{CPU}/online": "0\n"})
    take_away(tmp_path, f"{CPU}/cpu1/cpufreq/scaling_min_freq")
    assert Jetson(root).readings()["clocks_locked"] is True


def test_power_of_a_board_with_one_rail_for_all(tmp_path: Path) -> None:
    rails = {
        f"{MORE_RAILS}/in1_label": "VDD_IN\n",
        f"{MORE_RAILS}/in1_input": "5000\n",
        f"{MORE_RAILS}/curr1_input": "1400\n",
    }
    readings = Jetson(lay_out(tmp_path, ORIN | rails)).readings()
    assert (readings["power_w"], readings["power_of"]) == (pytest.approx(7.0), "VDD_IN")


def test_rails_of_old_boards(tmp_path: Path) -> None:
    sensor = "sys/bus/i2c/drivers/ina3221x/6-0040/iio:device0"
    files = {
        f"{sensor}/rail_name_0": "POM_5V_IN\n",
        f"{sensor}/in_power0_input": "2500\n",
        f"{sensor}/rail_name_1": "POM_5V_GPU\n",
        f"{sensor}/in_power1_input": "400\n",
    }
    assert Jetson(lay_out(tmp_path, files)).power() == {
        "power_w": pytest.approx(2.5),
        "rail_POM_5V_IN_w": pytest.approx(2.5),
        "rail_POM_5V_GPU_w": pytest.approx(0.4),
    }


@pytest.mark.parametrize("device", ["cooling_device1", "cooling_device2"])
def test_a_clock_that_heat_holds_down(tmp_path: Path, device: str) -> None:
    root = lay_out(tmp_path, ORIN | {f"{HEAT}/{device}/cur_state": "3\n"})
    assert Jetson(root).readings()["held_by_heat"] is True


def test_a_rail_over_its_limit(tmp_path: Path) -> None:
    root = lay_out(tmp_path, ORIN | {f"{RAILS}/curr1_crit_alarm": "1\n"})
    assert Jetson(root).readings()["over_current_alarm"] is True


def test_no_program_runs_for_files_of_another_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jetson, "_run_nvpmodel", lambda: pytest.fail("ran nvpmodel"))
    assert Jetson(lay_out(tmp_path, ORIN)).readings()["power_mode"] == "MODE_30W"


def test_nvpmodel_is_run_where_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "nvpmodel"
    program.write_text('#!/bin/sh\n[ "$*" = -q ] && printf "NV Power Mode: 15W\\n2\\n"\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    assert jetson.power_mode("/", jetson._run_nvpmodel) == "15W"
    monkeypatch.setenv("PATH", "/nowhere")
    assert jetson._run_nvpmodel() is None
