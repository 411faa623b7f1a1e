"""Static facts of the machine: what makes its figures comparable with another's."""

from __future__ import annotations

import platform
from typing import Any, Dict, List, Optional

from . import files, probe

CPU = "sys/devices/system/cpu"
# The instruction sets that change how fast a network runs.
INSTRUCTION_SETS = (
    *("sse4_2", "avx", "avx2", "fma", "f16c", "avx512f", "avx512_vnni", "avx512_bf16", "avx512_fp16"),
    *("avx_vnni", "amx_tile", "amx_int8", "amx_bf16"),
    *("asimd", "asimddp", "asimdhp", "bf16", "i8mm", "sve", "sve2", "sme"),
)


def describe(root: str = "/") -> Dict[str, Any]:
    """Read every fact there is; one that cannot be read is absent.

    Returns:
        `cpu_model`, `sockets`, `cores` (physical), `threads` (logical, online), `allowed_cpus` and, of
        those, `fastest_cpus` (lists), `instruction_sets` (list), `caches` (name to bytes of one cache:
        "L1d", "L1i", "L2", "L3"), `machine` ("x86_64"), `kernel` (release), `os` (name and version),
        `memory_total_mb`, `hypervisor` (bool: this is a virtual machine), `freq_driver`, `python`.
    """
    cpuinfo = files.fields(files.text(root, "proc/cpuinfo"))
    flags = next((value.split() for name, value in cpuinfo if name in ("flags", "Features")), [])
    online = files.cpu_list(files.text(root, CPU + "/online"))
    found: Dict[str, Any] = {
        "cpu_model": cpu_model(root, cpuinfo),
        "sockets": _distinct(root, online, ["physical_package_id"]),
        "cores": _distinct(root, online, ["physical_package_id", "core_id"]),
        "threads": len(online) or None,
        "allowed_cpus": probe.allowed_cpus(root) or None,
        "fastest_cpus": fastest_cpus(root, _usable(probe.allowed_cpus(root), online)) or None,
        "instruction_sets": [name for name in INSTRUCTION_SETS if name in flags] or None,
        "caches": caches_bytes(root) or None,
        "machine": platform.machine() or None,
        "kernel": files.text(root, "proc/sys/kernel/osrelease"),
        "os": os_name(root),
        "memory_total_mb": probe.memory_mb(root)["memory_total_mb"],
        "hypervisor": ("hypervisor" in flags or files.text(root, "sys/hypervisor/type") is not None)
        if cpuinfo
        else None,
        "freq_driver": files.text(root, CPU + "/cpu0/cpufreq/scaling_driver"),
        "python": platform.python_version(),
    }
    return {name: value for name, value in found.items() if value is not None}


def cpu_model(root: str, cpuinfo: List[List[str]]) -> Optional[str]:
    """Marketing name of the CPU; on boards without one, the name of the board."""
    for wanted in ("model name", "Hardware", "cpu model"):
        for name, value in cpuinfo:
            if name == wanted and value:
                return value
    board = files.text(root, "proc/device-tree/model")
    return board.strip("\0") if board else None


def fastest_cpus(root: str, cpus: List[int]) -> List[int]:
    """Those of the given CPUs that compute fastest, as the kernel ranks them; all where it ranks none."""
    for name in ("cpu_capacity", "cpufreq/cpuinfo_max_freq"):
        ranks = [files.number(root, f"{CPU}/cpu{cpu}/{name}") for cpu in cpus]
        known = [rank for rank in ranks if rank is not None]
        if len(known) == len(cpus) > 0:
            return [cpu for cpu, rank in zip(cpus, ranks) if rank == max(known)]
    return cpus


def _usable(allowed: List[int], online: List[int]) -> List[int]:
    """Allowed CPUs that are there: some systems allow all they could ever have. All where none is told."""
    return [cpu for cpu in allowed if cpu in online] if online else allowed


def caches_bytes(root: str) -> Dict[str, int]:
    """Size in bytes of each cache that the first CPU sees."""
    sizes = {}
    for path in files.matches(root, CPU + "/cpu0/cache/index*"):
        level, kind = files.text(root, path + "/level"), files.text(root, path + "/type")
        size = _size_bytes(files.text(root, path + "/size"))
        suffix = {"Data": "d", "Instruction": "i"}.get(kind or "", "")
        if level and kind and size:
            sizes[f"L{level}{suffix}"] = size
    return sizes


def os_name(root: str) -> Optional[str]:
    """Name and version of the system as it calls itself."""
    for path in ("etc/os-release", "usr/lib/os-release"):
        names = dict(files.fields(files.text(root, path), "="))
        if "PRETTY_NAME" in names:
            return names["PRETTY_NAME"].strip("\"'")
    return platform.system() or None


def _distinct(root: str, cpus: List[int], names: List[str]) -> Optional[int]:
    """Number of different tuples of these topology fields over the CPUs."""
    rows = set()
    for cpu in cpus:
        values = [files.text(root, f"{CPU}/cpu{cpu}/topology/{name}") for name in names]
        if None not in values:
            rows.add(tuple(values))
    return len(rows) or None


def _size_bytes(content: Optional[str]) -> Optional[int]:
    """Bytes of the kernel's form of a cache size: "48K", "1M"."""
    units = {"K": 1024, "M": 1024 * 1024}
    if not content or content[-1] not in units or not content[:-1].isdigit():
        return None
    return int(content[:-1]) * units[content[-1]]
