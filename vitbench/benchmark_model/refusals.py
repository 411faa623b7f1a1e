"""Why a run of the tool is no result: what it says when it fails, told in our words with the next step."""

from __future__ import annotations

import re
import signal
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from vitbench.errors import ToolError

TAIL_LINES = 15
# What a shell answers when it cannot start a program, and what it adds to the number of a signal.
CANNOT_START = (126, 127)
SIGNAL_BASE = 128


class Reason(StrEnum):
    """Kind of a failure, for callers that treat some of them differently."""

    OLD_TOOL = "old-tool"
    UNKNOWN_FLAGS = "unknown-flags"
    BAD_FLAGS = "bad-flags"
    DELEGATE = "delegate"
    MODEL = "model"
    OPERATOR = "operator"
    NOT_EXECUTABLE = "not-executable"
    NO_PROGRAM = "no-program"
    DENIED = "denied"
    AFFINITY = "affinity"
    NO_SPACE = "no-space"
    MEMORY = "memory"
    KILLED = "killed"
    CRASHED = "crashed"
    FAILED = "failed"
    CUT_SHORT = "cut-short"
    TRUNCATED = "truncated"
    AMBIGUOUS = "ambiguous"
    CONTRADICTORY = "contradictory"
    MALFORMED = "malformed"


class NoResult(ToolError):
    """A run of `benchmark_model` gave no result that can be used; `reason` is its kind."""

    def __init__(self, reason: Reason, message: str, hint: str | None = None, *, tail: str = "") -> None:
        super().__init__(message, hint, tail=tail)
        self.reason = reason


@dataclass(frozen=True)
class _Refusal:
    """A sentence of the tool, the shell or the loader, and what it means.

    `message` and `hint` may name the groups of the pattern. `always` marks what spoils a run even where the
    tool goes on and prints figures.
    """

    pattern: re.Pattern[str]
    reason: Reason
    message: str
    hint: str
    always: bool = False


def _refusal(pattern: str, reason: Reason, message: str, hint: str, *, always: bool = False) -> _Refusal:
    return _Refusal(re.compile(pattern, re.IGNORECASE), reason, message, hint, always)


_NEWER = "use a newer benchmark_model, or export the model for an older runtime"
_ABI = "use the benchmark_model of the phone's ABI: `adb shell getprop ro.product.cpu.abilist` names it"
_SHELL = r"^(?:\S*/)?(?:sh|mksh|bash|taskset|env|exec)\b.*"

