"""TensorRT on an NVIDIA GPU: one engine on one stream, its copies from and to pinned memory."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any, Dict, List, Optional

from .. import cuda
from ..cuda import facts
from ..errors import AgentError
from ..tensorrt import layers, module, tensors, versions
from ..tensorrt.runner import Engine, Runner, names_of
from ..timing import Parts, Stages


class TensorRtBackend:
    """An engine on one stream.

    The host's clock gives the total: it waits once, at the end of the last copy. The GPU's events give the
    parts.

    Options: `engine` (path), `device` (number of the GPU), `spin_wait` (the host spins while it waits;
    otherwise it sleeps), `cuda_graph` (the engine's work is launched as one), `profile` (layers are timed;
    without a graph).
    """

    clock = staticmethod(time.perf_counter_ns)

    def __init__(self, model: Optional[str], options: Dict[str, Any], inputs: List[Any]) -> None:
        path, device = _engine_file(options), options.get("device")
        if type(device) is not int:
            raise AgentError("usage", f"device must be the number of a GPU, not {device!r}")
        spin_wait, cuda_graph = _flag(options, "spin_wait"), _flag(options, "cuda_graph")
        self._profiling = _flag(options, "profile")
        cuda_graph = cuda_graph and not self._profiling
        begin = time.perf_counter_ns()
        # Before TensorRT: without a driver it would end this process.
        driver = cuda.load()
        trt = module.load()
        versions.parse(trt.__version__)
        imported = time.perf_counter_ns()
        self._cuda_graph = cuda_graph
        self._engine: Optional[Engine] = None
        self._runners: List[Runner] = []
        self._context = cuda.Context(driver, device, spin_wait=spin_wait)
        try:
            self._engine = engine = Engine(trt, path)
            runner = self._runner()
            loaded = time.perf_counter_ns()
            self._feed = tensors.read_files(inputs, runner.buffers.inputs) if inputs else None
        except BaseException:
            self.close()
            raise
        gpu = facts.facts(driver, device)
        self._info = {
            "import_ns": imported - begin,
            "load_ns": loaded - imported,
            "runtime_version": str(trt.__version__),
            "device": gpu["gpu_name"],
            "inputs": names_of(runner.buffers.inputs),
            "outputs": names_of(runner.buffers.outputs),
            "simulated": module.is_stand_in(trt),
            "protocol": {"cuda_graph": cuda_graph and runner.refused is None},
            "engine": {"cuda_graph_refused": runner.refused, "aux_streams": engine.aux_streams()},
        }
        # By which those who watch the GPU know it.
        self.gpu_bus_id: Optional[str] = gpu.get("gpu_pci")

    def info(self) -> Dict[str, Any]:
        """What `load` answers."""
        return self._info

    def stages(self) -> Stages:
        """Queue the copies of the inputs; the engine; the copies of the outputs, and wait for them."""
        return self._filled(0).steps()

    def lanes(self, count: int) -> List[Runner]:
        """So many streams, each with buffers and a context of the engine for itself."""
        while len(self._runners) < count:
            self._runner()
        return [self._filled(number) for number in range(count)]

    def iterate(self, op: str, n: int) -> None:
        """Nothing to prepare: warm-up and measurement are the same here."""

    def parts(self) -> Optional[Parts]:
        """By the GPU's events."""
        return self._runners[0].parts()

    def outputs(self, inputs: List[Any], out_dir: str) -> List[Any]:
        """Run once on each set of input files and write the outputs."""
        runner, written = self._runners[0], []
        buffers = runner.buffers
        for number, group in enumerate(inputs):
            buffers.fill(tensors.read_files(group, buffers.inputs))
            runner.run_once()
            written.append(tensors.write_files(buffers.fetched(), buffers.outputs, out_dir, f"{number:04d}"))
        return written

    def profile(self, n: int) -> List[Dict[str, Any]]:
        """Run n iterations, each of which reports the time of its layers; the inspector tells their types."""
        if not self._profiling or self._engine is None:
            raise AgentError("usage", "nothing is profiled: the model was loaded without, or it has ended")
        runner, trt = self._filled(0), self._engine.trt
        profiler = layers.make_profiler(trt)
        runner.execution.profiler = profiler
        # Reported when asked for, at the end: reporting while it is queued would wait after each layer.
        runner.execution.enqueue_emits_profile = False
        runner.run_once()
        for _ in range(n):
            runner.run_once()
            if not runner.execution.report_to_profiler():
                raise module.failure("reports no times of layers", self._engine.logger)
        self._profiling = False
        return layers.add_up(profiler, layers.inspect(trt, self._engine.engine))

    def readings(self) -> None:
        """The device is this machine."""

    def facts(self) -> None:
        """The device is this machine."""

    def close(self) -> None:
        """Free everything on the GPU. Safe to call twice."""
        while self._runners:
            self._runners.pop().release()
        if self._engine is not None:
            self._engine.release()
        self._engine = None
        self._context.close()

    def _runner(self) -> Runner:
        """One more stream."""
        assert self._engine is not None
        self._runners.append(Runner(self._engine, self._context, cuda_graph=self._cuda_graph))
        return self._runners[-1]

    def _filled(self, number: int) -> Runner:
        """A stream with the inputs that are timed in its buffers."""
        if self._feed is None:
            raise AgentError("usage", "nothing to time: no inputs were given at load")
        self._runners[number].buffers.fill(self._feed)
        return self._runners[number]


def _engine_file(options: Dict[str, Any]) -> Path:
    path = options.get("engine")
    if not isinstance(path, str) or not Path(path).is_file():
        raise AgentError("io", f"no engine {path}")
    return Path(path)


def _flag(options: Dict[str, Any], name: str) -> bool:
    value = options.get(name)
    if not isinstance(value, bool):
        raise AgentError("usage", f"{name} must be a boolean, not {value!r}")
    return value
