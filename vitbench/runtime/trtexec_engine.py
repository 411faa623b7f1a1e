"""trtexec and its engines on a device: one is built for a model, a version, a GPU and a precision."""

from __future__ import annotations

import contextlib
import secrets
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from vitbench.benchmark_model.lines import split, together
from vitbench.errors import UsageError, VitbenchError
from vitbench.export.manifest import DamagedArtifact, Manifest, hash_json, read_manifest
from vitbench.runtime.phone import repeated
from vitbench.transport.base import Completed, Transport
from vitbench.transport.posix.tree import read_tree
from vitbench.trtexec import place
from vitbench.trtexec.command import Build, build_command, check_known, precision_flags, unheld
from vitbench.trtexec.flags import HELP, Tool, read_help
from vitbench.trtexec.layers import EngineLayers, read_layers
from vitbench.trtexec.log import gpu_of, parse
from vitbench.trtexec.refusals import NoResult, Reason, diagnose

ASK_S = 60.0
# The libraries of TensorRT take long to load, and the first contact with a GPU may as well.
START_S = 180.0
BUILD_S = 2 * 3600.0
UNKNOWN_GPU = "unknown GPU"


@dataclass(frozen=True)
class Gpu:
    """A GPU as trtexec names it. `compute_capability` is None where it does not tell."""

    name: str
    compute_capability: str | None


@dataclass(frozen=True)
class Engine:
    """An engine on a device.

    Attributes:
        path: of it, there.
        made: whether it was built now, or kept from an earlier run.
        build_s: how long TensorRT took to build it; None for a kept one.
        layer_types: layers by the type they really compute in; empty where trtexec does not tell.
        layers: kinds of layers by their names; likewise.
        timing_cache: whether times of tactics of earlier builds could be taken; None for a kept engine.
        build_command: the command that makes it.
        note: what a version could not be told about its precision; None where nothing is amiss.
    """

    path: str
    made: Literal["built", "kept"]
    build_s: float | None = None
    layer_types: Mapping[str, int] = field(default_factory=dict)
    layers: Mapping[str, str] = field(default_factory=dict)
    timing_cache: bool | None = None
    build_command: tuple[str, ...] = ()
    note: str | None = None


def ask(transport: Transport, argv: Sequence[str], timeout_s: float = ASK_S) -> Completed:
    """Run a program that may be run again where the link breaks.

    Raises:
        ToolError: no such program, or it did not end in time.
        TargetUnreachable: the link stays lost.
    """
    return repeated(lambda: transport.execute(argv, timeout_s))


def fetch(transport: Transport, remote: str) -> str | None:
    """Text of a file on the device; None where there is none, or an empty one."""
    if ask(transport, ["test", "-s", remote]).returncode:
        return None
    with tempfile.TemporaryDirectory(prefix="vitbench-") as directory:
        local = Path(directory, "file")
        repeated(lambda: transport.pull(remote, local))
        return local.read_text(errors="replace")


def find_tool(transport: Transport, chosen: str | None) -> Tool:
    """The trtexec of a device: the one that was chosen, else the first that lies where they usually do.

    Raises:
        NoResult: the device has none, or it does not start, is something else, or too old.
        TargetUnreachable: the link was lost.
    """
    candidates = place.candidates(chosen)
    found = ask(transport, ["sh", "-c", place.FIND, "sh", *candidates]).stdout.strip().splitlines()
    if not found:
        where = f"as {chosen}" if chosen else "in any of its usual places"
        message = f"{transport.target.name} has no trtexec {where}"
        raise NoResult(Reason.NO_PROGRAM, message, place.WHERE_FROM)
    done = ask(transport, [found[0], HELP], START_S)
    return read_help(found[0], together(done.stdout, done.stderr, done.returncode), done.returncode)


def find_gpu(transport: Transport, tool: Tool, device: int) -> Gpu:
    """The GPU that trtexec computes on: it tells before it finds out that an engine is none.

    Raises:
        NoResult: there is none that TensorRT can use.
    """
    argv = [tool.program, "--loadEngine=/dev/null", f"--device={device}"]
    done = ask(transport, argv, START_S)
    text = together(done.stdout, done.stderr, done.returncode)
    told = gpu_of(text)
    if told is not None:
        return Gpu(*told)
    why = diagnose(split(text).all, done.returncode)
    if why.reason is Reason.ENGINE:
        return Gpu(UNKNOWN_GPU, None)
    raise why


def manifest_of(model: Path) -> Manifest:
    """What the artifact of a model file says of itself.

    Raises:
        UsageError: the file is of no artifact.
    """
    try:
        return read_manifest(model.parent.parent)
    except DamagedArtifact as damage:
        raise UsageError(
            f"{model} is of no artifact of vitbench: {damage}", "export the model anew"
        ) from None


