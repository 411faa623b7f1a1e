"""How an artifact is run on a device: options, what they mean for comparability, and agent sessions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vitbench.catalog.specs import TargetSpec
from vitbench.errors import UsageError
from vitbench.runtime.base import MadeFor, ProtocolFacts, Runtime, StreamFacts
from vitbench.runtime.phone import PhoneSession
from vitbench.runtime.session import (
    AgentSession,
    LayerTime,
    LoadInfo,
    ProcessTime,
    Readings,
    SampleBatch,
)
from vitbench.runtime.tensors import TensorFile, TensorSpec, write_tensor
from vitbench.transport import Transport, plugins

if TYPE_CHECKING:
    from vitbench.runtime.base import AnySession

__all__ = [
    "AgentSession",
    "LayerTime",
    "LoadInfo",
    "MadeFor",
    "PhoneSession",
    "ProcessTime",
    "ProtocolFacts",
    "Readings",
    "Runtime",
    "SampleBatch",
    "StreamFacts",
    "TensorFile",
    "TensorSpec",
    "for_target",
    "open_agent",
    "open_session",
    "write_tensor",
]

GROUP = "vitbench.runtimes"
BUILTIN = {
    "benchmark_model": "vitbench.runtime.benchmark_model:BenchmarkModel",
    "cuda-torch": "vitbench.runtime.cuda_torch:CudaTorch",
    "litert": "vitbench.runtime.litert:LiteRt",
    "onnxruntime": "vitbench.runtime.onnxruntime:OnnxRuntime",
    "sim": "vitbench.runtime.sim:SimRuntime",
    "tensorrt": "vitbench.runtime.tensorrt:TensorRt",
    "trtexec": "vitbench.runtime.trtexec:Trtexec",
}


def for_target(target: TargetSpec) -> Runtime:
    """The runtime that a target names.

    Raises:
        UsageError: nobody offers a runtime of that name.
    """
    found = plugins.find(GROUP, target.runtime, BUILTIN)
    if found is None:
        known = plugins.names(GROUP, BUILTIN)
        near = get_close_matches(target.runtime, known, n=1)
        guess = f"did you mean `{near[0]}`? " if near else ""
        raise UsageError(
            f"target '{target.name}' wants runtime '{target.runtime}', which this version does not have",
            f"{guess}the runtimes here are {', '.join(known)}",
        )
    runtime: Runtime = found(target)
    return runtime


def open_agent(transport: Transport) -> AgentSession:
    """Start an agent that has nothing loaded: for probing, describing and saying hello."""
    return AgentSession(transport, transport.start_agent(f"agent on `{transport.target.name}`"))


def open_session(
    transport: Transport,
    runtime: Runtime,
    model: Path | None,
    options: Mapping[str, Any],
    inputs: Sequence[TensorFile] = (),
) -> AnySession:
    """Start a fresh process on the device with a model loaded; a context manager.

    Args:
        model: the artifact's model file on this machine; None for a runtime that runs no network.
        options: what `runtime.load_options` gave.
        inputs: the tensors that will be timed, one for each input of the model.

    Raises:
        UsageError: unfit options or inputs.
        ToolError: the runtime cannot load the model, or died of it.
        TargetUnreachable: the link was lost.
    """
    return runtime.open_session(transport, model, options, inputs)