# In order: the first that is found says most.
_REFUSALS = (
    _refusal(
        r"unconsumed cmdline flags:\s*(?P<flags>.*\S)",
        Reason.UNKNOWN_FLAGS,
        "benchmark_model does not know {flags}",
        "its defaults would have been timed instead: use a build of benchmark_model that knows them",
        always=True,
    ),
    _refusal(
        r"didn't find op for builtin opcode '(?P<op>\w+)' version '(?P<version>\d+)'",
        Reason.OLD_TOOL,
        "benchmark_model is older than the model: it has no version {version} of {op}",
        _NEWER,
    ),
    _refusal(
        r"(?:unsupported|unknown|invalid) (?:builtin )?op(?:erator)? ?code\b",
        Reason.OLD_TOOL,
        "benchmark_model is older than the model: it does not know one of its operators",
        _NEWER,
    ),
    _refusal(
        r"(?:select tensorflow op|regular tensorflow ops are not|unresolved custom op)[^:]*:?\s*(?P<op>.*)",
        Reason.OPERATOR,
        "the model needs an operator that this benchmark_model was built without: {op}",
        "use the build with flex operators (`_plus_flex`), or export the model with builtin operators only",
    ),
    _refusal(
        r"failed to apply (?:the )?(?P<delegate>.+?) delegate",
        Reason.DELEGATE,
        "the {delegate} delegate could not be applied to the model",
        "run without it (`xnnpack = false` in the target's options), or use another build of the tool",
        always=True,
    ),
    _refusal(
        r"restored original execution plan after delegate application failure|disallowed cpu fallback",
        Reason.DELEGATE,
        "a delegate could not be applied, so that something else would have been timed",
        "run without it (`xnnpack = false` in the target's options), or use another build of the tool",
        always=True,
    ),
    _refusal(
        r"only position independent executables|unexpected e_type|has bad elf magic",
        Reason.NOT_EXECUTABLE,
        "the phone's loader refuses this benchmark_model",
        _ABI,
    ),
    _refusal(
        r"not executable: (?P<what>.*\S)",
        Reason.NOT_EXECUTABLE,
        "the phone cannot execute this benchmark_model: it is a {what}",
        _ABI,
    ),
    _refusal(
        r"exec format error|cannot execute binary file|wrong elf class|is for EM_\w+ .*instead of EM_",
        Reason.NOT_EXECUTABLE,
        "this benchmark_model is for another kind of processor",
        _ABI,
    ),
    _refusal(
        r"cannot link executable|error while loading shared libraries",
        Reason.NOT_EXECUTABLE,
        "benchmark_model needs a library that the phone does not have",
        "use a statically linked build: the nightly builds for Android are",
    ),
    _refusal(
        r"taskset: (?:.*affinity|bad mask|failed to set)|sched_setaffinity|invalid mask",
        Reason.AFFINITY,
        "the phone refuses to run on the cores that were asked for",
        "cores may be offline: choose another cluster, or none",
    ),
    _refusal(
        _SHELL + r"permission denied",
        Reason.DENIED,
        "the phone does not let benchmark_model be executed",
        "it must lie under /data/local/tmp with mode 755",
    ),
    _refusal(
        _SHELL + r"(?:inaccessible or not found|no such file or directory|: not found)",
        Reason.NO_PROGRAM,
        "there is no such program on the phone, or its loader is missing",
        "push it again; a build for Linux does not start on Android",
    ),
    _refusal(
        r"no space left on device",
        Reason.NO_SPACE,
        "the phone has no space left",
        "free some: `adb shell rm -r /data/local/tmp/vitbench`",
    ),
    _refusal(
        r"could not open '?(?P<path>[^']*?)'?\.?$",
        Reason.MODEL,
        "benchmark_model could not open {path}",
        "the model must be readable for the shell user: push it to /data/local/tmp",
    ),
    _refusal(
        r"valid flatbuffer|should be 'TFL3'|(?:file|model) is empty|mmap of .* failed|verif\w+ .*flatbuffer",
        Reason.MODEL,
        "the model is no TensorFlow Lite model",
        "export it again; a file that was pushed half looks like that",
    ),
    _refusal(
        r"failed to (?:load|compile|initialize) (?:the )?model(?: loader with path)?\b[ :.]*(?P<path>\S*)",
        Reason.MODEL,
        "benchmark_model could not load the model {path}",
        "the lines above say why; a model that is newer than the tool looks like that",
    ),
    _refusal(
        r"signature not specified or incorrect|invalid signature",
        Reason.MODEL,
        "the model has several signatures, and none was named",
        "export the model with one signature",
    ),
    _refusal(
        r"std::bad_alloc|out of memory|cannot allocate memory|failed to allocate (?:tensors|memory)",
        Reason.MEMORY,
        "benchmark_model could not have the memory that the model needs",
        "close other apps, or take a smaller resolution",
    ),
    _refusal(
        r"failed to parse flag '(?P<flag>[^']*)'",
        Reason.BAD_FLAGS,
        "benchmark_model refuses the value of --{flag}",
        "use a build of benchmark_model that knows this flag with such values",
    ),
    _refusal(
        r"node number \d+ \((?P<op>\w+)\) failed to (?P<did>prepare|invoke)",
        Reason.OPERATOR,
        "operator {op} failed to {did}",
        "run without XNNPACK (`xnnpack = false` in the target's options) to see whose fault it is",
    ),
    _refusal(
        r"permission denied",
        Reason.DENIED,
        "the phone denied benchmark_model something it needs",
        "keep everything under /data/local/tmp",
    ),
)
_FAILED = re.compile(r"benchmarking failed", re.IGNORECASE)
_USAGE = re.compile(r"\busage: \S+ <flags>")
_KILLED = re.compile(r"^\s*killed\s*$", re.IGNORECASE)

