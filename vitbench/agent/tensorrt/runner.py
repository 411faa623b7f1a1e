"""A loaded engine: what queues its copies and its work on one stream, with an event between any two."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Callable, List, Optional, Tuple

from ..cuda import Context, Stream, graph
from ..errors import AgentError
from ..timing import Parts, Stages
from . import module, tensors


class Runner:
    """An engine with memory for every input and output.

    Args:
        trt: the package.
        context: of the GPU; what is made here is freed with it.
        path: the engine.
        cuda_graph: whether its work is recorded once and launched as one; the copies never are.

    Attributes:
        buffers: the memory.
        refused: why the work could not be recorded as a graph, and is queued as ever; None where it was
            recorded, or nobody asked.

    Raises:
        AgentError: TensorRT refuses the engine, or there is no memory for it.
    """

    def __init__(self, trt: Any, context: Context, path: Path, *, cuda_graph: bool) -> None:
        self._trt, self._context = trt, context
        self.logger = module.make_logger(trt)
        self._runtime = trt.Runtime(self.logger)
        self.engine = self._runtime.deserialize_cuda_engine(_read(path))
        if self.engine is None:
            raise module.failure(f"{trt.__version__} cannot load the engine {path}", self.logger)
        self.execution = self.engine.create_execution_context()
        if self.execution is None:
            raise module.failure(f"cannot run the engine {path}", self.logger)
        self._stream: Stream = context.stream()
        self._events = [context.event() for _ in range(4)]
        self.buffers = tensors.Buffers(context, *tensors.tensors_of(trt, self.engine))
        for name, buffer in self.buffers.device.items():
            if not self.execution.set_tensor_address(name, buffer.address):
                raise module.failure(f"refuses the buffer of tensor '{name}'", self.logger)
        self.refused: Optional[str] = None
        self._launch = self._record() if cuda_graph else self._enqueue

    def steps(self) -> Stages:
        """Queue the copies of the inputs; the work; the copies of the outputs, and wait for their end."""
        begin, placed, done, end = (event.recorder(self._stream) for event in self._events)
        to_device, to_host = self.buffers.to_device(self._stream), self.buffers.to_host(self._stream)
        launch, wait = self._launch, self._events[-1].waiter()

        def put() -> None:
            begin()
            for copy in to_device:
                copy()
            placed()

        def run() -> None:
            launch()
            done()

        def fetch() -> None:
            for copy in to_host:
                copy()
            end()
            wait()

        return put, run, fetch

    def run_once(self) -> None:
        """Take all three steps."""
        for step in self.steps():
            step()

    def parts(self) -> Parts:
        """The GPU's own times between the four events of the iteration that was waited for."""
        begin, placed, done, end = self._events

        def parts() -> Tuple[int, int, int]:
            return begin.ns_until(placed), placed.ns_until(done), done.ns_until(end)

        return parts

    def aux_streams(self) -> Optional[int]:
        """Streams beside ours that the engine uses; None where the version does not tell (before 8.6)."""
        return getattr(self.engine, "num_aux_streams", None)

    def release(self) -> None:
        """Let go of TensorRT's objects, which must end before their context."""
        self.execution = self.engine = self._runtime = None

    def _enqueue(self) -> None:
        if not self.execution.execute_async_v3(self._stream.number):
            raise module.failure("cannot queue the engine", self.logger)

    def _record(self) -> Callable[[], None]:
        """What launches the engine as one graph; or queues it as ever, where that cannot be recorded."""
        # What TensorRT does at a first run cannot be recorded.
        self._enqueue()
        self._stream.synchronize()
        try:
            launch = graph.capture(self._context, self._stream, self._enqueue)
        except Exception as error:  # the bindings raise what they like
            self.refused = str(getattr(error, "message", error))
            return self._enqueue
        return launch


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise AgentError("io", f"cannot read the engine {path}: {error.strerror}") from None


def names_of(infos: List[tensors.TensorInfo]) -> List[Any]:
    """Inputs or outputs as `load` answers them."""
    return [info.describe() for info in infos]
