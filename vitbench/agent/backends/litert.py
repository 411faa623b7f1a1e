"""LiteRT (TensorFlow Lite) on the CPU: one interpreter, its kernels XNNPACK's."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any, Dict, List, Optional, Tuple

from .. import machine, tensors
from ..errors import AgentError
from ..timing import Parts, Stages

SIGNATURE = "serving_default"


class LitertBackend:
    """An interpreter over one model, with one set of inputs placed and fetched by copies.

    Options: `threads` (at least 1). Names of inputs and outputs are those of the model's signature.
    """

    clock = staticmethod(time.perf_counter_ns)

    def __init__(self, model: Optional[str], options: Dict[str, Any], inputs: List[Any]) -> None:
        if model is None or not Path(model).is_file():
            raise AgentError("io", f"no model file {model}")
        threads = options.get("threads", 1)
        if not isinstance(threads, int) or threads < 1:
            raise AgentError("usage", "threads must be a positive integer")
        begin = time.perf_counter_ns()
        interpreter_class, version = _import()
        imported = time.perf_counter_ns()
        try:
            self._interpreter = interpreter_class(model_path=model, num_threads=threads)
            self._interpreter.allocate_tensors()
            runner = self._interpreter.get_signature_runner(SIGNATURE)
            self._inputs = _places(runner.get_input_details())
            self._outputs = _places(runner.get_output_details())
        except (ValueError, RuntimeError) as error:
            raise AgentError("runtime", f"litert {version} cannot load {model}: {error}") from None
        loaded = time.perf_counter_ns()
        self._info = {
            "import_ns": imported - begin,
            "load_ns": loaded - imported,
            "runtime_version": version,
            "device": machine.describe().get("cpu_model", "CPU"),
            "inputs": [_describe(name, place) for name, place in self._inputs.items()],
            "outputs": [_describe(name, place) for name, place in self._outputs.items()],
        }
        self._feed = self._check(tensors.read_all(inputs)) if inputs else None

    def info(self) -> Dict[str, Any]:
        """What `load` answers."""
        return self._info

    def stages(self) -> Stages:
        """Copy the inputs into the arena, invoke, copy the outputs out of it."""
        if self._feed is None:
            raise AgentError("usage", "nothing to time: no inputs were given at load")
        interpreter = self._interpreter
        pairs = [(self._inputs[name]["index"], array) for name, array in self._feed.items()]
        indices = [place["index"] for place in self._outputs.values()]
        fetched: List[Any] = []

        def put() -> None:
            for index, array in pairs:
                interpreter.set_tensor(index, array)

        def fetch() -> None:
            fetched[:] = [interpreter.get_tensor(index) for index in indices]

        return put, interpreter.invoke, fetch

    def iterate(self, op: str, n: int) -> None:
        """Nothing to prepare: warm-up and measurement are the same here."""

    def parts(self) -> Optional[Parts]:
        """The host's clock serves."""
        return None

    def outputs(self, inputs: List[Any], out_dir: str) -> List[Any]:
        """Run once on each set of input files and write the outputs."""
        written = []
        for number, group in enumerate(inputs):
            for name, array in self._check(tensors.read_all(group)).items():
                self._interpreter.set_tensor(self._inputs[name]["index"], array)
            try:
                self._interpreter.invoke()
            except (ValueError, RuntimeError) as error:
                raise AgentError("runtime", f"litert cannot run the model: {error}") from None
            named = {
                name: self._interpreter.get_tensor(place["index"]) for name, place in self._outputs.items()
            }
            written.append(tensors.write_all(named, out_dir, f"{number:04d}"))
        return written

    def profile(self, n: int) -> List[Dict[str, Any]]:
        """The interpreter tells no times of layers."""
        raise AgentError("usage", "the litert runtime cannot tell the time of each layer")

    def readings(self) -> None:
        """The device is this machine."""

    def facts(self) -> None:
        """The device is this machine."""

    def _check(self, feed: Dict[str, Any]) -> Dict[str, Any]:
        """The feed itself, if it is what the model asks for."""
        if set(feed) != set(self._inputs):
            raise AgentError("usage", f"the model's inputs are {sorted(self._inputs)}, not {sorted(feed)}")
        for name, array in feed.items():
            wanted = _describe(name, self._inputs[name])
            if array.dtype.name != wanted["dtype"] or list(array.shape) != wanted["shape"]:
                given = f"{array.dtype.name} {list(array.shape)}"
                expected = f"{wanted['dtype']} {wanted['shape']}"
                raise AgentError("usage", f"input '{name}' of the model is {expected}, not {given}")
        return feed


def _import() -> Tuple[Any, str]:
    """The interpreter's class and version: LiteRT's, else the one inside TensorFlow."""
    try:
        import ai_edge_litert
        from ai_edge_litert.interpreter import Interpreter

        return Interpreter, str(ai_edge_litert.__version__)
    except ImportError as missing:
        first = missing
    try:
        import tensorflow

        return tensorflow.lite.Interpreter, f"tensorflow {tensorflow.__version__}"
    except ImportError:
        raise AgentError("usage", f"neither ai_edge_litert nor tensorflow can be imported: {first}") from None


def _places(details: Dict[str, Any]) -> Dict[str, Any]:
    return {str(name): details[name] for name in details}


def _describe(name: str, place: Dict[str, Any]) -> Dict[str, Any]:
    import numpy as np

    shape = [int(side) for side in place["shape"]]
    return {"name": name, "dtype": np.dtype(place["dtype"]).name, "shape": shape}
