"""Where others offer the tool. vitbench downloads nothing: an address is only told."""

from __future__ import annotations

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
BUILD = "bazel build -c opt --config=android_arm64 //tensorflow/lite/tools/benchmark:benchmark_model"
