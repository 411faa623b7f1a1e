"""A typed conversation with one agent process."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from vitbench.errors import OutOfMemory, ToolError, UsageError
from vitbench.runtime.tensors import TensorFile, TensorSpec
from vitbench.transport.base import Transport
from vitbench.transport.channel import Channel

Reading = float | str | bool
Readings = dict[str, Reading]

SHORT_TIMEOUT_S = 60.0
LOAD_TIMEOUT_S = 600.0
OUTPUTS_TIMEOUT_S = 600.0
BUILD_TIMEOUT_S = 3600.0
FILES = "see that it is there on the device, may be read and written, and that there is space"
# Until an iteration has been seen nobody knows how long one takes; afterwards ten times the slowest.
UNSEEN_ITERATION_S = 60.0
SEEN_MARGIN = 10


@dataclass(frozen=True)
class AgentInfo:
    """Who answered: its versions, and the version of each runtime that it could drive."""

    agent_version: str
    python: str
    pid: int
    runtimes: Mapping[str, str]


@dataclass(frozen=True)
class LoadInfo:
    """A loaded model. `load_ns` is the creation of the runtime's session, `import_ns` that of the runtime.

    `affinity`: the CPUs it keeps to, where only the device could tell them. `simulated`: whether the device
    is a stand-in, so that nothing it tells may be taken for a measurement. `protocol`: fields of the record's
    protocol that only the device could tell. `engine`: what it made of the model and runs in its place; see
    `vitbench.records.schema.EnginePart`.
    """

    load_ns: int
    import_ns: int
    runtime_version: str
    device: str
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    affinity: tuple[int, ...] | None = None
    simulated: bool = False
    protocol: Mapping[str, Any] = field(default_factory=dict)
    engine: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class SampleBatch:
    """Iterations in nanoseconds, in the order they ran; `elapsed_ns`: the whole loop on the agent's clock."""

    total_ns: tuple[int, ...]
    h2d_ns: tuple[int, ...]
    compute_ns: tuple[int, ...]
    d2h_ns: tuple[int, ...]
    elapsed_ns: int


@dataclass(frozen=True)
class LayerTime:
    """Time of one layer over all its calls, in nanoseconds; `name` and `op_type` are the runtime's own.

    `nodes` are those of the graph that it was made of, where the runtime tells more than its name.
    """

    name: str
    op_type: str
    total_ns: int
    calls: int
    nodes: tuple[str, ...] = ()


@dataclass(frozen=True)
class ProcessTime:
    """CPU time a process of the device has used since it started."""

    pid: int
    name: str
    cpu_ns: int


