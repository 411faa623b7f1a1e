"""What a Jetson says of itself without root: power mode, clocks, heat, rails, over-current events.

Every function takes the root of the file system, so that tests can lay out a board of their own.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from typing import Any, Callable, Dict, List, Optional

from . import files, probe

BOARD = ("sys/firmware/devicetree/base/model", "proc/device-tree/model")
RELEASE = "etc/nv_tegra_release"
# JetPack by release of Linux for Tegra. A point release is only named where it is known for sure.
JETPACK = {"39.2": "7.2", "39": "7", "38": "7", "36": "6", "35": "5", "34": "5", "32": "4"}
DEVFREQ = "sys/class/devfreq"
# The GPU's among them: 57000000.gpu, 17000000.ga10b, 17000000.gv11b, gpu-gpc-0.
GPU_DEVFREQ = re.compile(r"(?:^|\.)(?:gpu|g[a-z]\d\d[a-z]|gpu-gpc-\d+)$")
# What the kernel cools with, apart from fans.
HOLDS_CLOCK = re.compile(r"(?:cpufreq|devfreq)-|(?:cpu|gpu)\S*-throttle-alert")
NVPMODEL = ("nvpmodel", "/usr/sbin/nvpmodel")
NVPMODEL_S = 10
# The rail that everything comes from, where there is one; and rails that are fed by another one.
WHOLE = ("VDD_IN", "POM_5V_IN")
FED = ("VDDQ_VDD2_1V8AO",)

Ask = Callable[[], Optional[str]]


class Jetson:
    """A board, and the GPU that is part of its chip.

    Args:
        root: of the file system.
        ask: gives what `nvpmodel -q` prints; runs it, where root is that of this machine, when None.
    """

    def __init__(self, root: str = "/", ask: Optional[Ask] = None) -> None:
        self._root = root
        self._ask = ask or (_run_nvpmodel if root == "/" else _nobody)
        self._devfreq = gpu_devfreq(root)

    def facts(self) -> Dict[str, Any]:
        """Static facts of the board; one that cannot be read is absent.

        Returns:
            `board` (model), `l4t` (release of Linux for Tegra: "36.4.3"), `jetpack` ("6", or "7.2" where the
            release says that much), `power_modes` (names by number).
        """
        release = l4t(self._root)
        found = {
            "board": board(self._root),
            "l4t": release,
            "jetpack": jetpack(release),
            "power_modes": power_modes(self._root) or None,
        }
        return {name: value for name, value in found.items() if value is not None}

    def readings(self) -> Dict[str, Any]:
        """Read every witness there is; one that cannot be read is absent.

        Returns:
            `power_mode` (its name), `gpu_clock_mhz`, `gpu_clock_min_mhz`, `gpu_clock_max_mhz` (between which
            it may move now), `gpu_governor`, `clocks_locked` (bool: GPU and CPUs may not move), `tj_temp_c`
            (the hottest place of the chip), `gpu_temp_c`, `cpu_temp_c`, `soc_temp_c`, `rail_NAME_w` for each
            rail, `power_w` (of the whole module) and `power_of` (which rails that is), `over_current_count`
            (events since boot), `over_current_alarm` (bool: a rail is over its limit now), `held_by_heat`
            (bool: the kernel keeps a clock down for it).
        """
        root = self._root
        found: Dict[str, Any] = {
            "power_mode": power_mode(root, self._ask),
            "clocks_locked": clocks_locked(root),
            "over_current_count": over_current_count(root),
            "over_current_alarm": over_current_alarm(root),
            "held_by_heat": held_by_heat(root),
        }
        found.update(gpu_clocks(root))
        found.update({f"{zone}_temp_c": temp for zone, temp in zones_c(root).items()})
        rails = rails_w(root)
        found.update({f"rail_{name}_w": value for name, value in rails.items()})
        found.update(total_w(rails))
        return {name: value for name, value in found.items() if value is not None}

    def clock_mhz(self) -> Optional[float]:
        """Present clock of the GPU."""
        return gpu_clock_mhz(self._root, self._devfreq)

    def reasons(self) -> Optional[List[str]]:
        """Nothing tells what holds its clock down at a moment."""
        return None

    def thermal_ns(self) -> Optional[int]:
        """Nothing counts how long heat has slowed it down."""
        return None

    def energy_j(self) -> Optional[float]:
        """Nothing counts what it has used."""
        return None

    def power(self) -> Dict[str, float]:
        """`power_w` and `rail_NAME_w`, as they are now; empty where no sensor is to be read."""
        rails = rails_w(self._root)
        whole = {name: value for name, value in total_w(rails).items() if name == "power_w"}
        return {**whole, **{f"rail_{name}_w": value for name, value in rails.items()}} if whole else {}

    def processes(self) -> Optional[List[int]]:
        """Nobody lists the programs on it."""
        return None


def is_jetson(root: str = "/") -> bool:
    """Whether this machine is one."""
    return "jetson" in (board(root) or "").lower() or files.text(root, RELEASE) is not None


def board(root: str) -> Optional[str]:
    """Model of the board as its device tree has it; absent on computers, and hidden in containers."""
    for path in BOARD:
        content = (files.text(root, path) or "").strip("\0 \n")
        if content:
            return content
    return None


def l4t(root: str) -> Optional[str]:
    """Release of Linux for Tegra: "# R36 (release), REVISION: 4.3, ..." is "36.4.3"."""
    found = re.search(r"R(\d+)\s*\(release\),\s*REVISION:\s*([\d.]+)", files.text(root, RELEASE) or "")
    return f"{found.group(1)}.{found.group(2)}".rstrip(".") if found else None


def jetpack(release: Optional[str]) -> Optional[str]:
    """JetPack that brings a release of Linux for Tegra: its number as far as it is known."""
    parts = (release or "").split(".")
    return JETPACK.get(".".join(parts[:2])) or JETPACK.get(parts[0])


def power_modes(root: str) -> Dict[str, str]:
    """Name of each power mode by its number, from nvpmodel's own file."""
    content = files.text(root, "etc/nvpmodel.conf") or ""
    return dict(re.findall(r"<\s*POWER_MODEL\s+ID=(\d+)\s+NAME=([^\s>]+)", content))


