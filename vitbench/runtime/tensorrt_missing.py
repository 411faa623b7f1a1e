"""What to do about a device on which TensorRT does not run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from vitbench.catalog.devices import takes_host
from vitbench.catalog.specs import TargetSpec
from vitbench.errors import ToolError, UsageError

JETSON = "aarch64"
OTHERS = "`vitbench targets` lists where else it can be measured"


def refuse_missing(found: Mapping[str, Any], target: TargetSpec) -> None:
    """Refuse a device that lacks a driver, a GPU or TensorRT, and say how to get it.

    Args:
        found: what `AgentSession.examine` answered.

    Raises:
        ToolError: something is missing there.
        UsageError: TensorRT is there, and too old to be driven.
    """
    missing, problem = found["missing"], found["problem"]
    if missing is None:
        return
    there = "" if target.transport == "local" else f"ssh {target.host or target.name} "
    if missing == "version":
        raise UsageError(
            f"target '{target.name}': {problem}",
            'give a target of your own `runtime = "trtexec"`; the program comes with TensorRT',
        )
    message = f"TensorRT does not run on {target.name}: {problem}"
    if missing == "driver":
        raise ToolError(
            message,
            f"`{there}nvidia-smi`, on a Jetson `{there}tegrastats`, shows whether the driver sees a GPU; "
            + ("--host USER@HOST names another machine" if takes_host(target) else OTHERS),
        )
    if found.get("machine") == JETSON:
        hint = f"on a Jetson it comes with JetPack: `{there}sudo apt-get install python3-libnvinfer`"
    else:
        hint = f"install it: `{there}{found['executable']} -m pip install tensorrt`"
    if target.transport == "local":
        hint += '; or name a Python that has it in the target\'s file: `python = "/path/to/python3"`'
    raise ToolError(message, hint)
