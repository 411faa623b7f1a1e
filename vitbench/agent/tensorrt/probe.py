"""What there is of TensorRT on this machine. Runs in a process of its own: a broken one may end it."""

from __future__ import annotations

import platform
import sys
from typing import Any, Dict

from .. import cuda
from ..cuda import facts
from ..errors import AgentError
from . import module, versions


def probe(request: Dict[str, Any]) -> Dict[str, Any]:
    """Look for a driver, a GPU, and TensorRT, in this order.

    Args:
        request: `device` (number of the GPU).

    Returns:
        `version` of TensorRT, `gpu` (facts), `python`, `executable`, `machine`; `missing`, the first of
        "driver", "package" and "version" that stands in the way, with `problem`, why; both None where
        nothing does.
    """
    found: Dict[str, Any] = {
        "version": None,
        "gpu": None,
        "python": platform.python_version(),
        "executable": sys.executable,
        "machine": platform.machine(),
        "missing": None,
        "problem": None,
    }
    step = "driver"
    try:
        found["gpu"] = facts.facts(cuda.load(), int(request.get("device", 0)))
        step = "package"
        trt = module.load()
        found["version"] = str(trt.__version__)
        step = "version"
        versions.parse(found["version"])
    except AgentError as error:
        found["missing"], found["problem"] = step, error.message
    return found


def version(request: Dict[str, Any]) -> Dict[str, Any]:
    """TensorRT's version alone, whether there is a GPU or not."""
    return {"version": str(module.load().__version__)}
