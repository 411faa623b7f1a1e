"""TensorRT by its Python bindings, in an agent on the machine that has the GPU."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from vitbench.catalog.specs import TargetSpec
from vitbench.errors import OutOfMemory, ToolError, UsageError
from vitbench.export.manifest import DamagedArtifact, read_manifest
from vitbench.runtime.base import MadeFor, ProtocolFacts, Runtime, StreamFacts, check_options
from vitbench.runtime.session import AgentSession
from vitbench.runtime.tensorrt_missing import refuse_missing
from vitbench.runtime.tensors import TensorFile
from vitbench.transport.base import Transport
from vitbench.trtexec.command import TYPED
from vitbench.trtexec.version import Version, parse_version

if TYPE_CHECKING:
    from vitbench.export.parity import OutputsSession

# The parsers of TensorRT 8 read opsets up to 17.
FORMATS = {True: "onnx", False: "onnx17"}
TIMING_CACHES = ("keep", "pin", "off")
MAX_STREAMS = 16
MAX_LEVEL = 5
MB = 1 << 20
# What the agent is told at load; the rest decides the engine, and is told at its build.
AT_LOAD = ("device", "spin_wait", "cuda_graph", "profile", "affinity")
DEFAULTS: dict[str, Any] = {
    "device": 0,
    "spin_wait": True,
    "cuda_graph": False,
    "streams": 2,
    "tf32": False,
    "workspace_mb": 4096,
    "optimization_level": 3,
    "avg_timing": 8,
    "timing_cache": "keep",
}
REFUSED = "cannot load the engine"


class TensorRt(Runtime):
    """One engine on one stream, copies from and to pinned memory; the engine is built where it runs.

    Options of the target: `device` (number of the GPU, default 0), `spin_wait` (the host spins while it
    waits, default true), `cuda_graph` (the engine's work is launched as one, default false), `streams`
    (which work at once where throughput is measured, default 2), `affinity` (list of CPUs), `tensorrt`
    (version of the device's TensorRT, for `vitbench export` without the device).
    Of the builder: `tf32` (fp32 products may be rounded to TF32, default false), `workspace_mb` (default
    4096), `optimization_level` (default 3), `avg_timing` (runs of a tactic that are averaged, default 8),
    `timing_cache` ("keep", the default; "pin": used as it is, so that builds are alike; "off"), `engines`
    (directory on the device that engines are kept in; the user's cache by default).
    To compare with trtexec: `cross_check` (default false) and `trtexec` (its path on the device).
    """

    name: ClassVar[str] = "tensorrt"
    artifact_format: ClassVar[str | None] = "onnx"
    checked_here_by: ClassVar[str | None] = (
        "checked by emulating half precision on the host, because the device was not at hand"
    )

    def __init__(self, target: TargetSpec) -> None:
        super().__init__(target)
        # By link: what was found there; by link and model: the engine.
        self._versions: dict[int, Version] = {}
        self._engines: dict[tuple[int, str], Mapping[str, Any]] = {}
        self._graph: bool | None = None

    def version(self) -> str:
        """The version that the target states; the device itself is asked by `made_for`."""
        return str(self._stated() or "newest")

    def made_for(self, transport: Transport | None) -> MadeFor:
        """Graphs of an opset that the device's version reads; the newest one's where nobody knows it.

        Raises:
            ToolError: the device has no GPU, no driver, or no TensorRT.
            UsageError: its TensorRT is too old.
        """
        version = self._stated() if transport is None else self.found(transport)
        format_name = FORMATS[version is None or version >= TYPED]
        return MadeFor(self.name, "newest" if version is None else str(version), format_name)

    def load_options(
        self,
        *,
        threads: int | None = None,
        affinity: tuple[int, ...] | None = None,
        block: int = 0,
        model: str = "",
    ) -> dict[str, Any]:
        """What decides how the engine is run, and how it is built. Threads mean nothing here."""
        kinds = {name: type(value) for name, value in DEFAULTS.items()}
        check_options(
            self.target,
            {**kinds, "affinity": list, "tensorrt": str, "engines": str, "cross_check": bool, "trtexec": str},
        )
        told = self.target.options
        options = {**DEFAULTS, **{name: told[name] for name in DEFAULTS if name in told}}
        self._check(options)
        cpus = told.get("affinity") if affinity is None else affinity
        return {
            **options,
            "engines": told.get("engines"),
            "profile": False,
            "affinity": None if cpus is None else list(cpus),
        }

    def prepare(
        self, transport: Transport, model: Path, *, anew: bool, on_stage: Callable[[str], None]
    ) -> str | None:
        """Build the engine of a model on the device, unless it is there."""
        if not anew and (id(transport), str(model)) in self._engines:
            return None
        on_stage(f"building its TensorRT engine on {transport.target.name}, unless it is there")
        engine = self._engine(transport, model, self.load_options(), anew=anew)
        seconds = f" in {engine['seconds']:.0f} s" if engine["origin"] != "reused" else ""
        return f"{engine['origin']} engine {engine['key'][:12]}{seconds}, {engine['bytes'] / MB:.1f} MB"

    def open_session(
        self,
        transport: Transport,
        model: Path | None,
        options: Mapping[str, Any],
        inputs: Sequence[TensorFile] = (),
    ) -> AgentSession:
        """Start a fresh agent with the model's engine, which is built first where the device has none."""
        if model is None:
            raise UsageError("TensorRT needs a model", "name one with --model")
        try:
            session = self._load(transport, self._engine(transport, model, options), options, inputs)
        except ToolError as error:
            if REFUSED not in error.message or isinstance(error, OutOfMemory):
                raise
            # Whole, and yet not for this TensorRT any more.
            session = self._load(
                transport, self._engine(transport, model, options, anew=True), options, inputs
            )
        graph = session.loaded.protocol["cuda_graph"]
        if not options["profile"]:
            if self._graph not in (None, graph):
                session.kill()
                raise ToolError(
                    "a CUDA graph of the engine could be recorded in one process on "
                    f"{transport.target.name}, and not in another",
                    "measure without: `cuda_graph = false` in the options of the target",
                )
            self._graph = graph
        return session

    def host_checker(self, model: Path) -> AbstractContextManager[OutputsSession]:
        """This machine, rounding as half precision does: what a graph can show without its device."""
        from vitbench.runtime.fp16_emulated import emulated_checker

        return emulated_checker(model)

    def profile_options(self, options: Mapping[str, Any], directory: str) -> dict[str, Any]:
        """The same, with layers timed, which no graph allows."""
        return {**options, "profile": True}

    def protocol_facts(self, options: Mapping[str, Any]) -> ProtocolFacts:
        """Both copies are timed. The mode is what else changes speed, where it is not as usual."""
        words = {
            "TF32": options["tf32"],
            f"optimization level {options['optimization_level']}": options["optimization_level"]
            != DEFAULTS["optimization_level"],
        }
        return {
            "transfers": "timed",
            "zero_copy": False,
            "spin_wait": options["spin_wait"],
            "cuda_graph": options["cuda_graph"],
            "streams": 1,
            "mode": ", ".join(word for word, said in words.items() if said) or None,
        }

    def stream_facts(self, options: Mapping[str, Any]) -> StreamFacts | None:
        """So many streams, each copying in, computing and copying out."""
        return {"streams": options["streams"], "overlap": True}

    def found(self, transport: Transport) -> Version:
        """The version of TensorRT on a device, which is asked once.

        Raises:
            ToolError: the device has no GPU, no driver, or no TensorRT, or it breaks.
            UsageError: it is too old.
        """
        if id(transport) not in self._versions:
            label = f"agent on `{transport.target.name}`"
            with AgentSession(transport, transport.start_agent(label)) as agent:
                found = agent.examine(self.name, {"device": self.load_options()["device"]})
            refuse_missing(found, transport.target)
            # Packages add words to it: 8.6.1.post1.
            numbers = re.match(r"[\d.]*\d", str(found["version"]))
            version = parse_version(numbers[0]) if numbers else None
            if version is None:
                raise ToolError(f"TensorRT on {transport.target.name} calls itself '{found['version']}'")
            self._versions[id(transport)] = version
        return self._versions[id(transport)]

    def _engine(
        self, transport: Transport, model: Path, options: Mapping[str, Any], *, anew: bool = False
    ) -> Mapping[str, Any]:
        """The engine of a model on a device, as the agent describes it; asked for once."""
        key = id(transport), str(model)
        if anew or key not in self._engines:
            self.found(transport)
            label = f"TensorRT builder on `{transport.target.name}`"
            with AgentSession(transport, transport.start_agent(label)) as agent:
                self._engines[key] = agent.build(self.name, model, _build_options(model, options, anew))
        return self._engines[key]

    def _load(
        self,
        transport: Transport,
        engine: Mapping[str, Any],
        options: Mapping[str, Any],
        inputs: Sequence[TensorFile],
    ) -> AgentSession:
        label = f"{self.name} agent on `{transport.target.name}`"
        session = AgentSession(transport, transport.start_agent(label))
        told = {name: options[name] for name in AT_LOAD}
        try:
            session.load(self.name, None, {**told, "engine": engine["engine"]}, inputs, engine=engine)
        except BaseException:
            session.kill()
            raise
        return session

    def _stated(self) -> Version | None:
        """The version that the target states.

        Raises:
            UsageError: it is no version.
        """
        stated = self.target.options.get("tensorrt")
        version = None if stated is None else parse_version(str(stated))
        if stated is not None and version is None:
            raise UsageError(
                f"option 'tensorrt' of target '{self.target.name}' is no version: {stated!r}",
                'write it like "10.3"',
            )
        return version

    def _check(self, options: Mapping[str, Any]) -> None:
        """Refuse values that no builder and no GPU takes.

        Raises:
            UsageError: one is such.
        """
        self._stated()
        directory = self.target.options.get("engines")
        fits = {
            "device": (options["device"] >= 0, "the number of a GPU, from 0 on"),
            "streams": (2 <= options["streams"] <= MAX_STREAMS, f"from 2 to {MAX_STREAMS}"),
            "workspace_mb": (options["workspace_mb"] > 0, "positive"),
            "avg_timing": (options["avg_timing"] > 0, "positive"),
            "optimization_level": (0 <= options["optimization_level"] <= MAX_LEVEL, f"from 0 to {MAX_LEVEL}"),
            "timing_cache": (
                options["timing_cache"] in TIMING_CACHES,
                f"one of {', '.join(TIMING_CACHES)}",
            ),
            "engines": (directory is None or directory.startswith("/"), "an absolute path on the device"),
        }
        for name, (fit, what) in fits.items():
            if not fit:
                value = directory if name == "engines" else options[name]
                raise UsageError(
                    f"option '{name}' of target '{self.target.name}' must be {what}, not {value!r}"
                )


def _build_options(model: Path, options: Mapping[str, Any], anew: bool) -> dict[str, Any]:
    """What decides an engine, as the agent is told; precision and islands are the artifact's."""
    try:
        manifest = read_manifest(model.parent.parent)
    except DamagedArtifact:  # a graph of no artifact, as that of a check of a device
        precision, islands = "fp32", []
    else:
        precision, islands = manifest.precision, list(getattr(manifest, "islands", None) or ())
    names = ("tf32", "workspace_mb", "optimization_level", "avg_timing", "timing_cache", "device")
    return {
        **{name: options[name] for name in names},
        "precision": precision,
        "islands": islands,
        "directory": options["engines"],
        "rebuild": anew,
    }