class AgentSession:
    """One agent process: load a model once, then warm, measure and probe. A context manager.

    Every call is one request and blocks until the reply; nothing runs on the host meanwhile.

    Raises (every method that asks the agent):
        UsageError: the request or a file it names does not fit.
        ToolError: the runtime failed, or the agent died or did not answer; `tail` has its last lines.
        TargetUnreachable: the link was lost.
    """

    def __init__(self, transport: Transport, channel: Channel) -> None:
        self._transport = transport
        self._channel = channel
        self._loaded: LoadInfo | None = None
        self._slowest_s: float | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.close()
        else:
            self.kill()

    @property
    def pid(self) -> int:
        """Process id, on this machine, of the agent or of the client program that carries it."""
        return self._channel.pid

    @property
    def loaded(self) -> LoadInfo:
        """What `load` answered."""
        if self._loaded is None:
            raise RuntimeError("nothing is loaded yet")
        return self._loaded

    def hello(self) -> AgentInfo:
        """Ask who is there."""
        reply = self._ask({"op": "hello"}, SHORT_TIMEOUT_S)
        return AgentInfo(reply["agent_version"], reply["python"], reply["pid"], reply["runtimes"])

    def examine(self, runtime: str, options: Mapping[str, Any]) -> dict[str, Any]:
        """Ask what there is of a runtime that is not safely imported; see `vitbench.agent.tensorrt.probe`."""
        return self._ask({"op": "examine", "runtime": runtime, "options": dict(options)}, LOAD_TIMEOUT_S)

    def build(self, runtime: str, model: Path, options: Mapping[str, Any]) -> dict[str, Any]:
        """Have the device build what it runs in place of a model; see `vitbench.agent.tensorrt.build`.

        Args:
            model: file on this machine, in the directory of its artifact, which is pushed whole.
            options: what decides what is built.
        """
        request = {
            "op": "build",
            "runtime": runtime,
            "model": f"{self._transport.push(model.parent)}/{model.name}",
            "options": dict(options),
        }
        return self._ask(request, BUILD_TIMEOUT_S)

    def load(
        self,
        runtime: str,
        model: Path | None,
        options: Mapping[str, Any],
        inputs: Sequence[TensorFile] = (),
        *,
        engine: Mapping[str, Any] | None = None,
    ) -> LoadInfo:
        """Load a model and the inputs that will be timed.

        Args:
            runtime: the agent's name of the runtime.
            model: file on this machine, in the directory of its artifact, which is pushed whole; None for a
                runtime that needs no model.
            options: what `Runtime.load_options` gave.
            inputs: one tensor for each input of the model, files on this machine.
            engine: what `build` answered, where that runs in place of a model.
        """
        request = {
            "op": "load",
            "runtime": runtime,
            "model": f"{self._transport.push(model.parent)}/{model.name}" if model else None,
            "options": dict(options),
            "inputs": [self._push(tensor) for tensor in inputs],
        }
        reply = self._ask(request, LOAD_TIMEOUT_S)
        self._loaded = LoadInfo(
            reply["load_ns"],
            reply["import_ns"],
            reply["runtime_version"],
            reply["device"],
            _specs(reply["inputs"]),
            _specs(reply["outputs"]),
            simulated=reply.get("simulated", False),
            protocol=reply.get("protocol", {}),
            engine=None if engine is None else {**engine, **reply.get("engine", {})},
        )
        return self._loaded

    def warm(self, n: int) -> SampleBatch:
        """Run n iterations of warm-up. The very first one of a session is its first inference."""
        return self._iterate("warm", n)

    def measure(self, n: int) -> SampleBatch:
        """Run n timed iterations."""
        return self._iterate("measure", n)

    def stream(self, n: int, lanes: int) -> SampleBatch:
        """Keep so many requests under way at once and time n rounds of one request a lane.

        A round is from the end of one round's last request to that of the next one's, and has no parts.

        Raises:
            ToolError: as every method, or the device does one request after the other: its rounds are of
                fewer requests than are counted.
        """
        reply = self._ask({"op": "stream", "n": n, "lanes": lanes}, self._patience_s((n + 2) * lanes))
        if reply["lanes"] != lanes:
            raise ToolError(
                f"{self._channel.label}: only {reply['lanes']} of {lanes} requests are under way at once",
                "measure with `streams` that the runtime has",
            )
        totals = tuple(reply["samples"]["total_ns"])
        self._slowest_s = max([self._slowest_s or 0.0, *(ns / 1e9 / lanes for ns in totals)])
        return SampleBatch(totals, (), (), (), elapsed_ns=reply["elapsed_ns"])

    def profile(self, n: int) -> tuple[LayerTime, ...]:
        """Run n iterations and return the time of each layer over them, in the order they run.

        Once in a session, whose model was loaded with what `Runtime.profile_options` gave.
        """
        reply = self._ask({"op": "profile", "n": n}, self._patience_s(n))
        return tuple(
            LayerTime(
                item["name"], item["op_type"], item["total_ns"], item["calls"], tuple(item.get("nodes", ()))
            )
            for item in reply["layers"]
        )

    def outputs(self, inputs: Sequence[Sequence[TensorFile]], out_dir: Path) -> list[list[TensorFile]]:
        """Run the loaded model once on each set of inputs, untimed, and bring its outputs to `out_dir`."""
        remote_dir = self._transport.scratch()
        request = {
            "op": "outputs",
            "inputs": [[self._push(tensor) for tensor in group] for group in inputs],
            "out_dir": remote_dir,
        }
        reply = self._ask(request, OUTPUTS_TIMEOUT_S)
        return [[self._fetch(item, out_dir) for item in group] for group in reply["outputs"]]

    def probe(self) -> Readings:
        """Read the witnesses: clocks, heat, load, memory. A reading the device does not give is absent.

        Names and units are those of `vitbench.agent.probe.read`.
        """
        return dict(self._ask({"op": "probe"}, SHORT_TIMEOUT_S)["readings"])

    def processes(self) -> tuple[ProcessTime, ...]:
        """CPU time of every process of the device but the agent itself."""
        reply = self._ask({"op": "processes"}, SHORT_TIMEOUT_S)
        return tuple(ProcessTime(item["pid"], item["name"], item["cpu_ns"]) for item in reply["processes"])

    def describe(self) -> dict[str, Any]:
        """Static facts of the machine: CPU, caches, memory, system. What it does not tell is absent.

        Names and units are those of `vitbench.agent.machine.describe`.
        """
        return dict(self._ask({"op": "describe"}, SHORT_TIMEOUT_S)["facts"])

    def watch_gpu(self, device: int = 0) -> None:
        """Let the witnesses and facts of an agent that has nothing loaded tell of a GPU as well.

        Args:
            device: which of those that a program sees there.
        """
        self._ask({"op": "watch", "device": device}, SHORT_TIMEOUT_S)

    def energy(self, min_s: float) -> dict[str, Any] | None:
        """Iterate for a while, untimed, and tell what that took from the supply; None where nothing tells.

        Names and units are those of `vitbench.agent.energy.spend`.
        """
        found: dict[str, Any] | None = self._ask({"op": "energy", "min_s": min_s}, OUTPUTS_TIMEOUT_S)[
            "energy"
        ]
        return found

    def close(self) -> None:
        """End the agent. Safe to call twice, and after it died."""
        self._channel.close()

    def kill(self) -> None:
        """End the agent at once, whatever it is doing. Safe to call twice."""
        self._channel.kill()

    def _iterate(self, op: str, n: int) -> SampleBatch:
        reply = self._ask({"op": op, "n": n}, self._patience_s(n))
        samples = {part: tuple(values) for part, values in reply["samples"].items()}
        batch = SampleBatch(**samples, elapsed_ns=reply["elapsed_ns"])
        self._slowest_s = max([self._slowest_s or 0.0, *(ns / 1e9 for ns in batch.total_ns)])
        return batch

    def _patience_s(self, n: int) -> float:
        """How long n iterations may take before the agent is given up."""
        per_iteration_s = UNSEEN_ITERATION_S if self._slowest_s is None else SEEN_MARGIN * self._slowest_s
        return SHORT_TIMEOUT_S + n * per_iteration_s

    def _ask(self, request: dict[str, Any], timeout_s: float) -> dict[str, Any]:
        reply = self._channel.request(request, timeout_s)
        if reply.get("ok") is True:
            return reply
        error = reply.get("error", {})
        message = f"{self._channel.label}: {error.get('message', 'failed without a message')}"
        if error.get("kind") == "memory":
            raise OutOfMemory(message, "choose a smaller --batch or --resolution", tail=self._channel.tail())
        if error.get("kind") == "runtime":
            raise ToolError(message, "the last lines are the runtime's own", tail=self._channel.tail())
        raise UsageError(message, FILES if error.get("kind") == "io" else None)

    def _push(self, tensor: TensorFile) -> dict[str, Any]:
        return {
            "name": tensor.name,
            "dtype": tensor.dtype,
            "shape": list(tensor.shape),
            "path": self._transport.push(tensor.path),
        }

    def _fetch(self, item: Mapping[str, Any], out_dir: Path) -> TensorFile:
        local = out_dir / str(item["path"]).rpartition("/")[2]
        self._transport.pull(item["path"], local)
        return TensorFile(item["name"], item["dtype"], tuple(item["shape"]), local)


def _specs(items: Sequence[Mapping[str, Any]]) -> tuple[TensorSpec, ...]:
    return tuple(TensorSpec(item["name"], item["dtype"], tuple(item["shape"])) for item in items)
