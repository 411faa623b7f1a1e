"""TensorRT by its own `trtexec`: one block is one run of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from vitbench.catalog.specs import TargetSpec
from vitbench.errors import ToolError, UsageError
from vitbench.runtime.base import MadeFor, ProtocolFacts, Runtime, check_options
from vitbench.runtime.tensors import TensorFile
from vitbench.transport.base import Transport
from vitbench.trtexec.command import TYPED
from vitbench.trtexec.flags import Tool
from vitbench.trtexec.version import Version, parse_version

if TYPE_CHECKING:
    from vitbench.export.parity import OutputsSession
    from vitbench.runtime.trtexec_session import Known, TrtexecSession

# The parsers of TensorRT 8 read opsets up to 17.
FORMATS = {True: "onnx", False: "onnx17"}


class Trtexec(Runtime):
    """A GPU through trtexec: for boards without TensorRT's Python, and to cross-check what vitbench times.

    It times on the clock of the GPU, so that a latency holds the waits between the parts of a request, but
    not what the host does before and after.

    Options of the target: `trtexec` (path of the program on the device), `device` (number of the GPU),
    `tensorrt` (version of its TensorRT, for `vitbench export` without the device), `cuda_graph`, `spin_wait`,
    `reuse_engine` (an engine of an earlier run is taken, and so are times of tactics, default true) and
    `protocol` (`serial`, or `paper`: the command of the authors of EfficientViT).
    """

    name: ClassVar[str] = "trtexec"
    artifact_format: ClassVar[str | None] = "onnx"
    protocols: ClassVar[tuple[str, ...]] = ("serial", "paper")

    def __init__(self, target: TargetSpec) -> None:
        super().__init__(target)
        # By link, and by model and what it is run with: the program and the engine are looked for once.
        self._tools: dict[int, Tool] = {}
        self._known: dict[str, Known] = {}

    def version(self) -> str:
        """The version that the target states; the device has another way to tell it: see `made_for`."""
        return str(self._stated() or "unknown")

    def made_for(self, transport: Transport | None) -> MadeFor:
        """Artifacts are those of the tensorrt runtime, of an opset that the device's version reads."""
        version = self._stated() if transport is None else self.tool(transport).version
        format_name = FORMATS[version is None or version >= TYPED]
        return MadeFor("tensorrt", "newest" if version is None else str(version), format_name)

    def load_options(
        self,
        *,
        threads: int | None = None,
        affinity: tuple[int, ...] | None = None,
        block: int = 0,
        model: str = "",
    ) -> dict[str, Any]:
        """What is timed and on which GPU, each stated. Threads and CPUs mean nothing here."""
        known = {
            **dict.fromkeys(("trtexec", "tensorrt", "protocol"), str),
            **dict.fromkeys(("cuda_graph", "spin_wait", "reuse_engine"), bool),
            "device": int,
        }
        check_options(self.target, known)
        chosen = self.target.options
        options = {
            "trtexec": chosen.get("trtexec"),
            "device": chosen.get("device", 0),
            "protocol": chosen.get("protocol", "serial"),
            "cuda_graph": chosen.get("cuda_graph", False),
            "spin_wait": chosen.get("spin_wait", False),
            "reuse_engine": chosen.get("reuse_engine", True),
        }
        if options["protocol"] not in self.protocols:
            raise UsageError(
                f"unknown protocol '{options['protocol']}' of target '{self.target.name}'",
                f"choose one of {', '.join(self.protocols)}",
            )
        if options["protocol"] == "paper" and (options["cuda_graph"] or options["spin_wait"]):
            raise UsageError(
                "the protocol of the paper has neither a CUDA graph nor spinning",
                f"drop `cuda_graph` and `spin_wait` from the options of target '{self.target.name}'",
            )
        return options

    def prepare(
        self, transport: Transport, model: Path, *, anew: bool, on_stage: Callable[[str], None]
    ) -> str | None:
        """Build the engine of a model on the device, unless it is there."""
        options = self.load_options()
        if not anew and self._key(transport, model, options, None) in self._known:
            return None
        on_stage(f"building its TensorRT engine on {transport.target.name} by trtexec, unless it is there")
        engine = self.known(transport, model, options, anew=anew).engine
        seconds = "" if engine.build_s is None else f" in {engine.build_s:.0f} s"
        return f"{engine.made} engine{seconds}"

    def open_session(
        self,
        transport: Transport,
        model: Path | None,
        options: Mapping[str, Any],
        inputs: Sequence[TensorFile] = (),
    ) -> TrtexecSession:
        """Have an engine of the model on the device; nothing is timed yet."""
        from vitbench.runtime.trtexec_session import TrtexecSession

        if model is None:
            raise UsageError("trtexec needs a model", "name one with --model")
        return TrtexecSession(transport, self.known(transport, model, options, inputs), inputs, options)

    def known(
        self,
        transport: Transport,
        model: Path,
        options: Mapping[str, Any],
        inputs: Sequence[TensorFile] = (),
        *,
        engine: str | None = None,
        anew: bool = False,
    ) -> Known:
        """Program, GPU and engine of a model, which are the same for all blocks.

        Args:
            inputs: what the first run is given; random numbers when empty.
            engine: path on the device of an engine that is there; its own when None.
            anew: whether an engine that an earlier run kept is built again.

        Raises:
            UsageError: the model is of no artifact.
            NoResult: there is no trtexec or no GPU, TensorRT does not take the model, or the engine does not
                run.
            TargetUnreachable: the link was lost.
        """
        from vitbench.runtime.trtexec_engine import find_gpu
        from vitbench.runtime.trtexec_prepare import prepare

        key = self._key(transport, model, options, engine)
        if anew or key not in self._known:
            tool = self.tool(transport)
            gpu = find_gpu(transport, tool, options["device"])
            self._known[key] = prepare(
                transport,
                tool,
                gpu,
                model,
                inputs,
                {**options, "reuse_engine": options["reuse_engine"] and not anew},
                engine=engine,
            )
        return self._known[key]

    def _key(self, transport: Transport, model: Path, options: Mapping[str, Any], engine: str | None) -> str:
        return f"{id(transport)} {model} {engine} {sorted(options.items(), key=str)}"

    def tool(self, transport: Transport) -> Tool:
        """The trtexec of a device, which is asked once what it is."""
        from vitbench.runtime.trtexec_engine import find_tool

        if id(transport) not in self._tools:
            self._tools[id(transport)] = find_tool(transport, self.load_options()["trtexec"])
        return self._tools[id(transport)]

    def found_on(self, transport: Transport, told: Mapping[str, str]) -> str | None:
        """Version of the device's trtexec, which no agent knows of."""
        try:
            return str(self.tool(transport).version)
        except (UsageError, ToolError):
            return None

    def refuse_too_many_threads(self, transport: Transport, threads: int) -> None:
        """Refuse any number of threads: a GPU computes."""
        raise UsageError("--threads means nothing to trtexec, which computes on a GPU", "drop --threads")

    def host_checker(self, model: Path) -> AbstractContextManager[OutputsSession]:
        """This machine, rounding as half precision does: what a graph can show without its device."""
        from vitbench.runtime.fp16_emulated import emulated_checker

        return emulated_checker(model)

    def profile_options(self, options: Mapping[str, Any], directory: str) -> dict[str, Any]:
        """The same: layers are timed in a run of their own."""
        return dict(options)

    def protocol_facts(self, options: Mapping[str, Any]) -> ProtocolFacts:
        """Copies are timed; in the authors' protocol the next input is copied while one is computed."""
        return {
            "transfers": "timed",
            "zero_copy": False,
            "spin_wait": bool(options["spin_wait"]),
            "cuda_graph": bool(options["cuda_graph"]),
            "streams": 1,
            "overlap": options["protocol"] == "paper",
        }

    def _stated(self) -> Version | None:
        """The version of the target's option `tensorrt`; None where it has none."""
        told = self.target.options.get("tensorrt")
        if told is None:
            return None
        version = parse_version(str(told))
        if version is None:
            raise UsageError(
                f"option 'tensorrt' of target '{self.target.name}' is no version: {told!r}",
                'write it as tensorrt = "10.3"',
            )
        return version
