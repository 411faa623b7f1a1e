"""Work that was recorded once, to be launched as one."""

from __future__ import annotations

import contextlib
import ctypes
from typing import Callable

from ..errors import AgentError
from .context import Context, Stream

# CU_STREAM_CAPTURE_MODE_THREAD_LOCAL: what other threads of the process do meanwhile does not break it.
THREAD_LOCAL = 1


def capture(context: Context, stream: Stream, enqueue: Callable[[], None]) -> Callable[[], None]:
    """Record what a function queues on a stream, and return what launches it there.

    The function has run on the stream before: what runtimes do at a first run cannot be recorded.

    Raises:
        AgentError: it cannot be recorded; the stream can be used as before.
    """
    driver = context.driver
    driver.call("cuStreamBeginCapture_v2", stream.handle, THREAD_LOCAL)
    graph = ctypes.c_void_p()
    try:
        enqueue()
    except Exception:
        # A capture must be ended on its stream, one that has failed as well; what it tells then is known.
        with contextlib.suppress(AgentError):
            driver.call("cuStreamEndCapture", stream.handle, ctypes.byref(graph))
        _destroy(context, graph)
        raise
    driver.call("cuStreamEndCapture", stream.handle, ctypes.byref(graph))
    try:
        launchable = driver.handle("cuGraphInstantiateWithFlags", graph, ctypes.c_ulonglong(0))
    finally:
        _destroy(context, graph)
    context.own("cuGraphExecDestroy", launchable)
    return driver.bound("cuGraphLaunch", launchable, stream.handle)


def _destroy(context: Context, graph: ctypes.c_void_p) -> None:
    if graph.value:
        context.driver.call("cuGraphDestroy", graph)
