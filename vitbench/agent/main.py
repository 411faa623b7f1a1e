"""The protocol: one JSON object per line in, one per line out.

    hello                                     who is there
    examine {runtime, options}                what there is of a runtime that must not be imported here
    build {runtime, model, options}           what a runtime runs in place of a model, built on this machine
    load {runtime, model, options, inputs}    load a model and the inputs that will be timed
    warm {n} | measure {n}                    time n iterations; one code path
    stream {n, lanes}                         keep so many requests under way; time n rounds of one each
    profile {n}                               run n iterations, then tell the time of each layer; once
    outputs {inputs, out_dir}                 run once on each set of inputs, untimed, into files
    probe {root?} | processes {root?}         witnesses; CPU time of every other process
    describe {root?}                          static facts of the machine
    watch {root?, device?}                    let witnesses and facts tell of the GPU as well, from now on
    energy {min_s}                            iterate for a while, untimed, and tell what that took
    bye                                       end

A reply is {"ok": true, ...} or {"ok": false, "error": {"kind", "message"}}; see
`AgentError` for the kinds.
"""

from __future__ import annotations

import json
import os
import platform
import traceback
from typing import Any, BinaryIO, Callable, Dict, Optional

from . import AGENT_VERSION, backends, energy, gpu, machine, pipes, probe
from .errors import AgentError
from .tensorrt import child
from .timing import time_iterations, time_rounds

MAX_REQUEST_BYTES = 8 * 1024 * 1024
MAX_ITERATIONS = 1000000
MAX_LANES = 16
MAX_ENERGY_S = 60


class Agent:
    """Serves requests; holds the one model that is loaded."""

    def __init__(self) -> None:
        self._backend: Optional[backends.Backend] = None
        self._gpu: Optional[gpu.Watch] = None
        self._operations: Dict[str, Callable[[Dict[str, Any]], Dict[str, Any]]] = {
            "hello": self._hello,
            "examine": self._examine,
            "build": self._build,
            "load": self._load,
            "warm": self._iterate,
            "measure": self._iterate,
            "stream": self._stream,
            "profile": self._profile,
            "outputs": self._outputs,
            "probe": self._probe,
            "processes": self._processes,
            "describe": self._describe,
            "watch": self._watch,
            "energy": self._energy,
            "bye": self._bye,
        }
        self.ended = False

    def serve(self, line: bytes) -> Dict[str, Any]:
        """The reply to one line. Never raises."""
        try:
            request = _parse(line)
            operation = self._operations.get(request["op"])
            if operation is None:
                raise AgentError("usage", f"unknown operation {request['op']!r}")
            return dict(operation(request), ok=True)
        except AgentError as error:
            return {"ok": False, "error": {"kind": error.kind, "message": error.message}}
        except Exception as error:
            traceback.print_exc()
            message = f"{type(error).__name__}: {error}"
            return {"ok": False, "error": {"kind": "runtime", "message": message}}

    def _hello(self, request: Dict[str, Any]) -> Dict[str, Any]:
        return {
            "agent_version": AGENT_VERSION,
            "python": platform.python_version(),
            "pid": os.getpid(),
            "runtimes": _runtimes(),
        }

    def _examine(self, request: Dict[str, Any]) -> Dict[str, Any]:
        return backends.examine(str(request.get("runtime")), _options(request))

    def _build(self, request: Dict[str, Any]) -> Dict[str, Any]:
        return backends.build(str(request.get("runtime")), request.get("model"), _options(request))

    def _load(self, request: Dict[str, Any]) -> Dict[str, Any]:
        if self._backend is not None:
            raise AgentError("usage", "a model is loaded already; a process measures one")
        options = _options(request)
        _set_affinity(options.get("affinity"))
        runtime, model = str(request.get("runtime")), request.get("model")
        if gpu.used_by(runtime, options):
            gpu.count_as_nvml()
            self._gpu = self._gpu or gpu.Watch(number=gpu.number_of(options))
        self._backend = backends.load(runtime, model, options, request.get("inputs", []))
        if self._gpu is not None:
            self._gpu.loaded(getattr(self._backend, "gpu_bus_id", None))
        return self._backend.info()

    def _iterate(self, request: Dict[str, Any]) -> Dict[str, Any]:
        n = _count(request)
        backend = self._loaded()
        stages = backend.stages()
        backend.iterate(request["op"], n)
        timed = time_iterations(stages, n, backend.clock, backend.parts())
        if self._gpu is not None and request["op"] == "measure":
            self._gpu.timed()
        return timed

    def _stream(self, request: Dict[str, Any]) -> Dict[str, Any]:
        n, count = _count(request), request.get("lanes")
        if type(count) is not int or not 1 <= count <= MAX_LANES:
            raise AgentError("usage", f"lanes must be an integer from 1 to {MAX_LANES}")
        backend = self._loaded()
        lanes = backends.lanes_of(backend, count)
        backend.iterate("measure", n)
        timed = time_rounds(lanes, n, backend.clock)
        if self._gpu is not None:
            self._gpu.timed()
        return dict(timed, lanes=len(lanes))

    def _profile(self, request: Dict[str, Any]) -> Dict[str, Any]:
        n = _count(request)
        return {"layers": self._loaded().profile(n)}

    def _outputs(self, request: Dict[str, Any]) -> Dict[str, Any]:
        inputs, out_dir = request.get("inputs"), request.get("out_dir")
        if not isinstance(inputs, list) or not isinstance(out_dir, str):
            raise AgentError("usage", "outputs needs a list of inputs and an out_dir")
        return {"outputs": self._loaded().outputs(inputs, out_dir)}

    def _probe(self, request: Dict[str, Any]) -> Dict[str, Any]:
        readings = self._backend.readings() if self._backend else None
        if readings is None:
            readings = probe.read(_root(request))
            readings = self._gpu.readings(readings) if self._gpu else readings
        return {"readings": readings}

    def _processes(self, request: Dict[str, Any]) -> Dict[str, Any]:
        simulated = self._backend is not None and self._backend.readings() is not None
        return {"processes": [] if simulated else probe.processes(_root(request))}

    def _describe(self, request: Dict[str, Any]) -> Dict[str, Any]:
        facts = self._backend.facts() if self._backend else None
        if facts is None:
            facts = machine.describe(_root(request))
            facts.update(self._gpu.facts() if self._gpu else {})
        return {"facts": facts}

    def _watch(self, request: Dict[str, Any]) -> Dict[str, Any]:
        self._gpu = gpu.Watch(_root(request), number=gpu.number_of(request))
        return {}

    def _energy(self, request: Dict[str, Any]) -> Dict[str, Any]:
        min_s = request.get("min_s")
        if not isinstance(min_s, (int, float)) or not 0 < min_s <= MAX_ENERGY_S:
            raise AgentError("usage", f"min_s must be a number of seconds up to {MAX_ENERGY_S}")
        watch, backend = self._gpu, self._loaded()
        if watch is None:
            return {"energy": None}
        put, run, fetch = backend.stages()

        def iterate() -> int:
            backend.iterate("warm", 1)
            put()
            run()
            fetch()
            return 1

        return {"energy": energy.spend(watch, iterate, min_s)}

    def _bye(self, request: Dict[str, Any]) -> Dict[str, Any]:
        self.ended = True
        close = getattr(self._backend, "close", None)
        if close is not None:
            close()
        return {}

    def _loaded(self) -> backends.Backend:
        if self._backend is None:
            raise AgentError("usage", "no model is loaded")
        return self._backend


