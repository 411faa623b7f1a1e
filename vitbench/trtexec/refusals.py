"""Why a run of trtexec is no result: what it says when it fails, told in our words with the next step."""

from __future__ import annotations

import re
import signal
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from vitbench.benchmark_model.refusals import CANNOT_START, SIGNAL_BASE, last_lines
from vitbench.errors import ToolError


class Reason(StrEnum):
    """Kind of a failure, for callers that treat some of them differently."""

    OLD_LAYOUT = "old-layout"
    UNKNOWN_FLAGS = "unknown-flags"
    NO_PROGRAM = "no-program"
    NO_LIBRARY = "no-library"
    NO_GPU = "no-gpu"
    MODEL = "model"
    TYPES = "types"
    OPERATOR = "operator"
    ENGINE = "engine"
    INPUTS = "inputs"
    MEMORY = "memory"
    NO_SPACE = "no-space"
    CRASHED = "crashed"
    KILLED = "killed"
    FAILED = "failed"
    TRUNCATED = "truncated"
    CUT_SHORT = "cut-short"
    AMBIGUOUS = "ambiguous"
    CONTRADICTORY = "contradictory"
    OTHER_OPTIONS = "other-options"
    MALFORMED = "malformed"


class NoResult(ToolError):
    """A run of `trtexec` gave no result that can be used; `reason` is its kind."""

    def __init__(self, reason: Reason, message: str, hint: str | None = None, *, tail: str = "") -> None:
        super().__init__(message, hint, tail=tail)
        self.reason = reason


# A build that goes well warns of tactics that lack memory, and explains at length what fails how.
_HARMLESS = re.compile(r"&&&& |\[[VIW]\]")


@dataclass(frozen=True)
class _Refusal:
    """A sentence of the tool, of TensorRT or of the loader, and what it means."""

    pattern: re.Pattern[str]
    reason: Reason
    message: str
    hint: str


def _refusal(pattern: str, reason: Reason, message: str, hint: str) -> _Refusal:
    return _Refusal(re.compile(pattern, re.IGNORECASE), reason, message, hint)


_DRIVER = (
    "see that the GPU's driver is loaded and fits this TensorRT (`nvidia-smi`; on a Jetson `tegrastats`)"
)
_REBUILD = "an engine is good for one version and one kind of GPU: build it anew where it runs"

