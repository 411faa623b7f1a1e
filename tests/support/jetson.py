"""A Jetson as its files tell of it, below a directory."""

from __future__ import annotations

from pathlib import Path

CPU = "sys/devices/system/cpu"
GPU = "sys/class/devfreq/17000000.gpu"
RAILS = "sys/bus/i2c/drivers/ina3221/1-0040/hwmon/hwmon3"
MORE_RAILS = "sys/bus/i2c/drivers/ina3221/1-0041/hwmon/hwmon4"
HEAT = "sys/class/thermal"

# Clocks follow the load, the power mode is not the highest, two of four CPUs are switched off.
ORIN: dict[str, str] = {
    "sys/firmware/devicetree/base/model": "NVIDIA Jetson AGX Orin Developer Kit\0",
    "etc/nv_tegra_release": "# R36 (release), REVISION: 4.3, GCID: 1, BOARD: generic, EABI: aarch64\n",
    "etc/nvpmodel.conf": (
        "< PARAM TYPE=FILE NAME=CPU_ONLINE >\n"
        "< POWER_MODEL ID=0 NAME=MAXN >\nCPU_ONLINE CORE_0 1\n"
        "< POWER_MODEL ID=1 NAME=MODE_15W >\n< POWER_MODEL ID=2 NAME=MODE_30W >\n"
    ),
    "var/lib/nvpmodel/status": "pmode:0002\n",
    f"{CPU}/online": "0-1\n",
    f"{CPU}/cpu0/cpufreq/scaling_cur_freq": "729600\n",
    f"{CPU}/cpu0/cpufreq/cpuinfo_max_freq": "2201600\n",
    f"{CPU}/cpu0/cpufreq/scaling_min_freq": "729600\n",
    f"{CPU}/cpu0/cpufreq/scaling_max_freq": "1728000\n",
    f"{CPU}/cpu0/cpufreq/scaling_governor": "schedutil\n",
    f"{CPU}/cpu1/cpufreq/scaling_min_freq": "729600\n",
    f"{CPU}/cpu1/cpufreq/scaling_max_freq": "1728000\n",
    f"{CPU}/cpu1/cpufreq/scaling_governor": "schedutil\n",
    f"{CPU}/cpu2/cpufreq/affected_cpus": "\n",
    "sys/class/devfreq/15340000.vic/cur_freq": "115200000\n",
    f"{GPU}/cur_freq": "306000000\n",
    f"{GPU}/min_freq": "306000000\n",
    f"{GPU}/max_freq": "612000000\n",
    f"{GPU}/governor": "nvhost_podgov\n",
    f"{HEAT}/thermal_zone0/type": "cpu-thermal\n",
    f"{HEAT}/thermal_zone0/temp": "48500\n",
    f"{HEAT}/thermal_zone1/type": "gpu-thermal\n",
    f"{HEAT}/thermal_zone1/temp": "45250\n",
    f"{HEAT}/thermal_zone2/type": "soc0-thermal\n",
    f"{HEAT}/thermal_zone2/temp": "46000\n",
    f"{HEAT}/thermal_zone3/type": "soc1-thermal\n",
    f"{HEAT}/thermal_zone3/temp": "47000\n",
    f"{HEAT}/thermal_zone4/type": "tj-thermal\n",
    f"{HEAT}/thermal_zone4/temp": "48750\n",
    f"{HEAT}/thermal_zone5/type": "PMIC-Die\n",
    f"{HEAT}/thermal_zone5/temp": "100000\n",
    f"{HEAT}/cooling_device0/type": "pwm-fan\n",
    f"{HEAT}/cooling_device0/cur_state": "2\n",
    f"{HEAT}/cooling_device1/type": "cpufreq-cpu0\n",
    f"{HEAT}/cooling_device1/cur_state": "0\n",
    f"{HEAT}/cooling_device2/type": "devfreq-17000000.gpu\n",
    f"{HEAT}/cooling_device2/cur_state": "0\n",
    f"{RAILS}/in1_label": "VDD_GPU_SOC\n",
    f"{RAILS}/in1_input": "20000\n",
    f"{RAILS}/curr1_input": "200\n",
    f"{RAILS}/curr1_crit_alarm": "0\n",
    f"{RAILS}/in2_label": "VDD_CPU_CV\n",
    f"{RAILS}/in2_input": "20000\n",
    f"{RAILS}/curr2_input": "50\n",
    f"{RAILS}/in3_label": "VIN_SYS_5V0\n",
    f"{RAILS}/in3_input": "5000\n",
    f"{RAILS}/curr3_input": "600\n",
    f"{RAILS}/in7_label": "sum of shunt voltages\n",
    f"{RAILS}/in7_input": "1\n",
    f"{MORE_RAILS}/in1_label": "NC\n",
    f"{MORE_RAILS}/in1_input": "0\n",
    f"{MORE_RAILS}/curr1_input": "0\n",
    f"{MORE_RAILS}/in2_label": "VDDQ_VDD2_1V8AO\n",
    f"{MORE_RAILS}/in2_input": "5000\n",
    f"{MORE_RAILS}/curr2_input": "100\n",
    "sys/class/hwmon/hwmon5/oc1_event_cnt": "3\n",
    "sys/class/hwmon/hwmon5/oc3_event_cnt": "1\n",
    "proc/meminfo": "MemTotal: 31457280 kB\nMemAvailable: 25165824 kB\n",
    "proc/uptime": "100.0 1.0\n",
    "proc/self/status": "Cpus_allowed_list:\t0-1\n",
}
# What jetson_clocks makes of it, in the highest power mode.
LOCKED: dict[str, str] = {
    "var/lib/nvpmodel/status": "pmode:0000\n",
    **{f"{GPU}/{name}_freq": "1300500000\n" for name in ("cur", "min", "max")},
    **{f"{CPU}/cpu{n}/cpufreq/scaling_{end}_freq": "2201600\n" for n in (0, 1) for end in ("min", "max")},
}


def lay_out(root: Path, files: dict[str, str]) -> str:
    """Write files below a directory, and return it as the agent takes it."""
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(content)
    return str(root)


def take_away(root: Path, *names: str) -> None:
    """Remove files again."""
    for name in names:
        (root / name).unlink()
