"""The runtimes the agent can drive, each imported only when it is asked for."""

from __future__ import annotations

from typing import Any, Dict, List, Optional, Protocol, Sequence, runtime_checkable

from ..errors import AgentError
from ..timing import Lane, Parts, Stages


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


@runtime_checkable
class Overlapping(Protocol):
    """What a backend has beside, whose device can work on several requests at once."""

    def lanes(self, count: int) -> Sequence[Lane]:
        """So many queues, each with buffers of its own that hold the inputs given at load."""


class Serial:
    """The one lane of a backend whose requests come one after the other: nothing is done before `wait`."""

    def __init__(self, stages: Stages) -> None:
        self._stages = stages
        self._waiting = False

    def submit(self) -> None:
        """Note that a request waits."""
        self._waiting = True

    def wait(self) -> None:
        """Do the request that waits."""
        if self._waiting:
            self._waiting = False
            for stage in self._stages:
                stage()


def lanes_of(backend: Backend, count: int) -> Sequence[Lane]:
    """The lanes of a backend: as many as were asked for where its device can overlap requests, else one."""
    return backend.lanes(count) if isinstance(backend, Overlapping) else [Serial(backend.stages())]


NAMES = ("cuda-torch", "litert", "onnxruntime", "sim", "tensorrt")


def load(runtime: str, model: Optional[str], options: Dict[str, Any], inputs: List[Any]) -> Backend:
    """Load a model on a runtime.

    Raises:
        AgentError: unknown runtime, unfit options or inputs, a file that cannot be read, or a runtime that
            fails to load the model.
    """
    if runtime == "cuda-torch":
        from .torch import TorchBackend

        return TorchBackend(model, options, inputs)
    if runtime == "litert":
        from .litert import LitertBackend

        return LitertBackend(model, options, inputs)
    if runtime == "onnxruntime":
        from .onnxruntime import OnnxRuntimeBackend

        return OnnxRuntimeBackend(model, options, inputs)
    if runtime == "sim":
        from .sim import SimBackend

        return SimBackend(options, inputs)
    if runtime == "tensorrt":
        from .tensorrt import TensorRtBackend

        return TensorRtBackend(model, options, inputs)
    raise AgentError("usage", f"unknown runtime '{runtime}' (known: {', '.join(NAMES)})")


def examine(runtime: str, options: Dict[str, Any]) -> Dict[str, Any]:
    """What there is of a runtime that may end the process which imports it; see `agent.tensorrt.probe`.

    Raises:
        AgentError: a runtime of another kind, whose version `hello` tells, or a process that ended badly.
    """
    if runtime == "tensorrt":
        from ..tensorrt import child

        return child.run("probe", options)
    raise AgentError("usage", f"there is nothing to examine about '{runtime}'")


def build(runtime: str, model: Optional[str], options: Dict[str, Any]) -> Dict[str, Any]:
    """Build what a runtime runs in place of a model; see `agent.tensorrt.build`.

    Raises:
        AgentError: a runtime that builds nothing, or one that fails at it.
    """
    if runtime == "tensorrt":
        from ..tensorrt import child

        return child.run("build", {"model": model, "options": options})
    raise AgentError("usage", f"nothing is built for '{runtime}'")