class EngineShelf:
    """The engine of one model on one device.

    Args:
        model: the model file on this machine, in an artifact.
        options: what `Trtexec.load_options` gave.
    """

    def __init__(
        self, transport: Transport, tool: Tool, gpu: Gpu, model: Path, options: Mapping[str, Any]
    ) -> None:
        self._transport = transport
        self._tool = tool
        manifest = manifest_of(model)
        self._onnx = f"{transport.push(model.parent)}/{model.name}"
        wanted = Build(
            onnx=self._onnx,
            engine="",
            precision=manifest.precision,
            islands=tuple(getattr(manifest, "islands", ())),
            device=options["device"],
            paper=options["protocol"] == "paper",
        )
        self._place = _place(transport, _key(tool, gpu, model, wanted))
        # Times of tactics are of a version on a GPU, whatever the model. Taking them makes builds alike, so
        # that an engine which is to be another one is built without.
        timings = hash_json([str(tool.version), tool.version.build, gpu.name, gpu.compute_capability])[:16]
        shared = f"{self._place.rpartition('/')[0]}/{place.TIMINGS}-{timings}.cache"
        self._wanted = replace(wanted, timing_cache=shared if options["reuse_engine"] else None)

    @property
    def path(self) -> str:
        """Where the engine lies, or will."""
        return f"{self._place}/{place.ENGINE}"

    def kept(self) -> Engine | None:
        """The engine of an earlier run; None where there is none."""
        if ask(self._transport, ["test", "-s", self.path]).returncode:
            return None
        return self._engine("kept", None, self._command(self.path))

    def build(self) -> Engine:
        """Build the engine, whole or not at all; an earlier one is replaced.

        Raises:
            NoResult: TensorRT cannot build it; the last lines say why.
            TargetUnreachable: the link was lost.
        """
        partial = f"{self._place}/{place.PARTIAL}-{secrets.token_hex(8)}"
        argv = self._command(partial)
        try:
            done = self._transport.execute(argv, BUILD_S)
            log = parse(together(done.stdout, done.stderr, done.returncode), returncode=done.returncode)
            if ask(self._transport, ["mv", "-f", partial, self.path]).returncode:
                raise NoResult(
                    Reason.NO_SPACE, "trtexec passed, but left no engine", "make room on the device"
                )
        finally:
            with contextlib.suppress(VitbenchError):
                self._transport.execute(["rm", "-f", partial], ASK_S)
        return self._engine("built", log.built_s, argv)

    def _command(self, engine: str) -> list[str]:
        build = replace(self._wanted, engine=engine, layers=f"{self._place}/{place.LAYERS}")
        argv = build_command(self._tool, build)
        check_known(self._tool, argv)
        return argv

    def _engine(self, made: Literal["built", "kept"], build_s: float | None, argv: Sequence[str]) -> Engine:
        held = bool(self._wanted.islands) and not self._wanted.paper
        note = unheld(self._tool, self._wanted.precision) if held else None
        layers = self._layers()
        return Engine(
            path=self.path,
            made=made,
            build_s=build_s,
            layer_types=layers.output_types,
            layers={layer.name: layer.type for layer in layers.layers if layer.type is not None},
            timing_cache=self._wanted.timing_cache is not None if made == "built" else None,
            build_command=tuple(argv),
            note=note,
        )

    def _layers(self) -> EngineLayers:
        """What an engine consists of: told where it can be, and no reason to fail."""
        told = fetch(self._transport, f"{self._place}/{place.LAYERS}")
        with contextlib.suppress(NoResult):
            return EngineLayers((), ()) if told is None else read_layers(told)
        return EngineLayers((), ())


def _key(tool: Tool, gpu: Gpu, model: Path, build: Build) -> str:
    """Everything an engine depends on; the place of the model does not matter, its content does."""
    return hash_json(
        {
            "model": read_tree(model.parent).digest,
            "tensorrt": [str(tool.version), tool.version.build],
            "gpu": [gpu.name, gpu.compute_capability, build.device],
            "flags": [*precision_flags(tool, build), "paper" if build.paper else "noTF32"],
        }
    )[:32]


def _place(transport: Transport, key: str) -> str:
    """Directory of an engine on the device.

    Raises:
        UsageError: it cannot be made there.
    """
    done = ask(transport, ["sh", "-c", place.MAKE, "sh", key])
    where = done.stdout.strip()
    if done.returncode or not where.startswith("/"):
        raise UsageError(
            f"{transport.target.name} has no place for engines: {done.stderr.strip() or 'mkdir failed'}",
            "let the user there write to ~/.cache/vitbench, or set XDG_CACHE_HOME there",
        )
    return where
