"""What is asked and made once for all blocks of a cell: an engine that runs, and how long it takes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from vitbench.runtime.phone import repeated
from vitbench.runtime.tensors import TensorFile
from vitbench.runtime.trtexec_engine import Engine, EngineShelf, Gpu
from vitbench.runtime.trtexec_session import SHORT_ITERATIONS, SHORT_WARMUP_MS, Known, TrtexecSession
from vitbench.transport.base import Transport
from vitbench.trtexec.flags import Tool
from vitbench.trtexec.refusals import NoResult, Reason

LIMIT_S = 600.0


def pilot(
    transport: Transport,
    tool: Tool,
    gpu: Gpu,
    engine: Engine,
    inputs: Sequence[TensorFile],
    options: Mapping[str, Any],
) -> Known:
    """Run an engine shortly: whether it loads, how long a request takes, and whether samples can be had.

    Raises:
        NoResult: it does not load, or what trtexec tells cannot be trusted.
    """
    guess = Known(tool, gpu, engine, expected_ns=0, text_only=False)
    session = TrtexecSession(transport, guess, inputs, options)
    timing = session.timing_of(SHORT_ITERATIONS, SHORT_WARMUP_MS)
    found = repeated(lambda: session.timed(timing, LIMIT_S))
    total = (
        sorted(found.samples.total_ns) if found.samples else [found.run.median_ns or found.run.avg_ns or 0]
    )
    return replace(guess, expected_ns=max(1000, total[len(total) // 2]), text_only=found.source == "text")


def prepare(
    transport: Transport,
    tool: Tool,
    gpu: Gpu,
    model: Path,
    inputs: Sequence[TensorFile],
    options: Mapping[str, Any],
    *,
    engine: str | None = None,
) -> Known:
    """An engine that runs: the given one, the one that an earlier run kept, else a new one.

    A kept engine that TensorRT does not load is built anew.
    """
    if engine is not None:
        return pilot(transport, tool, gpu, Engine(engine, "kept"), inputs, options)
    shelf = EngineShelf(transport, tool, gpu, model, options)
    kept = shelf.kept() if options["reuse_engine"] else None
    if kept is not None:
        try:
            return pilot(transport, tool, gpu, kept, inputs, options)
        except NoResult as error:
            if error.reason not in (Reason.ENGINE, Reason.CRASHED):
                raise
    return pilot(transport, tool, gpu, shelf.build(), inputs, options)
