"""A plain ONNX Runtime loop, with nothing of vitbench: the yardstick of the fidelity benchmark.

    python benchmarks/plain_loop.py MODEL.onnx INPUT.bin THREADS

Reads an iteration count a line on stdin, runs that many, prints the nanoseconds of each.
"""

from __future__ import annotations

import sys
import time

import numpy as np
import onnxruntime as ort


def main() -> None:
    """Answer each count on stdin with the times of that many runs."""
    model, data, threads = sys.argv[1], sys.argv[2], int(sys.argv[3])
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    session = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    entry = session.get_inputs()[0]
    feed = {entry.name: np.fromfile(data, np.float32).reshape(entry.shape)}
    for line in sys.stdin:
        times = []
        for _ in range(int(line)):
            start = time.perf_counter_ns()
            session.run(None, feed)
            times.append(time.perf_counter_ns() - start)
        print(*times, flush=True)


if __name__ == "__main__":
    main()
