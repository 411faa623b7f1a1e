"""The command line of each version. Nothing that bears on what is timed is left to a default.

TensorRT 11 turned three defaults round: it times without copies, launches a CUDA graph and spins. Flags by
version: `--buildOnly` became `--skipInference` and `--streams` `--infStreams` in 8.6; several percentiles
came in 8.5; fp16 is a flag before 10, and in the graph's own types from 10 on (`--stronglyTyped`, which 11
has always on). Layers that must stay in fp32 are held by name before 10.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from vitbench.errors import UsageError
from vitbench.trtexec.flags import Tool
from vitbench.trtexec.timing import PAPER, Timing
from vitbench.trtexec.version import Version

TYPED, FLIPPED = Version(10, 0), Version(11, 0)
RENAMED, PERCENTILES = Version(8, 6), Version(8, 5)
# What separates names, types and paths in one flag.
_SEPARATORS = ",:'\""
_HOLDING = ("precisionConstraints", "layerPrecisions", "layerOutputTypes")
AVERAGES = 10


@dataclass(frozen=True)
class Build:
    """An engine to be made: paths on the device, precision, and the layers that stay in fp32.

    `paper`: as the authors of EfficientViT made theirs, whose command holds no layer, leaves TF32 on, and
    names no GPU: another one than the first is named all the same.
    """

    onnx: str
    engine: str
    precision: Literal["fp32", "fp16"]
    islands: tuple[str, ...] = ()
    timing_cache: str | None = None
    layers: str | None = None
    device: int = 0
    paper: bool = False


@dataclass(frozen=True)
class Run:
    """An engine to be timed: paths on the device. `inputs` are pairs of a name and a file.

    `paper`: with the flags of the authors of EfficientViT and no others of what is timed; see `Build`.
    """

    engine: str
    timing: Timing
    inputs: tuple[tuple[str, str], ...] = ()
    times: str | None = None
    outputs: str | None = None
    profile: str | None = None
    device: int = 0
    paper: bool = False


def build_command(tool: Tool, build: Build) -> list[str]:
    """The program and its arguments that make an engine and time nothing, unquoted.

    Raises:
        UsageError: a layer's name cannot be told to trtexec.
    """
    skip = "--skipInference" if tool.version >= RENAMED else "--buildOnly"
    flags = [f"--onnx={build.onnx}", f"--saveEngine={build.engine}", skip]
    flags += precision_flags(tool, build)
    flags += _device_flags(build)
    if not build.paper:
        flags += ["--noTF32"] * tool.knows("noTF32")
    if build.timing_cache is not None:
        flags += [f"--timingCacheFile={build.timing_cache}"] * tool.knows("timingCacheFile")
    if build.layers is not None and tool.knows("exportLayerInfo"):
        flags += ["--profilingVerbosity=detailed"] * tool.knows("profilingVerbosity")
        flags.append(f"--exportLayerInfo={build.layers}")
    return [tool.program, *flags]


def precision_flags(tool: Tool, build: Build) -> list[str]:
    """What makes an engine compute in the precision of its artifact."""
    if tool.version >= FLIPPED:
        return []
    if tool.version >= TYPED:
        return ["--stronglyTyped"]
    if build.precision == "fp32":
        return []
    if build.paper or not build.islands or unheld(tool, build.precision):
        return ["--fp16"]
    held = ",".join(f"{_name(layer)}:fp32" for layer in build.islands)
    return [
        "--fp16",
        "--precisionConstraints=obey",
        f"--layerPrecisions={held}",
        f"--layerOutputTypes={held}",
    ]


def unheld(tool: Tool, precision: str) -> str | None:
    """What a version cannot hold in fp32, in words; None where it can, or has nothing to hold.

    Before 10.0 TensorRT chooses types by itself. Without flags for single layers it may compute in half what
    the graph has in fp32, which then shows in the check of its outputs alone.
    """
    if tool.version >= TYPED or precision == "fp32" or all(map(tool.knows, _HOLDING)):
        return None
    return (
        f"trtexec of TensorRT {tool.version} cannot hold single layers in fp32: it may compute in half "
        "what the graph has in fp32"
    )


def run_command(tool: Tool, run: Run) -> list[str]:
    """The program and its arguments that time an engine, unquoted.

    Raises:
        UsageError: an input's name or path cannot be told to trtexec.
    """
    flags = [f"--loadEngine={run.engine}", *_device_flags(run)]
    flags += paper_flags(tool) if run.paper else _flags_of(tool, run.timing)
    if run.inputs:
        pairs = ",".join(f"{_name(name)}:{_path(path)}" for name, path in run.inputs)
        flags.append(f"--loadInputs={pairs}")
    files = {"exportTimes": run.times, "exportOutput": run.outputs, "exportProfile": run.profile}
    flags += [f"--{name}={path}" for name, path in files.items() if path is not None and tool.knows(name)]
    return [tool.program, *flags]


def paper_command(tool: Tool, onnx: str) -> list[str]:
    """The one command of the authors of EfficientViT, which builds and times: word by word before 10.0.

    vitbench builds first and times then, so that every block times the same engine.
    """
    fp16 = [] if tool.version < TYPED else precision_flags(tool, Build(onnx, "", "fp16", paper=True))
    return [tool.program, *paper_flags(tool), *fp16, f"--onnx={onnx}"]


def paper_flags(tool: Tool) -> list[str]:
    """What the authors told trtexec; from 10.0 on also what TensorRT 8 did where they told nothing."""
    if tool.version < TYPED:
        return ["--separateProfileRun", f"--iterations={PAPER.iterations}", "--duration=0", "--fp16"]
    return _flags_of(tool, PAPER)


def _device_flags(wanted: Build | Run) -> list[str]:
    return [] if wanted.paper and wanted.device == 0 else [f"--device={wanted.device}"]


def _flags_of(tool: Tool, timing: Timing) -> list[str]:
    percentiles = "50,90,95,99" if tool.version >= PERCENTILES else "99"
    streams = "--infStreams" if tool.version >= RENAMED else "--streams"
    flags = [
        f"--iterations={timing.iterations}",
        "--duration=0",
        f"--warmUp={timing.warmup_ms}",
        f"--avgRuns={AVERAGES}",
        f"--percentile={percentiles}",
        f"{streams}={timing.streams}",
    ]
    if not timing.overlap:
        flags.append("--exposeDMA")
    return flags + (_flipped(timing) if tool.version >= FLIPPED else _plain(timing))


def _plain(timing: Timing) -> list[str]:
    """Before 11: copies are timed, there is no graph, no spinning, and profiles are taken in between."""
    said = {
        "--noDataTransfers": not timing.transfers,
        "--useCudaGraph": timing.cuda_graph,
        "--useSpinWait": timing.spin_wait,
        "--separateProfileRun": True,
    }
    return [flag for flag, given in said.items() if given]


def _flipped(timing: Timing) -> list[str]:
    """From 11 on: the other way round, and profiles are always taken apart."""
    said = {
        "--includeDataTransfers": timing.transfers,
        "--noCudaGraph": not timing.cuda_graph,
        "--noSpinWait": not timing.spin_wait,
    }
    return [flag for flag, given in said.items() if given]


def _name(name: str) -> str:
    if not name or any(sign in name for sign in _SEPARATORS):
        raise UsageError(
            f"the name {name!r} cannot be told to trtexec: it has a sign that separates names there",
            "rename it in the graph",
        )
    return name


def _path(path: str) -> str:
    if any(sign in path for sign in _SEPARATORS):
        raise UsageError(
            f"the path {path} cannot be told to trtexec: it has a sign that separates names there",
            "use a home directory, here or on the device, without commas, colons and quotes",
        )
    return path


def check_known(tool: Tool, command: Sequence[str]) -> None:
    """Check that a trtexec lists every flag of a command, so that none is passed over.

    Raises:
        UsageError: one is not among those of its `--help`.
    """
    names = [argument.removeprefix("--").partition("=")[0] for argument in command[1:]]
    unknown = [f"--{name}" for name in names if not tool.knows(name)]
    if unknown:
        raise UsageError(
            f"trtexec of TensorRT {tool.version} does not list {', '.join(unknown)}",
            "it is newer than vitbench knows; use the tensorrt runtime, or another TensorRT",
        )
