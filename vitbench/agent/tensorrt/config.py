"""The builder's configuration: every setting that can change an engine is set."""

from __future__ import annotations

from typing import Any, Dict, List, Optional, Tuple

from . import versions
from .options import BuildOptions

MB = 1 << 20
# Libraries that a program need not bring along, and whose tactics therefore vary from board to board.
OTHERS_TACTICS = ("CUBLAS", "CUBLAS_LT", "CUDNN")


def create(trt: Any, builder: Any, numbers: Tuple[int, int], options: BuildOptions) -> Any:
    """A configuration.

    Before strong typing, fp16 is allowed where the graph has it, and the constraints of layers are binding.
    Layers keep their names and details in the engine, so that the very engine that is timed can be profiled.
    """
    config = builder.create_builder_config()
    config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, options.workspace_mb * MB)
    config.profiling_verbosity = trt.ProfilingVerbosity.DETAILED
    config.avg_timing_iterations = options.avg_timing
    if hasattr(config, "builder_optimization_level"):  # from 8.6 on
        config.builder_optimization_level = options.optimization_level
    _set(config, trt.BuilderFlag.TF32, options.tf32)
    if options.precision == "fp16" and not versions.strongly_typed(numbers):
        config.set_flag(trt.BuilderFlag.FP16)
        config.set_flag(trt.BuilderFlag.OBEY_PRECISION_CONSTRAINTS)
    if hasattr(config, "set_tactic_sources"):
        config.set_tactic_sources(_own_tactics(trt))
    return config


def describe(trt: Any, config: Any, numbers: Tuple[int, int]) -> Dict[str, Any]:
    """What a configuration says of itself: `flags`, `tactic_sources`, `optimization_level`."""
    return {
        "flags": sorted(name for name, flag in _members(trt.BuilderFlag).items() if config.get_flag(flag)),
        "tactic_sources": _sources(trt, config),
        "optimization_level": getattr(config, "builder_optimization_level", None),
    }


def _set(config: Any, flag: Any, wanted: bool) -> None:
    if wanted:
        config.set_flag(flag)
    else:
        config.clear_flag(flag)


def _own_tactics(trt: Any) -> int:
    """Bits of every source of tactics but other libraries."""
    bits = 0
    for name, source in _members(trt.TacticSource).items():
        if name not in OTHERS_TACTICS:
            bits |= 1 << int(source)
    return bits


def _sources(trt: Any, config: Any) -> Optional[List[str]]:
    """Names of the sources of tactics that are used; None where the version has no such setting."""
    if not hasattr(config, "get_tactic_sources"):
        return None
    bits = config.get_tactic_sources()
    return sorted(name for name, source in _members(trt.TacticSource).items() if bits >> int(source) & 1)


def _members(enumeration: Any) -> Dict[str, Any]:
    return dict(enumeration.__members__)
