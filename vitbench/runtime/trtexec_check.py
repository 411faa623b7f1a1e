"""A second opinion on what the tensorrt runtime times: the same model, timed by trtexec."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from vitbench.catalog.specs import TargetSpec
from vitbench.runtime.tensorrt import DEFAULTS
from vitbench.runtime.tensors import TensorFile
from vitbench.runtime.trtexec import Trtexec
from vitbench.runtime.trtexec_session import TrtexecSession
from vitbench.transport.base import Transport
from vitbench.trtexec.result import sum_of_parts_ms

ITERATIONS, WARMUP_S, LIMIT_S = 200, 2.0, 600.0
# What both runtimes have: the host waits in the same way, for a GPU that idles meanwhile slows down.
SHARED = ("trtexec", "device", "cuda_graph", "spin_wait")


def parts_ms(
    transport: Transport,
    target: TargetSpec,
    model: Path,
    inputs: Sequence[TensorFile] = (),
    *,
    engine: str | None = None,
) -> float:
    """Time a model by trtexec on one stream, no copy overlapping what is computed.

    Args:
        target: of the tensorrt runtime; its options `trtexec`, `device`, `cuda_graph` and `spin_wait`, or
            what it does without them, hold here as well.
        model: the model file on this machine, in an artifact.
        inputs: what is timed; random numbers when empty.
        engine: path on the device of the engine that was timed; trtexec builds its own when None.

    Returns:
        The median over requests of copy in, computing and copy out, in ms.

    Raises:
        ToolError: the device has no trtexec, or it failed, or timed something else.
        TargetUnreachable: the link was lost.
    """
    chosen = {**DEFAULTS, **target.options}
    options = {name: chosen[name] for name in SHARED if name in chosen}
    runtime = Trtexec(target.model_copy(update={"runtime": Trtexec.name, "options": options}))
    loaded = runtime.load_options()
    known = runtime.known(transport, model, loaded, inputs, engine=engine)
    with TrtexecSession(transport, known, inputs, loaded) as session:
        warmup = max(1, round(WARMUP_S * 1e9 / known.expected_ns))
        return sum_of_parts_ms(session.series(warmup, ITERATIONS, LIMIT_S))