# In order: the first that is found says most.
_REFUSALS = (
    _refusal(
        r"unknown options?\b\s*:?\s*(?P<flags>\S.*)",
        Reason.UNKNOWN_FLAGS,
        "trtexec does not know {flags}",
        "its version may be newer than vitbench knows: `trtexec --help` lists what it takes",
    ),
    _refusal(
        r"error while loading shared libraries: (?P<library>[^\s:]+)",
        Reason.NO_LIBRARY,
        "trtexec cannot find the library {library}",
        "name a script that sets LD_LIBRARY_PATH and runs trtexec, as the target's option `trtexec`",
    ),
    _refusal(
        r"no cuda-capable device|cuda initialization failure|cuda driver version is insufficient"
        r"|no cuda device|cuinit failed|(?:selected )?device.* is (?:busy|unavailable)"
        r"|unable to determine (?:device|gpu)|libcuda\.so",
        Reason.NO_GPU,
        "TensorRT finds no GPU that it can use",
        _DRIVER,
    ),
    _refusal(
        r"must have (?:the )?same (?:input )?types?\b|mixed (?:data )?types",
        Reason.TYPES,
        "the model mixes types where TensorRT wants one: it has no cast there",
        "export it anew; a graph of another origin needs its casts written out",
    ),
    _refusal(
        r"(?:no importer registered for op|unsupported operator|plugin not found)\W*(?P<op>[\w.]*)",
        Reason.OPERATOR,
        "this TensorRT has no operator {op}",
        "use a newer TensorRT, or export the model for an older one",
    ),
    _refusal(
        r"serialization (?:error|assertion)|version tag does not match|engine plan file is not compatible"
        r"|(?:is )?incompatible (?:device|with this version)|magic ?tag|deserialize\w* .*fail"
        r"|engine deserialization failed|error (?:loading|opening|reading) engine|empty engine",
        Reason.ENGINE,
        "TensorRT does not load the engine",
        _REBUILD,
    ),
    _refusal(
        r"out ?of ?memory|requested amount of gpu memory|bad_alloc|cuda failure: 2\b|insufficient memory",
        Reason.MEMORY,
        "TensorRT ran out of memory",
        "end what else uses the GPU, or take a smaller resolution or batch",
    ),
    _refusal(
        r"no space left on device|failed to write (?:engine|timing cache)",
        Reason.NO_SPACE,
        "there is no space for the engine on the device",
        "make room in the cache directory of vitbench there",
    ),
    _refusal(
        r"could not find any implementation for node (?P<node>.+?)\.?$",
        Reason.OPERATOR,
        "TensorRT has no implementation of {node} under these constraints",
        "use another precision, or a newer TensorRT",
    ),
    _refusal(
        r"(?:cannot find|unknown|invalid) input (?:tensor|binding)|input.* (?:file|size) .*mismatch"
        r"|(?:could not|cannot) (?:open|read) (?:the )?file .*\.bin",
        Reason.INPUTS,
        "trtexec does not take the inputs it was given",
        "the engine is of another model: build it anew",
    ),
    _refusal(
        r"failed to parse (?:the )?onnx|could not parse|parsing model failed|modelimporter\.\w+:\d+: error"
        r"|could not open (?:the )?file|network has dynamic|invalid(?:_| )?(?:graph|model|node)",
        Reason.MODEL,
        "TensorRT does not take the model",
        "TensorRT 8 reads opsets up to 17; the last lines name what it stumbled over",
    ),
    _refusal(
        r"assertion [`'\"]?(?P<what>.*?)['\"]? failed",
        Reason.CRASHED,
        "TensorRT gave up: the assertion {what} failed",
        "it is a fault of this version: use another TensorRT, or another precision",
    ),
    _refusal(
        r"not found|no such file",
        Reason.NO_PROGRAM,
        "the device has no such trtexec",
        "name its path as the target's option `trtexec`",
    ),
)


def diagnose(lines: Sequence[str], returncode: int | None = None) -> NoResult:
    """Say why a run that failed did, as well as its output tells.

    Args:
        lines: output of the program, both streams, one line each.
        returncode: exit status; negative, or above 128, where a signal killed it. None where unknown.
    """
    number = _signal(returncode)
    if number == signal.SIGKILL:
        hint = "systems do that when memory runs out: end other programs, or take a smaller resolution"
        return NoResult(Reason.KILLED, "the device killed trtexec (signal 9)", hint, tail=last_lines(lines))
    found = _told(lines, returncode)
    if found is not None:
        return found
    if number is not None:
        name = next((each.name for each in signal.Signals if each == number), "unknown")
        message = f"trtexec crashed with signal {number} ({name})"
        hint = "another version of TensorRT, or another precision, may do better"
        return NoResult(Reason.CRASHED, message, hint, tail=last_lines(lines))
    status = "" if returncode in (None, 0) else f" with status {returncode}"
    hint = "its last lines are all it tells; run it by hand with --verbose"
    message = f"trtexec failed{status} and does not say why"
    return NoResult(Reason.FAILED, message, hint, tail=last_lines(lines))


def _told(lines: Sequence[str], returncode: int | None) -> NoResult | None:
    """The first refusal, in their order, that an error has, or a line of no severity."""
    telling = [line for line in lines if not _HARMLESS.search(line)]
    for refusal in _REFUSALS:
        if refusal.reason is Reason.NO_PROGRAM and returncode not in CANNOT_START:
            continue
        for line in telling:
            if match := refusal.pattern.search(line):
                groups = {name: (value or "").strip() for name, value in match.groupdict().items()}
                message = refusal.message.format_map(groups).rstrip(" :.")
                return NoResult(refusal.reason, message, refusal.hint, tail=last_lines(lines, line))
    return None


def _signal(returncode: int | None) -> int | None:
    """Number of the signal that ended a program; None where none did."""
    if returncode is None:
        return None
    number = -returncode if returncode < 0 else returncode - SIGNAL_BASE
    return number if 0 < number < signal.NSIG else None
