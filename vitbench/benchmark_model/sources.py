"""Where others offer the tool. vitbench downloads nothing: an address is only told."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

_NIGHTLY = (
    "https://storage.googleapis.com/tensorflow-nightly-public/prod/tensorflow/release/lite/tools/nightly"
)
_LITERT = "https://storage.googleapis.com/litert/binaries"


@dataclass(frozen=True)
class Source:
    """One file that is offered: for which ABI, and what it is."""

    abi: str
    tool: str
    url: str


SOURCES = (
    Source("arm64-v8a", "TensorFlow Lite, nightly", f"{_NIGHTLY}/latest/android_aarch64_benchmark_model"),
    Source("armeabi-v7a", "TensorFlow Lite, nightly", f"{_NIGHTLY}/latest/android_arm_benchmark_model"),
    Source("arm64-v8a", "LiteRT, nightly", f"{_LITERT}/nightly/android_arm64/benchmark_model"),
)
# What the sources of TensorFlow call the ABIs.
_CONFIGS = {
    "arm64-v8a": "android_arm64",
    "armeabi-v7a": "android_arm",
    "x86_64": "android_x86_64",
    "x86": "android_x86",
}


def build_command(abis: Sequence[str]) -> str:
    """How to build the tool in the sources of TensorFlow, for the first known ABI, else for 64-bit Arm."""
    config = next((_CONFIGS[abi] for abi in abis if abi in _CONFIGS), _CONFIGS["arm64-v8a"])
    return f"bazel build -c opt --config={config} //tensorflow/lite/tools/benchmark:benchmark_model"
