"""A loaded engine: what queues its copies and its work on one stream, with an event between any two."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Callable, List, Optional, Tuple

from ..cuda import Context, Stream, graph
from ..errors import AgentError
from ..timing import Parts, Stages
from . import module, tensors


class Engine:
    """An engine in memory.

    Args:
        trt: the package.
        path: the engine's file.

    Attributes:
        engine: TensorRT's object.
        logger: what TensorRT tells its errors.

    Raises:
        AgentError: TensorRT refuses it.
    """

    def __init__(self, trt: Any, path: Path) -> None:
        self.trt = trt
        self.logger = module.make_logger(trt)
        self._runtime = trt.Runtime(self.logger)
        self.engine = self._runtime.deserialize_cuda_engine(_read(path))
        if self.engine is None:
            raise module.failure(f"{trt.__version__} cannot load the engine {path}", self.logger)

    def aux_streams(self) -> Optional[int]:
        """Streams beside its own that it uses; None where the version does not tell (before 8.6)."""
        return getattr(self.engine, "num_aux_streams", None)

    def release(self) -> None:
        """Let go of TensorRT's objects, which must end before the context of the GPU."""
        self.engine = self._runtime = None


class Runner:
    """One request at a time: a stream, with memory for every input and output.

    Args:
        engine: what runs.
        context: of the GPU; what is made here is freed with it.
        cuda_graph: whether the engine's work is recorded once and launched as one; the copies never are.

    Attributes:
        buffers: the memory.
        refused: why the work could not be recorded as a graph, and is queued as ever; None where it was
            recorded, or nobody asked.

    Raises:
        AgentError: TensorRT refuses to run the engine, or there is no memory for it.
    """

    def __init__(self, engine: Engine, context: Context, *, cuda_graph: bool) -> None:
        self._context, self._logger = context, engine.logger
        self.execution = engine.engine.create_execution_context()
        if self.execution is None:
            raise module.failure("cannot run the engine", engine.logger)
        self._stream: Stream = context.stream()
        self._events = [context.event() for _ in range(4)]
        self.buffers = tensors.Buffers(context, *tensors.tensors_of(engine.trt, engine.engine))
        for name, buffer in self.buffers.device.items():
            if not self.execution.set_tensor_address(name, buffer.address):
                raise module.failure(f"refuses the buffer of tensor '{name}'", engine.logger)
        self.refused: Optional[str] = None
        self._launch = self._record() if cuda_graph else self._enqueue
        self._steps, self._wait = self._queue(), self._events[-1].waiter()

    def steps(self) -> Stages:
        """Queue the copies of the inputs; the work; the copies of the outputs, and wait for their end."""
        put, run, fetch = self._queue()
        wait = self._events[-1].waiter()

        def fetch_and_wait() -> None:
            fetch()
            wait()

        return put, run, fetch_and_wait

    def submit(self) -> None:
        """Queue one request; returns while the GPU works."""
        for step in self._steps:
            step()

    def wait(self) -> None:
        """Wait until the outputs of the last request are in the buffers of the host."""
        self._wait()

    def _queue(self) -> Stages:
        """The three steps, none of which waits."""
        begin, placed, done, end = (event.recorder(self._stream) for event in self._events)
        to_device, to_host = self.buffers.to_device(self._stream), self.buffers.to_host(self._stream)
        launch = self._launch

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

        return put, run, fetch

    def run_once(self) -> None:
        """Do one request, and wait for it."""
        self.submit()
        self.wait()

    def parts(self) -> Parts:
        """The GPU's own times between the four events of the iteration that was waited for."""
        begin, placed, done, end = self._events

        def parts() -> Tuple[int, int, int]:
            return begin.ns_until(placed), placed.ns_until(done), done.ns_until(end)

        return parts

    def release(self) -> None:
        """Let go of TensorRT's object, which must end before its engine."""
        self.execution = None

    def _enqueue(self) -> None:
        if not self.execution.execute_async_v3(self._stream.number):
            raise module.failure("cannot queue the engine", self._logger)

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
