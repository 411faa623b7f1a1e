"""Flags that not every build of the tool has, and what it means for a measurement where one is absent."""

from __future__ import annotations

from collections.abc import Mapping

from vitbench.benchmark_model.flags import Dialect, Flags

_COMMON = {
    "min_secs": "iterations are exactly as many as were asked for",
    "max_secs": "a series that takes too long ends by itself",
    "warmup_min_secs": "the warm-up is exactly as long as was asked for",
    "result_file_path": "figures come from a file with more digits than the text",
}
_OWN: Mapping[Dialect, Mapping[str, str]] = {
    "tflite": {"use_xnnpack": "XNNPACK runs the model, and says what part of it"},
    "litert": {"use_cpu": "the CPU runs the model"},
}


def meanings(dialect: Dialect) -> dict[str, str]:
    """The flags that matter, by name: what having it means."""
    return {**_OWN[dialect], **_COMMON}


def missing(flags: Flags) -> list[str]:
    """Those that a build does not know, as they are written: `--result_file_path`."""
    return [f"--{name}" for name in meanings(flags.dialect) if not flags.knows(name)]