def power_mode(root: str, ask: Ask) -> Optional[str]:
    """Name of the power mode: as nvpmodel says it, else by the number it keeps; `mode 3` without a name."""
    said = re.search(r"^NV Power Mode:[ \t]*(\S[^\n]*)$", ask() or "", re.MULTILINE)
    if said:
        return said.group(1).strip()
    kept = re.search(r"pmode:(\d+)", files.text(root, "var/lib/nvpmodel/status") or "")
    if not kept:
        return None
    number = str(int(kept.group(1)))
    return power_modes(root).get(number, f"mode {number}")


def gpu_devfreq(root: str) -> Optional[str]:
    """Directory of the GPU's clock, relative to root."""
    paths = files.matches(root, DEVFREQ + "/*")
    return next((path for path in paths if GPU_DEVFREQ.search(path.rpartition("/")[2])), None)


def gpu_clock_mhz(root: str, directory: Optional[str]) -> Optional[float]:
    """Present clock of the GPU whose directory `gpu_devfreq` found."""
    hz = None if directory is None else files.number(root, directory + "/cur_freq")
    return None if hz is None else hz / 1e6


def gpu_clocks(root: str) -> Dict[str, Any]:
    """The GPU's clock, between what it may move, and what moves it."""
    directory = gpu_devfreq(root)
    if directory is None:
        return {}
    limits = {end: files.number(root, f"{directory}/{end}_freq") for end in ("min", "max")}
    clocks = {f"gpu_clock_{end}_mhz": None if hz is None else hz / 1e6 for end, hz in limits.items()}
    return {
        **clocks,
        "gpu_clock_mhz": gpu_clock_mhz(root, directory),
        "gpu_governor": files.text(root, directory + "/governor"),
    }


def clocks_locked(root: str) -> Optional[bool]:
    """Whether neither the GPU nor any CPU may change its clock; None where one of them does not tell.

    That is the state in which `jetson_clocks` leaves a board.
    """
    gpu = gpu_clocks(root)
    limits = [[gpu.get(f"gpu_clock_{end}_mhz") for end in ("min", "max")]]
    # A CPU that is switched off keeps its directory, and tells nothing.
    for cpu in files.cpu_list(files.text(root, probe.CPU + "/online")):
        path = f"{probe.CPU}/cpu{cpu}/cpufreq"
        limits.append([files.number(root, f"{path}/scaling_{end}_freq") for end in ("min", "max")])
    if len(limits) < 2 or any(None in pair for pair in limits):
        return None
    return all(low == high for low, high in limits)


