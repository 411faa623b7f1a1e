"""What is timed and how: the part of a trtexec run that decides whether two figures can be compared."""

from __future__ import annotations

import math
from dataclasses import dataclass

from vitbench.errors import UsageError


@dataclass(frozen=True)
class Timing:
    """One series: `warmup_ms` of warm-up, then so many requests.

    Attributes:
        iterations: requests that are timed.
        warmup_ms: whole milliseconds.
        transfers: whether the copies in and out are part of a request.
        cuda_graph: whether the computation is launched as one graph.
        spin_wait: whether the host spins while it waits for the GPU.
        streams: requests that are computed at the same time.
        overlap: whether the input of one request is copied while the one before computes.
    """

    iterations: int
    warmup_ms: int
    transfers: bool = True
    cuda_graph: bool = False
    spin_wait: bool = False
    streams: int = 1
    overlap: bool = False

    def __post_init__(self) -> None:
        if self.iterations < 1 or self.warmup_ms < 0 or self.streams < 1:
            counts = f"{self.iterations} requests after {self.warmup_ms} ms on {self.streams} streams"
            raise UsageError(f"trtexec cannot time {counts}", "ask for at least one of each")


# `trtexec --separateProfileRun --iterations=100 --duration=0 --fp16 --onnx=...`, as the authors of
# EfficientViT gave it in their repository, with what TensorRT 8 does where they said nothing.
PAPER = Timing(iterations=100, warmup_ms=200, overlap=True)


def warmup_ms(iterations: int, iteration_ns: int) -> int:
    """Whole milliseconds that so many iterations take."""
    return math.ceil(iterations * iteration_ns / 1e6)
