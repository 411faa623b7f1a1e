"""Whether a device is the one that a target is for: an H200 never fills an A100's row."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from vitbench.catalog.files import load_targets
from vitbench.catalog.specs import TargetSpec
from vitbench.errors import UsageError

SLICE, SHARE = "a MIG slice of", "a virtual share of"
# What a hypervisor deals out of a GPU carries its name, with its gigabytes and a letter: `A100-20C`.
_SHARED = re.compile(r"-\d+[ABCQ](?:ME)?$")


def device_name(facts: Mapping[str, Any], device: str | None) -> str | None:
    """What a device calls itself: its board, else its GPU, else what the runtime says; None: nothing.

    The GPUs of boards that differ have the same name, so the board's counts where there is one. A slice or a
    share of a GPU is not the GPU, and its name says so.

    Args:
        facts: `board`, `gpu_name`, `gpu_mig`, as an agent that looks at the GPU gives them.
        device: name of what runs the network, as the runtime gives it.
    """
    name = facts.get("board") or facts.get("gpu_name") or device
    if not name:
        return None
    if facts.get("gpu_mig"):
        return f"{SLICE} {name}"
    return f"{SHARE} {name}" if _SHARED.search(str(name)) else str(name)


def is_one_of(devices: Sequence[str], name: str) -> bool:
    """Whether a name has all words of one of these in a row, whatever the case: `A100` is in
    `NVIDIA A100-SXM4-80GB`, and not in `NVIDIA A100X`.
    """
    words = f" {' '.join(_words(name))} "
    sliced = name.startswith(SLICE) and not any("MIG" in device for device in devices)
    shared = name.startswith(SHARE) and not any(_SHARED.search(device) for device in devices)
    return not (sliced or shared) and any(f" {' '.join(_words(device))} " in words for device in devices)


def refuse_other_device(target: TargetSpec, facts: Mapping[str, Any], device: str | None) -> None:
    """Refuse a device that is not the target's; a target that names none takes any.

    Args:
        facts, device: as for `device_name`.

    Raises:
        UsageError: it is another one, or does not say what it is.
    """
    if not target.devices:
        return
    name = device_name(facts, device)
    wanted = " or ".join(target.devices)
    if name is None:
        raise UsageError(
            f"no NVIDIA device is to be seen where target '{target.name}' is, which wants {wanted}",
            "see that `nvidia-smi`, or /etc/nv_tegra_release on a Jetson, is there; --host USER@HOST names "
            "another machine",
        )
    if not is_one_of(target.devices, name):
        raise UsageError(
            f"target '{target.name}' is for {wanted}, and this device is {name}", _other(name, facts)
        )


def _other(name: str, facts: Mapping[str, Any]) -> str:
    """The targets that the device would be, or how to have one."""
    fitting = [known.name for known in load_targets().values() if is_one_of(known.devices, name)]
    if fitting:
        return f"measure it as {' or '.join(f'-t {known}' for known in fitting)}"
    own = 'write a target of your own with `devices = ["..."]`; `vitbench targets` lists those there are'
    if "orin" in _words(name) and "board" not in facts:
        return f"a container hides which board it is: measure outside of it, or {own}"
    return own


def _words(name: str) -> list[str]:
    return re.findall(r"[a-z0-9]+", name.lower())
