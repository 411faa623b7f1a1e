"""What a device reaches at its best in PyTorch: one large product, and one large copy. Prints JSON.

The rates are those of these two probes on this very device, and no figures of its maker.

    python -m benchmarks.gpu_peak [--device cuda:0] [--precision fp16] [--side 8192] [--seconds 1]
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Sequence
from statistics import median
from typing import Any

import torch

DTYPES = {"fp16": torch.float16, "fp32": torch.float32}
ROUNDS = 5


def rate_per_s(act: Callable[[], Any], device: str, seconds: float) -> float:
    """How often something can be done in a second: the median of a few rounds that share the seconds."""

    def timed(count: int) -> float:
        begin = time.perf_counter()
        for _ in range(count):
            act()
        if device != "cpu":
            torch.cuda.synchronize(device)
        return time.perf_counter() - begin

    timed(1)
    once_s = timed(1)
    count = max(1, int(seconds / ROUNDS / once_s))
    return median(count / timed(count) for _ in range(ROUNDS))


def measure(device: str, precision: str, side: int, seconds: float) -> dict[str, Any]:
    """`macs_per_s` of a square product and `bytes_per_s` of a copy, read and written bytes together."""
    torch.set_float32_matmul_precision("highest")
    dtype = DTYPES[precision]
    left, right = (torch.randn(side, side, device=device, dtype=dtype) for _ in range(2))
    out = torch.empty_like(left)
    products = rate_per_s(lambda: torch.matmul(left, right, out=out), device, seconds)
    source = torch.empty(4 * side * side, device=device, dtype=torch.float32)
    target = torch.empty_like(source)
    copies = rate_per_s(lambda: target.copy_(source), device, seconds)
    cuda = device != "cpu"
    return {
        "device": torch.cuda.get_device_name(device) if cuda else "this machine's processor",
        "precision": precision,
        "side": side,
        "macs_per_s": products * side**3,
        "bytes_per_s": copies * 2 * source.numel() * source.element_size(),
        "torch": torch.__version__,
        "cuda": torch.version.cuda if cuda else None,
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """Print what is reached; 2 where the device is not there."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--device", default="cuda:0", help="cuda:N or cpu (default: cuda:0)")
    parser.add_argument("--precision", choices=tuple(DTYPES), default="fp16")
    parser.add_argument("--side", type=int, default=8192, help="of the matrices (default: 8192)")
    parser.add_argument("--seconds", type=float, default=1.0, help="for each of the two probes")
    options = parser.parse_args(arguments)
    if options.device != "cpu" and not torch.cuda.is_available():
        print(f"torch {torch.__version__} finds no CUDA device", file=sys.stderr)
        return 2
    with torch.inference_mode():
        print(json.dumps(measure(options.device, options.precision, options.side, options.seconds)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
