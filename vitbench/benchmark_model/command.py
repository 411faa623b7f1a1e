"""The command line of either tool. Nothing that bears on what is timed is left to a default."""

from __future__ import annotations

import math
from dataclasses import dataclass

from vitbench.benchmark_model.flags import Flags
from vitbench.errors import UsageError

RESULT_FILE = "result_file_path"
NEWER = "use a newer build of benchmark_model"


@dataclass(frozen=True)
class Invocation:
    """One run of the tool: exactly `warmup_runs`, then exactly `num_runs` inferences.

    Either part ends before its count once it has taken `max_s` seconds, which shows in the count it reports.
    `mask` is the set of CPUs it may run on, one bit each; None for all. Watching the peak memory takes a
    thread of the tool, beside the inference.
    """

    graph: str
    threads: int
    num_runs: int
    warmup_runs: int
    max_s: float
    xnnpack: bool = True
    peak_memory: bool = False
    result_file: str | None = None
    mask: int | None = None


def command(program: str, invocation: Invocation, flags: Flags) -> list[str]:
    """The program and its arguments, unquoted.

    Args:
        program: path of the tool on the device.
        flags: what this build knows, from `vitbench.benchmark_model.flags.read_help`. A flag that it does
            not know and need not (it has no such default either) is left out: `--min_secs` in TF 1.12.

    Raises:
        UsageError: something is asked for that no such build can do, or a number makes no sense.
    """
    _check(invocation)
    wanted = _common(invocation) | (_litert if flags.dialect == "litert" else _tflite)(invocation, flags)
    given = [f"--{name}={value}" for name, value in wanted.items() if flags.knows(name)]
    return [*_affinity(invocation), program, *given]


def writes_result_file(flags: Flags) -> bool:
    """Whether this build can write its result to a file, as `Invocation.result_file` asks."""
    return flags.knows(RESULT_FILE)


def _common(invocation: Invocation) -> dict[str, str]:
    found = {
        "graph": invocation.graph,
        "num_threads": str(invocation.threads),
        "num_runs": str(invocation.num_runs),
        "min_secs": "0",
        "max_secs": f"{invocation.max_s:g}",
        "warmup_runs": str(invocation.warmup_runs),
        "warmup_min_secs": "0",
        "run_delay": "-1",
        "run_frequency": "-1",
        "use_caching": "false",
        "dry_run": "false",
        "use_gpu": "false",
        "require_full_delegation": "false",
        "allow_fp16": "false",
        "report_peak_memory_footprint": _bool(invocation.peak_memory),
    }
    return found if invocation.result_file is None else {**found, RESULT_FILE: invocation.result_file}


def _tflite(invocation: Invocation, flags: Flags) -> dict[str, str]:
    """XNNPACK said either way: unsaid, newer builds apply it by themselves, and do not say to what part."""
    if invocation.xnnpack and not flags.knows("use_xnnpack"):
        raise UsageError("this benchmark_model is older than XNNPACK: it has no --use_xnnpack", NEWER)
    return {
        "use_xnnpack": _bool(invocation.xnnpack),
        "xnnpack_force_fp16": "false",
        "use_nnapi": "false",
        "use_hexagon": "false",
        "use_coreml": "false",
        "enable_op_profiling": "false",
        "disable_delegate_clustering": "false",
        "release_dynamic_tensors": "false",
        "optimize_memory_for_large_tensors": "0",
    }


def _litert(invocation: Invocation, flags: Flags) -> dict[str, str]:
    """One accelerator. Early builds pass over --num_threads: there only a mask keeps threads to a number."""
    if not invocation.xnnpack:
        raise UsageError(
            "LiteRT's benchmark_model runs a CPU with XNNPACK only",
            "use the benchmark_model of TensorFlow Lite, or leave XNNPACK on",
        )
    if not flags.knows("use_cpu"):
        raise UsageError("this benchmark_model of LiteRT has no --use_cpu", NEWER)
    return {
        "use_cpu": "true",
        "use_npu": "false",
        "use_profiler": "false",
        "enable_perfetto": "false",
        "enable_weight_sharing": "false",
    }


def _affinity(invocation: Invocation) -> list[str]:
    """The prefix that binds the tool to CPUs; toybox wants the mask in hexadecimal, without 0x."""
    return [] if invocation.mask is None else ["taskset", f"{invocation.mask:x}"]


def _check(invocation: Invocation) -> None:
    if not invocation.graph:
        raise UsageError("benchmark_model needs a model")
    if invocation.num_runs < 1 or invocation.warmup_runs < 0:
        counts = f"{invocation.num_runs} inferences after {invocation.warmup_runs} of warm-up"
        raise UsageError(f"benchmark_model cannot run {counts}", "ask for at least one inference")
    if not (math.isfinite(invocation.max_s) and invocation.max_s > 0):
        raise UsageError(f"benchmark_model cannot be allowed {invocation.max_s:g} s", "allow it some time")
    if invocation.threads < 1:
        raise UsageError(
            f"benchmark_model cannot run on {invocation.threads} threads", "ask for at least one"
        )
    if invocation.mask is not None:
        _check_mask(invocation.mask, invocation.threads)


def _check_mask(mask: int, threads: int) -> None:
    if mask < 1:
        raise UsageError(f"a mask of CPUs cannot be {mask}", "name at least one CPU")
    if threads > mask.bit_count():
        raise UsageError(
            f"{threads} threads do not fit on the {mask.bit_count()} CPUs of mask {mask:x}",
            "ask for fewer threads, or for a larger cluster",
        )


def _bool(value: bool) -> str:
    return "true" if value else "false"
