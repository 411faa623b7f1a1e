"""The runtimes the agent can drive, each imported only when it is asked for."""

from __future__ import annotations

from typing import Any, Dict, List, Optional, Protocol

from ..errors import AgentError
from ..timing import Parts, Stages


class Backend(Protocol):
    """A loaded model."""

    def info(self) -> Dict[str, Any]:
        """`load_ns`, `import_ns`, `runtime_version`, `device`, `inputs`, `outputs`."""

    def clock(self) -> int:
        """Nanoseconds, monotonic."""

    def iterate(self, op: str, n: int) -> None:
        """Be told that n iterations of `op` ("warm" or "measure") come next."""

    def stages(self) -> Stages:
        """The three stages of one iteration over the inputs given at load."""

    def parts(self) -> Optional[Parts]:
        """What tells how long the stages took by the device's own clock; None where the host's serves."""

    def outputs(self, inputs: List[Any], out_dir: str) -> List[Any]:
        """Run once on each set of input files; write the outputs as files and describe them."""

    def profile(self, n: int) -> List[Dict[str, Any]]:
        """Run n iterations more and tell the time of each layer: `name`, `op_type`, `total_ns`, `calls`.

        Only once, and only of a model that was loaded for it.
        """

    def readings(self) -> Optional[Dict[str, Any]]:
        """Witnesses of a device that is not this machine, else None."""

    def facts(self) -> Optional[Dict[str, Any]]:
        """Static facts of a device that is not this machine, else None."""


NAMES = ("litert", "onnxruntime", "sim")


def load(runtime: str, model: Optional[str], options: Dict[str, Any], inputs: List[Any]) -> Backend:
    """Load a model on a runtime.

    Raises:
        AgentError: unknown runtime, unfit options or inputs, a file that cannot be read, or a runtime that
            fails to load the model.
    """
    if runtime == "litert":
        from .litert import LitertBackend

        return LitertBackend(model, options, inputs)
    if runtime == "onnxruntime":
        from .onnxruntime import OnnxRuntimeBackend

        return OnnxRuntimeBackend(model, options, inputs)
    if runtime == "sim":
        from .sim import SimBackend

        return SimBackend(options, inputs)
    raise AgentError("usage", f"unknown runtime '{runtime}' (known: {', '.join(NAMES)})")