def main() -> int:
    """Serve requests until `bye`, the end of stdin, or the end of whoever reads the replies."""
    requests, replies = pipes.take()
    pipes.end_with_reader(replies)
    agent = Agent()
    with requests:
        while not agent.ended:
            line = requests.readline(MAX_REQUEST_BYTES)
            if not line:
                break
            whole = line.endswith(b"\n") or len(line) < MAX_REQUEST_BYTES
            reply = agent.serve(line) if whole else _refuse_rest(requests)
            try:
                pipes.write(replies, json.dumps(reply).encode() + b"\n")
            except BrokenPipeError:
                break
    return 0


def _parse(line: bytes) -> Dict[str, Any]:
    try:
        request = json.loads(line.decode("utf-8"))
    except (ValueError, RecursionError):
        raise AgentError("usage", "a request must be one JSON object a line") from None
    if not isinstance(request, dict) or not isinstance(request.get("op"), str):
        raise AgentError("usage", "a request must be a JSON object with an 'op'")
    return request


def _refuse_rest(requests: BinaryIO) -> Dict[str, Any]:
    """Skip the rest of a line that is over the limit."""
    while True:
        rest = requests.readline(MAX_REQUEST_BYTES)
        if not rest or rest.endswith(b"\n"):
            message = f"a request must be one line of at most {MAX_REQUEST_BYTES} bytes"
            return {"ok": False, "error": {"kind": "usage", "message": message}}


def _count(request: Dict[str, Any]) -> int:
    n = request.get("n")
    if type(n) is int and 1 <= n <= MAX_ITERATIONS:
        return n
    raise AgentError("usage", f"n must be an integer from 1 to {MAX_ITERATIONS}")


def _options(request: Dict[str, Any]) -> Dict[str, Any]:
    options = request.get("options", {})
    if not isinstance(options, dict):
        raise AgentError("usage", "options must be an object")
    return options


def _root(request: Dict[str, Any]) -> str:
    return str(request.get("root", "/"))


def _set_affinity(cpus: Any) -> None:
    """Keep this process, and every thread it starts from now on, on the given CPUs."""
    if cpus is None:
        return
    try:
        os.sched_setaffinity(0, cpus)
    except (AttributeError, OSError, TypeError, ValueError) as error:
        raise AgentError("usage", f"cannot keep to CPUs {cpus}: {error}") from None


def _runtimes() -> Dict[str, str]:
    """Version of each runtime that is installed here, without importing it."""
    from importlib import metadata

    found = {"sim": AGENT_VERSION}
    packages = {
        "cuda-torch": "torch",
        "litert": "ai-edge-litert",
        "onnxruntime": "onnxruntime",
        "numpy": "numpy",
    }
    for name, package in packages.items():
        try:
            found[name] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    tensorrt = child.installed_version()
    return {**found, "tensorrt": tensorrt} if tensorrt else found