_FAULTS: dict[int, str] = {
    signal.SIGILL: "the processor does not know one of its instructions: use another build",
    signal.SIGABRT: "the lines above may say why; another build of benchmark_model may do better",
    signal.SIGSEGV: "another build of benchmark_model may do better",
    signal.SIGBUS: "the model may have been pushed half: push it again",
}


def diagnose(lines: Sequence[str], returncode: int | None = None) -> NoResult | None:
    """Say why a run failed; None where nothing speaks against it.

    Args:
        lines: output of the program, both streams, one line each.
        returncode: exit status; negative, or above 128, where a signal killed it. None where unknown.
    """
    failed = returncode not in (None, 0) or any(_FAILED.search(line) for line in lines)
    found = _first(lines, always_only=not failed)
    if found is None and failed:
        found = _unexplained(lines, returncode)
    return found


def explain_silence(lines: Sequence[str]) -> NoResult | None:
    """Say why figures are missing from an output in which nothing is reported as failed."""
    killed = _killed(signal.SIGKILL, lines) if any(map(_KILLED.match, lines)) else None
    return _first(lines, always_only=False) or killed


def last_lines(lines: Sequence[str], telling: str = "") -> str:
    """The last lines that say anything, and before them the telling one where it is further up."""
    said = [line.rstrip() for line in lines if line.strip()][-TAIL_LINES:]
    return "\n".join(said if telling.rstrip() in ("", *said) else [telling.rstrip(), *said[1:]])


def _first(lines: Sequence[str], *, always_only: bool) -> NoResult | None:
    for refusal in _REFUSALS:
        if always_only and not refusal.always:
            continue
        for line in lines:
            if match := refusal.pattern.search(line):
                groups = {name: (value or "").strip() for name, value in match.groupdict().items()}
                message = refusal.message.format_map(groups).rstrip(" :.")
                return NoResult(refusal.reason, message, refusal.hint, tail=last_lines(lines, line))
    return None


def _unexplained(lines: Sequence[str], returncode: int | None) -> NoResult:
    """A failure of which no sentence tells the reason."""
    tail = last_lines(lines)
    if returncode in CANNOT_START:
        return NoResult(Reason.NOT_EXECUTABLE, "the phone could not start benchmark_model", _ABI, tail=tail)
    if (number := _signal(returncode)) is not None:
        return _killed(number, lines)
    if any(_USAGE.search(line) for line in lines):
        message = "benchmark_model refuses its command line"
        return NoResult(Reason.BAD_FLAGS, message, "use a build of benchmark_model that knows it", tail=tail)
    status = "" if returncode is None else f" with status {returncode}"
    hint = "its last lines are all it tells; run it by hand with --verbose=true"
    return NoResult(Reason.FAILED, f"benchmark_model failed{status} and does not say why", hint, tail=tail)


def _signal(returncode: int | None) -> int | None:
    if returncode is None:
        return None
    number = -returncode if returncode < 0 else returncode - SIGNAL_BASE
    return number if 0 < number < signal.NSIG else None


def _killed(number: int, lines: Sequence[str]) -> NoResult:
    tail = last_lines(lines)
    if number == signal.SIGKILL:
        hint = "phones do that when memory runs out: close other apps, or take a smaller resolution"
        return NoResult(Reason.KILLED, "the phone killed benchmark_model (signal 9)", hint, tail=tail)
    name = next((each.name for each in signal.Signals if each == number), "unknown")
    if number in _FAULTS:
        message = f"benchmark_model crashed with signal {number} ({name})"
        return NoResult(Reason.CRASHED, message, _FAULTS[number], tail=tail)
    message = f"benchmark_model was ended by signal {number} ({name})"
    return NoResult(Reason.KILLED, message, "somebody ended it: run it again", tail=tail)
