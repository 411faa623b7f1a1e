"""PyTorch on a CUDA device, or on this machine's processor: one graph, every switch stated."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any, Dict, List, Optional

from .. import machine, tensors
from ..errors import AgentError
from ..timing import Parts, Stages
from .aten import Graph
from .torch_lane import Lane
from .torch_place import Place, choose, explain

MODES = ("eager", "compile", "graph")
SWITCHES = ("tf32", "cudnn_benchmark", "channels_last")


class TorchBackend:
    """A graph of ATen operators in PyTorch.

    Options: `device` ("cuda:N" or "cpu"), `mode` ("eager": operator by operator; "compile": `torch.compile`,
    compiled while loading; "graph": played back as one CUDA graph, the copies outside of it), `threads` of
    the host, and the switches `tf32`, `cudnn_benchmark` (cuDNN tries its algorithms at the first inference)
    and `channels_last`.
    """

    clock = staticmethod(time.perf_counter_ns)

    def __init__(self, model: Optional[str], options: Dict[str, Any], inputs: List[Any]) -> None:
        if model is None or not Path(model).is_file():
            raise AgentError("io", f"no model file {model}")
        self._options = _checked(options)
        begin = time.perf_counter_ns()
        try:
            import torch
        except ImportError as error:
            raise AgentError("usage", f"torch cannot be imported: {error}") from None
        imported = time.perf_counter_ns()
        _switch(torch, self._options)
        # Never left: no tensor of this process is for training.
        self._inference = torch.inference_mode()
        self._inference.__enter__()
        place: Optional[Place] = None
        try:
            place = self._place = choose(torch, self._options["device"])
            self._graph = Graph(Path(model), place.device)
            self._network = self._load()
            self._lanes = [self._lane()]
            place.finish()
        except RuntimeError as error:
            raise explain(torch, error, place) from None
        loaded = time.perf_counter_ns()
        self._info = {
            "import_ns": imported - begin,
            "load_ns": loaded - imported,
            "runtime_version": _version(torch, self._place),
            "device": self._place.title() or machine.describe().get("cpu_model", "CPU"),
            "inputs": self._graph.inputs,
            "outputs": self._graph.outputs,
        }
        self._feed = self._check(tensors.read_all(inputs)) if inputs else None
        if self._feed is not None:
            self._lanes[0].fill(self._feed)

    def info(self) -> Dict[str, Any]:
        """What `load` answers."""
        return self._info

    def iterate(self, op: str, n: int) -> None:
        """Nothing to prepare: warm-up and measurement are the same here."""

    def stages(self) -> Stages:
        """Copy in, compute, copy out; the host waits at the end of the third."""
        self._timed_feed()
        return self._lanes[0].stages()

    def parts(self) -> Optional[Parts]:
        """The device's events; on the processor the host's clock serves."""
        return self._lanes[0].parts

    def lanes(self, count: int) -> List[Lane]:
        """Queues with buffers of their own, each with the inputs that are timed."""
        feed = self._timed_feed()
        while len(self._lanes) < count:
            try:
                lane = self._lane()
            except RuntimeError as error:
                raise explain(self._place.torch, error, self._place) from None
            lane.fill(feed)
            self._lanes.append(lane)
        return self._lanes[:count]

    def outputs(self, inputs: List[Any], out_dir: str) -> List[Any]:
        """Run once on each set of input files and write the outputs."""
        lane, written = self._lanes[0], []
        for number, group in enumerate(inputs):
            lane.fill(self._check(tensors.read_all(group)))
            lane.submit()
            lane.wait()
            written.append(tensors.write_all(lane.outputs(), out_dir, f"{number:04d}"))
        if self._feed is not None:
            lane.fill(self._feed)
        return written

    def profile(self, n: int) -> List[Dict[str, Any]]:
        """Told by no operator here."""
        raise AgentError("usage", "the cuda-torch runtime cannot tell the time of each layer")

    def readings(self) -> None:
        """The device is in this machine."""

    def facts(self) -> None:
        """The device is in this machine."""

    def _load(self) -> Any:
        """The network as it is called, its weights in the order that was asked for; compiled by now."""
        torch, module = self._place.torch, self._graph.module
        if self._options["channels_last"]:
            module = module.to(memory_format=torch.channels_last)
        if self._options["mode"] != "compile":
            return module
        compiled = torch.compile(module, fullgraph=True, dynamic=False)
        lane = self._lane_of(compiled)
        try:
            lane.submit()
            lane.wait()
        except AgentError as error:
            raise error if error.kind == "memory" else _not_compiled(error.message) from None
        except Exception as error:  # the compiler's errors have no base of their own
            raise _not_compiled(f"{type(error).__name__}: {error}") from None
        return compiled

    def _lane(self) -> Lane:
        return self._lane_of(self._network, captured=self._options["mode"] == "graph")

    def _lane_of(self, network: Any, captured: bool = False) -> Lane:
        return Lane(
            self._place,
            network,
            self._graph.inputs,
            self._graph.outputs,
            channels_last=self._options["channels_last"],
            captured=captured,
        )

    def _timed_feed(self) -> List[Any]:
        if self._feed is None:
            raise AgentError("usage", "nothing to time: no inputs were given at load")
        return self._feed

    def _check(self, feed: Dict[str, Any]) -> List[Any]:
        """The arrays of a feed in the graph's order, if they are what it asks for."""
        wanted = {item["name"]: item for item in self._graph.inputs}
        if set(feed) != set(wanted):
            raise AgentError("usage", f"the model's inputs are {sorted(wanted)}, not {sorted(feed)}")
        for name, array in feed.items():
            dtype, shape = wanted[name]["dtype"], wanted[name]["shape"]
            if array.dtype.name != dtype or list(array.shape) != shape:
                given = f"{array.dtype.name} {list(array.shape)}"
                raise AgentError("usage", f"input '{name}' of the model is {dtype} {shape}, not {given}")
        return [feed[name] for name in wanted]


def _checked(options: Dict[str, Any]) -> Dict[str, Any]:
    """Every option, none of them left to a default of PyTorch."""
    checked = {"device": options.get("device", "cuda:0"), "mode": options.get("mode", "eager")}
    if checked["mode"] not in MODES:
        raise AgentError("usage", f"mode must be one of {', '.join(MODES)}, not {checked['mode']!r}")
    threads = checked["threads"] = options.get("threads", 1)
    if not isinstance(threads, int) or threads < 1:
        raise AgentError("usage", "threads must be a positive integer")
    for name in SWITCHES:
        checked[name] = options.get(name, False)
        if not isinstance(checked[name], bool):
            raise AgentError("usage", f"{name} must be a boolean")
    return checked


def _switch(torch: Any, options: Dict[str, Any]) -> None:
    torch.set_num_threads(options["threads"])
    torch.set_float32_matmul_precision("high" if options["tf32"] else "highest")
    torch.backends.cudnn.allow_tf32 = options["tf32"]
    torch.backends.cudnn.benchmark = options["cudnn_benchmark"]


def _version(torch: Any, place: Place) -> str:
    if not place.is_cuda:
        return str(torch.__version__)
    return f"{torch.__version__}, CUDA {torch.version.cuda}, cuDNN {torch.backends.cudnn.version()}"


def _not_compiled(message: str) -> AgentError:
    lines = [line.strip() for line in message.splitlines() if line.strip()]
    return AgentError("runtime", f"torch.compile cannot compile the network: {' '.join(lines[:2])[:400]}")