def zones_c(root: str) -> Dict[str, float]:
    """Temperature of the chip's parts: `tj`, `gpu`, `cpu`, `soc` (the hottest of several)."""
    found: Dict[str, float] = {}
    for path in files.matches(root, "sys/class/thermal/thermal_zone*"):
        kind = (files.text(root, path + "/type") or "").lower()
        name = re.match(r"(tj|gpu|cpu|soc)\d*[-_]", kind)
        value = files.number(root, path + "/temp")
        if name and value is not None and probe.PLAUSIBLE_C[0] < value / 1000 < probe.PLAUSIBLE_C[1]:
            found[name.group(1)] = max(value / 1000, found.get(name.group(1), value / 1000))
    return found


def rails_w(root: str) -> Dict[str, float]:
    """Power of each rail that the board's INA3221 sensors measure, W."""
    found: Dict[str, float] = {}
    for path in files.matches(root, "sys/bus/i2c/drivers/ina3221/*/hwmon/hwmon*/in*_label"):
        directory, _, label = path.rpartition("/")
        number = label[len("in") : -len("_label")]
        values = [files.number(root, f"{directory}/{what}{number}_input") for what in ("in", "curr")]
        _add_rail(found, files.text(root, path), values[0], values[1], 1e-6)
    for path in files.matches(root, "sys/bus/i2c/drivers/ina3221x/*/iio:device*/rail_name_*"):
        directory, _, label = path.rpartition("/")
        milliwatts = files.number(root, f"{directory}/in_power{label.rpartition('_')[2]}_input")
        _add_rail(found, files.text(root, path), milliwatts, 1.0, 1e-3)
    return found


def total_w(rails: Dict[str, float]) -> Dict[str, Any]:
    """Power of the whole module: of the rail that everything comes from, else of all that no other feeds."""
    whole = [name for name in WHOLE if name in rails]
    summed = whole[:1] or [name for name in sorted(rails) if name not in FED]
    if not summed:
        return {}
    return {"power_w": sum(rails[name] for name in summed), "power_of": "+".join(summed)}


def over_current_count(root: str) -> Optional[int]:
    """Over-current events of all kinds since boot; each slowed the board down for a moment."""
    counts = _numbers(root, "sys/class/hwmon/hwmon*/oc*_event_cnt")
    return int(sum(counts)) if counts else None


def held_by_heat(root: str) -> Optional[bool]:
    """Whether the kernel keeps a clock down because something is hot; fans do not count."""
    states = []
    for path in files.matches(root, "sys/class/thermal/cooling_device*"):
        if HOLDS_CLOCK.match(files.text(root, path + "/type") or ""):
            states += _numbers(root, path + "/cur_state")
    return any(state > 0 for state in states) if states else None


def over_current_alarm(root: str) -> Optional[bool]:
    """Whether a rail is over its critical limit now."""
    flags = _numbers(root, "sys/bus/i2c/drivers/ina3221/*/hwmon/hwmon*/curr*_crit_alarm")
    return any(flag > 0 for flag in flags) if flags else None


def _add_rail(
    rails: Dict[str, float],
    label: Optional[str],
    value: Optional[float],
    other: Optional[float],
    scale: float,
) -> None:
    """Add one rail, unless it is none, cannot be read, or is a sum that the driver makes."""
    if label and re.match(r"\w+$", label) and label != "NC" and value is not None and other is not None:
        rails[label] = value * other * scale


def _numbers(root: str, pattern: str) -> List[float]:
    values = (files.number(root, path) for path in files.matches(root, pattern))
    return [value for value in values if value is not None]


def _nobody() -> Optional[str]:
    return None


def _run_nvpmodel() -> Optional[str]:
    """What `nvpmodel -q` prints; None without it. It is not in the $PATH of every user."""
    program = next((path for path in map(shutil.which, NVPMODEL) if path), None)
    if program is None:
        return None
    try:
        done = subprocess.run(
            [program, "-q"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=NVPMODEL_S,
            check=False,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.decode("utf-8", "replace")
