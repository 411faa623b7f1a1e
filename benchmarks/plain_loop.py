"""A plain loop over a runtime, with nothing of vitbench: the yardstick of the fidelity benchmark.

    python benchmarks/plain_loop.py MODEL.onnx|MODEL.tflite INPUT.bin THREADS

Reads an iteration count a line on stdin, runs that many, prints the nanoseconds of each.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

import numpy as np


def onnx_request(model: str, data: str, threads: int) -> Callable[[], object]:
    """One request of ONNX Runtime."""
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    session = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    entry = session.get_inputs()[0]
    feed = {entry.name: np.fromfile(data, np.float32).reshape(entry.shape)}
    return lambda: session.run(None, feed)


def tflite_request(model: str, data: str, threads: int) -> Callable[[], object]:
    """One request of LiteRT: in, invoke, out."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_path=model, num_threads=threads)
    interpreter.allocate_tensors()
    (entry,), (out,) = interpreter.get_input_details(), interpreter.get_output_details()
    values = np.fromfile(data, np.float32).reshape(entry["shape"])

    def request() -> object:
        interpreter.set_tensor(entry["index"], values)
        interpreter.invoke()
        return interpreter.get_tensor(out["index"])

    return request


def main() -> None:
    """Answer each count on stdin with the times of that many requests."""
    model, data, threads = sys.argv[1], sys.argv[2], int(sys.argv[3])
    make = tflite_request if model.endswith(".tflite") else onnx_request
    request = make(model, data, threads)
    for line in sys.stdin:
        times = []
        for _ in range(int(line)):
            start = time.perf_counter_ns()
            request()
            times.append(time.perf_counter_ns() - start)
        print(*times, flush=True)


if __name__ == "__main__":
    main()
