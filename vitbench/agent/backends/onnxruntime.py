"""ONNX Runtime on the CPU: one session, its options all stated."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any, Dict, List, Optional, Tuple

from .. import machine, tensors
from ..errors import AgentError
from ..timing import Parts, Stages
from . import profile

DTYPES = {
    "tensor(float)": "float32",
    "tensor(float16)": "float16",
    "tensor(double)": "float64",
    "tensor(int64)": "int64",
    "tensor(int32)": "int32",
    "tensor(uint8)": "uint8",
    "tensor(int8)": "int8",
    "tensor(bool)": "bool",
}


class OnnxRuntimeBackend:
    """A session over one model, with one set of inputs bound for timing.

    Options: `threads` (intra-op, at least 1), `spin_wait` (idle workers spin), `profile` (directory on the
    device that the runtime writes its profile into; without it nothing is profiled, which is slower).
    """

    clock = staticmethod(time.perf_counter_ns)

    def __init__(self, model: Optional[str], options: Dict[str, Any], inputs: List[Any]) -> None:
        if model is None or not Path(model).is_file():
            raise AgentError("io", f"no model file {model}")
        threads = options.get("threads", 1)
        spin_wait = options.get("spin_wait", True)
        if not isinstance(threads, int) or threads < 1 or not isinstance(spin_wait, bool):
            raise AgentError("usage", "threads must be a positive integer and spin_wait a boolean")
        profile_dir = options.get("profile")
        if not (profile_dir is None or (isinstance(profile_dir, str) and Path(profile_dir).is_dir())):
            raise AgentError("usage", f"profile must be a directory, not {profile_dir!r}")
        # numpy's BLAS would start a pool of its own; nothing here multiplies matrices with it.
        os.environ["OPENBLAS_NUM_THREADS"] = os.environ["MKL_NUM_THREADS"] = "1"
        begin = time.perf_counter_ns()
        try:
            import onnxruntime
        except ImportError as error:
            raise AgentError("usage", f"onnxruntime cannot be imported: {error}") from None
        imported = time.perf_counter_ns()
        self._session = _create_session(onnxruntime, model, threads, spin_wait, profile_dir)
        self._profiling = profile_dir is not None
        loaded = time.perf_counter_ns()
        self._info = {
            "import_ns": imported - begin,
            "load_ns": loaded - imported,
            "runtime_version": str(onnxruntime.__version__),
            "device": machine.describe().get("cpu_model", "CPU"),
            "inputs": [_describe(value) for value in self._session.get_inputs()],
            "outputs": [_describe(value) for value in self._session.get_outputs()],
        }
        self._feed = self._check(tensors.read_all(inputs)) if inputs else None
        self._stages = self._bind(self._feed) if self._feed is not None else None

    def info(self) -> Dict[str, Any]:
        """What `load` answers."""
        return self._info

    def stages(self) -> Stages:
        """Bind the inputs (no copy: the CPU reads them where they lie), run, fetch the outputs to numpy."""
        if self._stages is None:
            raise AgentError("usage", "nothing to time: no inputs were given at load")
        return self._stages

    def iterate(self, op: str, n: int) -> None:
        """Nothing to prepare: warm-up and measurement are the same here."""

    def parts(self) -> Optional[Parts]:
        """The host's clock serves."""
        return None

    def outputs(self, inputs: List[Any], out_dir: str) -> List[Any]:
        """Run once on each set of input files and write the outputs."""
        names = [value.name for value in self._session.get_outputs()]
        written = []
        for index, group in enumerate(inputs):
            arrays = self._session.run(names, self._check(tensors.read_all(group)))
            named = {name: arrays[i] for i, name in enumerate(names)}
            written.append(tensors.write_all(named, out_dir, f"{index:04d}"))
        return written

    def profile(self, n: int) -> List[Dict[str, Any]]:
        """Run n iterations, end the profile, and add their layers up."""
        if not self._profiling:
            raise AgentError("usage", "nothing is profiled: the model was loaded without, or it has ended")
        put, run, fetch = self.stages()
        for _ in range(n):
            put()
            run()
            fetch()
        self._profiling = False
        return profile.read(Path(self._session.end_profiling()), n)

    def readings(self) -> None:
        """The device is this machine."""

    def facts(self) -> None:
        """The device is this machine."""

    def _bind(self, feed: Dict[str, Any]) -> Stages:
        binding, session = self._session.io_binding(), self._session
        pairs = list(feed.items())
        names = [value.name for value in session.get_outputs()]
        fetched: List[Any] = []

        # The outputs are bound anew, so that each run allocates its own, as a plain `run` does: a program
        # may keep them. `numpy()` then hands that memory over, where copy_outputs_to_cpu would copy it.
        def put() -> None:
            for name, array in pairs:
                binding.bind_cpu_input(name, array)
            binding.clear_binding_outputs()
            for name in names:
                binding.bind_output(name)

        def run() -> None:
            session.run_with_iobinding(binding)

        def fetch() -> None:
            fetched[:] = [value.numpy() for value in binding.get_outputs()]

        return put, run, fetch

    def _check(self, feed: Dict[str, Any]) -> Dict[str, Any]:
        """The feed itself, if it is what the model asks for."""
        wanted = {item["name"]: item for item in self._info["inputs"]}
        if set(feed) != set(wanted):
            raise AgentError("usage", f"the model's inputs are {sorted(wanted)}, not {sorted(feed)}")
        for name, array in feed.items():
            dtype, shape = wanted[name]["dtype"], wanted[name]["shape"]
            if array.dtype.name != dtype or not _shape_fits(array.shape, shape):
                given = f"{array.dtype.name} {list(array.shape)}"
                raise AgentError("usage", f"input '{name}' of the model is {dtype} {shape}, not {given}")
        return feed


def _shape_fits(given: Tuple[int, ...], wanted: List[int]) -> bool:
    """Whether a shape is the wanted one, where -1 stands for any size."""
    return len(given) == len(wanted) and all(wanted[i] in (-1, given[i]) for i in range(len(given)))


def _create_session(
    onnxruntime: Any, model: str, threads: int, spin_wait: bool, profile_dir: Optional[str]
) -> Any:
    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads = threads
    settings.inter_op_num_threads = 1
    settings.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    settings.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    settings.add_session_config_entry("session.intra_op.allow_spinning", "1" if spin_wait else "0")
    settings.add_session_config_entry("session.inter_op.allow_spinning", "0")
    if profile_dir is not None:
        settings.enable_profiling = True
        settings.profile_file_prefix = str(Path(profile_dir, "profile"))
    try:
        return onnxruntime.InferenceSession(model, settings, providers=["CPUExecutionProvider"])
    except Exception as error:  # the runtime's own exceptions derive from nothing narrower
        message = f"onnxruntime {onnxruntime.__version__} cannot load {model}: {error}"
        raise AgentError("runtime", message) from None


def _describe(value: Any) -> Dict[str, Any]:
    shape = [side if isinstance(side, int) else -1 for side in value.shape]
    return {"name": value.name, "dtype": DTYPES.get(value.type, value.type), "shape": shape}
