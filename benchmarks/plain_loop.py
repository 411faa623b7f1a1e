"""A plain loop over a runtime, with nothing of vitbench: the yardstick of the fidelity benchmark.

A graph of ATen operators is a form of our own and read by vitbench; the loop over it is plain PyTorch.

    python benchmarks/plain_loop.py MODEL.onnx|MODEL.tflite|graph.json INPUT.bin THREADS [DEVICE]

Reads an iteration count a line on stdin, runs that many, prints the nanoseconds of each.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path

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


def torch_request(model: str, data: str, threads: int, device: str) -> Callable[[], object]:
    """One request of PyTorch, operator by operator: in, compute, out."""
    import torch

    from vitbench.agent.backends.aten import Graph

    torch.set_num_threads(threads)
    torch.backends.cudnn.benchmark = True
    torch.backends.cudnn.allow_tf32 = False
    graph = Graph(Path(model), device)
    (entry,), (out,) = graph.inputs, graph.outputs
    pinned = device != "cpu"
    given = torch.from_numpy(np.fromfile(data, entry["dtype"]).reshape(entry["shape"]))
    given = given.pin_memory() if pinned else given
    taken = torch.empty(out["shape"], dtype=getattr(torch, out["dtype"]), pin_memory=pinned)

    @torch.inference_mode()
    def request() -> object:
        (result,) = graph.module(given.to(device, non_blocking=True, copy=True))
        taken.copy_(result, non_blocking=True)
        if pinned:
            torch.cuda.current_stream().synchronize()
        return taken

    return request


def main() -> None:
    """Answer each count on stdin with the times of that many requests."""
    model, data, threads = sys.argv[1], sys.argv[2], int(sys.argv[3])
    if model.endswith(".json"):
        request = torch_request(model, data, threads, sys.argv[4])
    else:
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
