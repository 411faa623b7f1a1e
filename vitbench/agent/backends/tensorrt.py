"""TensorRT on an NVIDIA GPU: one engine on one stream, its copies from and to pinned memory."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any, Dict, List, Optional

from .. import cuda
from ..cuda import facts
from ..errors import AgentError
from ..tensorrt import layers, module, tensors, versions
from ..tensorrt.runner import Runner, names_of
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
        self._trt = trt
        self._runner: Optional[Runner] = None
        self._context = cuda.Context(driver, device, spin_wait=spin_wait)
        try:
            self._runner = runner = Runner(trt, self._context, path, cuda_graph=cuda_graph)
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
            "gpu": gpu,
            "inputs": names_of(runner.buffers.inputs),
            "outputs": names_of(runner.buffers.outputs),
            "simulated": module.is_stand_in(trt),
            "protocol": {"cuda_graph": cuda_graph and runner.refused is None},
            "engine": {"cuda_graph_refused": runner.refused, "aux_streams": runner.aux_streams()},
        }

    def info(self) -> Dict[str, Any]:
        """What `load` answers."""
        return self._info

    def stages(self) -> Stages:
        """Queue the copies of the inputs; the engine; the copies of the outputs, and wait for them."""
        runner = self._loaded()
        if self._feed is None:
            raise AgentError("usage", "nothing to time: no inputs were given at load")
        runner.buffers.fill(self._feed)
        return runner.steps()

    def iterate(self, op: str, n: int) -> None:
        """Nothing to prepare: warm-up and measurement are the same here."""

    def parts(self) -> Optional[Parts]:
        """By the GPU's events."""
        return self._loaded().parts()

    def outputs(self, inputs: List[Any], out_dir: str) -> List[Any]:
        """Run once on each set of input files and write the outputs."""
        runner, written = self._loaded(), []
        buffers = runner.buffers
        for number, group in enumerate(inputs):
            buffers.fill(tensors.read_files(group, buffers.inputs))
            runner.run_once()
            written.append(tensors.write_files(buffers.fetched(), buffers.outputs, out_dir, f"{number:04d}"))
        return written

    def profile(self, n: int) -> List[Dict[str, Any]]:
        """Run n iterations, each of which reports the time of its layers; the inspector tells their types."""
        runner = self._loaded()
        if not self._profiling:
            raise AgentError("usage", "nothing is profiled: the model was loaded without, or it has ended")
        self.stages()
        profiler = layers.make_profiler(self._trt)
        runner.execution.profiler = profiler
        # Reported when asked for, at the end: reporting while it is queued would wait after each layer.
        runner.execution.enqueue_emits_profile = False
        runner.run_once()
        for _ in range(n):
            runner.run_once()
            if not runner.execution.report_to_profiler():
                raise module.failure("reports no times of layers", runner.logger)
        self._profiling = False
        return layers.add_up(profiler, layers.types_of(layers.inspect(self._trt, runner.engine)))

    def readings(self) -> None:
        """The device is this machine."""

    def facts(self) -> None:
        """The device is this machine."""

    def close(self) -> None:
        """Free everything on the GPU. Safe to call twice."""
        if self._runner is not None:
            self._runner.release()
        self._runner = None
        self._context.close()

    def _loaded(self) -> Runner:
        if self._runner is None:
            raise AgentError("usage", "the engine is gone")
        return self._runner


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
